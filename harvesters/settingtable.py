"""Every setting, declared once: the flags, `.env`, `example.env` and the reference's table all come from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One setting: `default` is what counts when it is unset, `without` says in words what happens then.

    `aliases` are older names of it.
    """

    name: str
    section: str
    help: str
    default: str = ""
    without: str = ""
    secret: bool = False
    example: str = ""
    aliases: tuple[str, ...] = ()


_OPENCAST, _OUTPUT, _RUN, _STORE = "Opencast", "Queue and checkpoint", "Windows and retries", "Caches and files"
_ELASTIC, _ZOOM, _FIREBASE, _LOGS, _WEB = "Elasticsearch", "Zoom", "Firebase", "Logs and telemetry", "Web"
_KAFKA, _LISTINGS, _PRIVACY, _MESSAGES, _EXPORTS = "Kafka", "Listings", "Privacy", "Messages", "Exports of messages"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "MATTERHORN_ENGAGE_HOST",
        _OPENCAST,
        "The engage (presentation) node: host, host:port or a URL. A bare host means https, a loopback host http.",
        without="required by useractions and load_episodes",
        example="matterhorn.example.edu",
    ),
    Setting(
        "MATTERHORN_ADMIN_HOST",
        _OPENCAST,
        "The admin node: host, host:port or a URL, read as MATTERHORN_ENGAGE_HOST is.",
        without="required by load_episodes",
        example="admin.matterhorn.example.edu",
    ),
    Setting(
        "MATTERHORN_REST_USER", _OPENCAST, "User of Opencast's REST API.", without="required", example="mh_rest_user"
    ),
    Setting(
        "MATTERHORN_REST_PASS",
        _OPENCAST,
        "Its password.",
        without="required",
        secret=True,
        example="mh_rest_pass",
    ),
    Setting(
        "OPENCAST_AUTH",
        _OPENCAST,
        "digest (what Opencast's system account needs) or basic (Opencast 5 and newer).",
        default="digest",
    ),
    Setting(
        "OPENCAST_SOURCE",
        _OPENCAST,
        "Short name of this Opencast, where several share a queue or a cluster: ids become NAME-NUMBER.",
        without="ids are Opencast's numbers",
        example="main-campus",
    ),
    Setting(
        "OPENCAST_TIMEZONE",
        _OPENCAST,
        "Time zone of the Opencast server: of times without an offset, of its days, and of what is sent to it.",
        default="UTC",
        example="America/New_York",
    ),
    Setting(
        "SQS_QUEUE_NAME",
        _OUTPUT,
        "SQS queue, created if missing. - is standard output; a name ending in .fifo makes a FIFO queue.",
        without="give --output",
        example="my-harvest-action-queue",
    ),
    Setting(
        "S3_HARVEST_TS_BUCKET",
        _OUTPUT,
        "S3 bucket of the checkpoint, created if missing.",
        without="checkpoints are files under HARVEST_STATE_DIR",
        example="my-harvest-timestamp-bucket",
    ),
    Setting(
        "S3_LAST_ACTION_TS_KEY",
        _OUTPUT,
        "Name of the checkpoint: the S3 object, or the file. Give each Opencast its own.",
        default="last-action-timestamp",
    ),
    Setting("DEFAULT_INTERVAL", _RUN, "Minutes harvested when there is neither --start nor a checkpoint.", default="2"),
    Setting(
        "MAX_START_END_SPAN",
        _RUN,
        "Longest window in seconds; a longer one is refused with exit code 3.",
        without="no limit",
        example="86400",
    ),
    Setting(
        "HARVEST_LOOKBACK",
        _RUN,
        "Seconds before the checkpoint that a live run reads again, for rows that came late; 0 for none.",
        default="60",
    ),
    Setting(
        "HARVEST_RETRY_BUDGET",
        _RUN,
        "Seconds for which one request is retried before the run gives up with 69, or with 75 when it is rate limited.",
        default="120",
    ),
    Setting("HARVEST_HTTP_TIMEOUT", _RUN, "Seconds to wait for one answer of a source.", default="60"),
    Setting(
        "HARVEST_LEASE_TTL",
        _RUN,
        "Seconds after which a lease that is not renewed may be taken over.",
        default="60",
    ),
    Setting(
        "HARVEST_ERROR_BUDGET",
        _RUN,
        "Dead letters that a run may have before it fails with 65: a share (1%, and never less than 10) or a number.",
        default="1%",
    ),
    Setting(
        "HARVEST_STACKS",
        _STORE,
        "Stacks whose user actions setup prune may remove (useractions-STACK-YYYY.MM.DD); commas between.",
        without="indices with a stack in their names are left",
        example="prod,dev-1",
    ),
    Setting(
        "HARVEST_DEAD_LETTERS",
        _STORE,
        "Where documents go that can never be delivered: a directory, s3://bucket/prefix or sqs://queue.",
        without="files under HARVEST_STATE_DIR/dead-letters",
        example="s3://my-harvest-bucket/dead-letters",
    ),
    Setting(
        "HARVEST_PSEUDONYMISE",
        _PRIVACY,
        "Fields that leave with pseudonyms, commas between: a name at any depth, * at its end, a path with dots there "
        "only.",
        without="every field leaves as it is",
        example="huid,ip,proxy*,host.email",
    ),
    Setting(
        "HARVEST_PSEUDONYM_KEY",
        _PRIVACY,
        "Keys of the pseudonyms: ID:SECRET, commas between, or @FILE with one a line; the first is used, others look "
        "people up. A SECRET has 16 characters or more.",
        without="required by HARVEST_PSEUDONYMISE",
        secret=True,
        example="@/etc/harvest/pseudonym-keys",
    ),
    Setting(
        "HARVEST_STATE_DIR",
        _STORE,
        "Directory of checkpoints without S3, and of dead letters.",
        without="$XDG_STATE_HOME/harvest, which is ~/.local/state/harvest",
        example="/var/lib/harvest",
    ),
    Setting(
        "REDIS_URL",
        _STORE,
        "Redis for cached episodes, what was already delivered, and what services of messages tell each other.",
        default="redis://localhost:6379/0",
        without="unreachable: one warning, and an in-process cache",
    ),
    Setting(
        "CELERY_BROKER_URL",
        _STORE,
        "Broker of back-fills by workers (backfill --executor celery, worker).",
        without="REDIS_URL",
        secret=True,
        example="redis://redis.example.edu:6379/1",
    ),
    Setting(
        "CELERY_RESULT_BACKEND",
        _STORE,
        "Read for the former service's sake: what tasks compute is in Elasticsearch, so no result is kept.",
        secret=True,
    ),
    Setting(
        "CELERY_VISIBILITY_TIMEOUT",
        _STORE,
        "Seconds after which the task of a worker that was killed comes back; a longer task is not done twice at once.",
        without="2 × HARVEST_LEASE_TTL",
    ),
    Setting("EPISODE_CACHE_EXPIRE", _STORE, "Seconds for which an episode is cached.", default="1800"),
    Setting(
        "ES_HOST",
        _ELASTIC,
        "Elasticsearch or OpenSearch: host, host:port or a URL; a loopback host means http. EL_HOST (http) goes with "
        "EL_PORT.",
        default="localhost:9200",
        aliases=("EL_HOST", "ELASTIC_HOST"),
    ),
    Setting("ES_API_KEY", _ELASTIC, "API key, base64.", secret=True),
    Setting("ES_USER", _ELASTIC, "User, where there is no API key.", aliases=("EL_USERNAME", "ELASTIC_USERID")),
    Setting("ES_PASSWORD", _ELASTIC, "Its password.", secret=True, aliases=("EL_PASSWORD", "ELASTIC_PASSWORD")),
    Setting(
        "ES_AUTH",
        _ELASTIC,
        "aws: sign each request with the credentials that boto3 finds, for Amazon OpenSearch Service.",
        without="ES_API_KEY, else ES_USER, else none",
    ),
    Setting(
        "ES_AWS_REGION",
        _ELASTIC,
        "Region of the signature.",
        without="that in Amazon's name of the host, else boto3's",
        example="eu-central-1",
    ),
    Setting(
        "ES_AWS_SERVICE",
        _ELASTIC,
        "Service of the signature: es, or aoss (Serverless).",
        without="that in Amazon's name of the host, else es",
    ),
    Setting(
        "ES_DISTRIBUTION",
        _ELASTIC,
        "elasticsearch or opensearch, where a gateway or a policy hides GET /; auto: it says so itself.",
        default="auto",
    ),
    Setting("ES_CA_CERTS", _ELASTIC, "File with the CA certificates of the cluster.", without="the system's"),
    Setting("ELASTIC_INDEX", _ELASTIC, "Index of the synthetic log events of logs.", default="pset_x"),
    Setting("GEOLITE_PATH", _ELASTIC, "GeoLite2 City file (.mmdb) for geoip fields.", without="no geoip"),
    Setting("BANNER_ENDPOINT_BASE", _ELASTIC, "Base URL that `export rollcall` asks.", without="exit code 78"),
    Setting("ZOOM_ACCOUNT_ID", _ZOOM, "Account of the Server-to-Server OAuth app.", without="required by zoom"),
    Setting("ZOOM_CLIENT_ID", _ZOOM, "Client id of that app.", without="required by zoom"),
    Setting("ZOOM_CLIENT_SECRET", _ZOOM, "Client secret of that app.", without="required by zoom", secret=True),
    Setting("ZOOM_KEY", _ZOOM, "Key of an old JWT app (Zoom ended these in 2023).", secret=True),
    Setting("ZOOM_SECRET", _ZOOM, "Secret of an old JWT app.", secret=True),
    Setting("ZOOM_API_URL", _ZOOM, "Base URL of the API; regions have their own.", default="https://api.zoom.us/v2"),
    Setting("ZOOM_TIMEZONE", _ZOOM, "Time zone of what a day is for zoom --date.", default="UTC"),
    Setting(
        "ZOOM_LOOKBACK",
        _ZOOM,
        "Seconds before the checkpoint that zoom --live lists again, for meetings that appear late.",
        default="86400",
    ),
    Setting(
        "ZOOM_LAST_END_TS_KEY",
        _ZOOM,
        "Name of the checkpoint of zoom --live: the S3 object, or the file. Runs that could not finish are beside it.",
        default="zoom-last-end-timestamp",
    ),
    Setting("ZOOM_OAUTH_URL", _ZOOM, "Where tokens come from.", default="https://zoom.us/oauth/token"),
    Setting(
        "FIREBASE_ENDPOINT",
        _FIREBASE,
        "URL of the Realtime Database.",
        without="required by firebase",
        example="https://example.firebaseio.com",
    ),
    Setting("FIREBASE_KEY", _FIREBASE, "Legacy database secret.", secret=True),
    Setting(
        "FIREBASE_CREDENTIALS",
        _FIREBASE,
        "Service account, instead of the secret: the path of its file, the JSON itself, or the base64 of that.",
    ),
    Setting("FIREBASE_TIMEZONE", _FIREBASE, "Time zone of the date parts of events.", default="UTC"),
    Setting(
        "FIREBASE_CHECKPOINT",
        _FIREBASE,
        "Name of the checkpoint of `firebase events`: the S3 object, or the file. Give each database its own.",
        default="last-firebase-event",
    ),
    Setting(
        "FIREBASE_INDEX_PREFIX",
        _FIREBASE,
        "What the names of the indices begin with: buddyup makes buddyupevents, buddyupprofiles, buddyupclasses.",
        default="buddyup",
    ),
    Setting(
        "FIREBASE_INDEX_PERIOD",
        _FIREBASE,
        "How long one index of events is, in UTC: day, month, year or none.",
        default="month",
    ),
    Setting("FIREBASE_SCRUB", _FIREBASE, "What else to scrub, comma separated: bodies, emails, or field names."),
    Setting(
        "FIREBASE_TEST_SCHOOLS",
        _FIREBASE,
        "Schools that insights leave out unless --include-test-schools is given, comma separated.",
        default="buddyup_org,testcloud_io",
    ),
    Setting(
        "HARVEST_INSIGHTS_MEMORY",
        _FIREBASE,
        "Memory that the engine of insights may take; what does not fit goes to temporary files.",
        default="512MB",
    ),
    Setting("WS_HOST", _WEB, "Address that serve listens on; another than loopback wants keys.", default="127.0.0.1"),
    Setting("WS_PORT", _WEB, "Its port.", default="8000"),
    Setting(
        "HARVEST_API_KEYS",
        _WEB,
        "Keys of the web face: NAME:SECRET, or NAME:SECRET:PART+PART (a part also as PART:read), commas between; or "
        "@FILE with one a line.",
        without="nobody needs one, and serve listens on loopback only",
        secret=True,
        example="@/etc/harvest/keys",
    ),
    Setting(
        "HARVEST_API_RATE",
        _WEB,
        "Requests a minute of one key, or of one address without one; 0: no limit.",
        default="600",
    ),
    Setting("HARVEST_SEARCH_TIMEOUT", _WEB, "Seconds for one answer that needs Elasticsearch, then 503.", default="5"),
    Setting(
        "HARVEST_PROXY",
        _WEB,
        "Addresses or networks, commas between, whose X-Forwarded-For is believed.",
        without="nobody's",
        example="10.0.0.5",
    ),
    Setting(
        "HARVEST_CURSOR_KEY",
        _WEB,
        "What links to next pages are signed with; the same on every host that answers for one name.",
        without="a new one with each start",
        secret=True,
    ),
    Setting(
        "HARVEST_INSIGHTS_MAX_AGE",
        _WEB,
        "Seconds that the events behind an answer of serve may be old.",
        default="60",
    ),
    Setting(
        "KAFKA_BOOTSTRAP_SERVERS",
        _KAFKA,
        "Brokers to begin with: host:port, commas between.",
        default="localhost:9092",
        example="kafka-1:9092,kafka-2:9092",
    ),
    Setting("KAFKA_SECURITY_PROTOCOL", _KAFKA, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.", without="PLAINTEXT"),
    Setting("KAFKA_SASL_MECHANISM", _KAFKA, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or another.", without="GSSAPI"),
    Setting("KAFKA_SASL_USERNAME", _KAFKA, "User, where a password is asked for."),
    Setting("KAFKA_SASL_PASSWORD", _KAFKA, "Its password.", secret=True),
    Setting("KAFKA_CA_CERTS", _KAFKA, "File with the CA certificates of the brokers.", without="the system's"),
    Setting(
        "KAFKA_SESSION_TIMEOUT",
        _KAFKA,
        "Seconds after which others go on with what a killed process had in hand; a stock broker wants 6 to 1800.",
        default="10",
    ),
    Setting("KAFKA_PARTITIONS", _KAFKA, "Partitions of topics that are made because they are missing.", default="3"),
    Setting(
        "LISTINGS_TOPIC",
        _LISTINGS,
        "Kafka topic of new listings and their new versions.",
        default="new-listings-topic",
    ),
    Setting("LISTINGS_GROUP", _LISTINGS, "Consumer group of `listings index`.", default="listing-indexer"),
    Setting("LISTINGS_INDEX", _LISTINGS, "Index of the listings, made if missing.", default="listing_index"),
    Setting("VIEWS_TOPIC", _LISTINGS, "Kafka topic of page views.", default="page-views-topic"),
    Setting("VIEWS_GROUP", _LISTINGS, "Consumer group of `listings log`.", default="access-logger"),
    Setting(
        "ACCESS_LOG",
        _LISTINGS,
        "File of page views, a line each: user, tab, listing. What belongs to it is named ACCESS_LOG.*.",
        without="access.log in HARVEST_STATE_DIR",
        example="/var/log/harvest/access.log",
    ),
    Setting(
        "ACCESS_LOG_MAX_BYTES",
        _LISTINGS,
        "Size at which the access log becomes ACCESS_LOG.1 (the oldest), .2 and so on.",
        without="it stays one file",
        example="100000000",
    ),
    Setting(
        "LISTINGS_HOT_HALF_LIFE",
        _LISTINGS,
        "Seconds after which a view counts half in the order by what is hot.",
        default="86400",
    ),
    Setting(
        "LISTINGS_USER_HEADER",
        _LISTINGS,
        "Header in which the proxy that logs people in names the user of a page view.",
        default="X-User-Id",
    ),
    Setting(
        "MESSAGES_TIMEZONE",
        _MESSAGES,
        "Time zone of the midnights of analytics, of dates in exports and of MESSAGES_BEAT.",
        default="UTC",
        example="Europe/Rome",
    ),
    Setting("MESSAGES_BEAT", _MESSAGES, "Time of day at which `beat` has analytics computed again.", default="04:00"),
    Setting(
        "CARDINALITY_PRECISION_THRESHOLD",
        _MESSAGES,
        "Distinct values up to which a cardinality is exact, 40000 at most; above it is within 1 %.",
        default="40000",
    ),
    Setting(
        "INSTANCE",
        _MESSAGES,
        "URL of the platform: hub, task manager, profile manager and incentive server lie below it.",
        without="what needs the platform ends with 78",
        example="https://platform.example.edu/prod",
    ),
    Setting("APIKEY", _MESSAGES, "Key for the platform; it is sent nowhere else.", without="78 too", secret=True),
    Setting("HARVEST_PLATFORM_PARALLEL", _MESSAGES, "Requests to the platform at one time.", default="8"),
    Setting(
        "MIGRATION_MANAGER_INDEX",
        _MESSAGES,
        "Index in which the former service's migrator noted what it had done; that is not done again.",
        default="migrations",
    ),
    Setting(
        "MIGRATION_FOLDER",
        _MESSAGES,
        "Read for the former service's sake, with a warning: our migrations are built in.",
    ),
    Setting("APP_ID", _EXPORTS, "Application that is exported; the project of its messages.", example="chatbot"),
    Setting("APP_IDS", _EXPORTS, "Applications whose users `apps_usage` is about; semicolons between."),
    Setting("ILOG_ID", _EXPORTS, "The i-Log application: who enabled it is marked."),
    Setting("SURVEY_ID", _EXPORTS, "The survey application: who enabled it is marked."),
    Setting(
        "TIME_RANGE",
        _EXPORTS,
        "What is exported: so many days, weeks, months or years before today (30D, 2W), TODAY, or ALL before today.",
        example="30D",
    ),
    Setting("START_TIME", _EXPORTS, "Instead: from here on, ISO 8601; without an offset in MESSAGES_TIMEZONE."),
    Setting("END_TIME", _EXPORTS, "And up to here, which is not part of it."),
    Setting("ANALYTIC_FILE", _EXPORTS, "Counts of users, messages and tasks, .csv or .tsv."),
    Setting("QUESTION_FILE", _EXPORTS, "Questions and the answers that were approved, .csv or .tsv."),
    Setting("USER_FILE", _EXPORTS, "Users and what they did, .csv or .tsv."),
    Setting("TASK_FILE", _EXPORTS, "Tasks with their transactions, .json."),
    Setting("MESSAGE_FILE", _EXPORTS, "Messages, .json."),
    Setting("FILE", _EXPORTS, "Ids and e-mail addresses of users (`id_email`), .csv or .tsv."),
    Setting("OUTPUT_FILE", _EXPORTS, "Which applications each user enabled (`apps_usage`), .csv or .tsv."),
    Setting(
        "USER_UPDATES_DUMP",
        _EXPORTS,
        "Whose profile the survey updated, .csv or .tsv with the columns wenet_id and last_update.",
        without="`apps_usage` ends with 78",
    ),
    Setting(
        "USER_FAILURES_DUMP",
        _EXPORTS,
        "Whose profile it failed to update, with the columns wenet_id and failure_datetime.",
    ),
    Setting("SENTRY_DSN", _LOGS, "Where errors are sent to.", without="nowhere", secret=True),
    Setting("SENTRY_RELEASE", _LOGS, "Release that Sentry is told of.", without="our version"),
    Setting("SENTRY_ENVIRONMENT", _LOGS, "Environment that Sentry is told of.", example="production"),
    Setting(
        "HARVEST_PING_URL",
        _LOGS,
        "URL that is told when a run begins and how it ended, as healthchecks.io wants it; {job} is the job's name.",
        without="nobody is told",
        secret=True,
        example="https://hc-ping.com/PING-KEY/{job}?create=1",
    ),
    Setting(
        "HARVEST_METRICS_FILE",
        _LOGS,
        "File of metrics for the textfile collector of Prometheus' node exporter; its name ends in .prom.",
        without="no metrics",
        example="/var/lib/node_exporter/harvest.prom",
    ),
    Setting("LOGGLY_TOKEN", _LOGS, "If set, log events are shipped to Loggly too.", secret=True),
    Setting("LOGGLY_TAGS", _LOGS, "Extra tags for those events, comma separated."),
    Setting("LOGGLY_URL", _LOGS, "Where Loggly takes events.", default="https://logs-01.loggly.com"),
)
