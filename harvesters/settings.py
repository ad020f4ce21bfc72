"""Every setting, declared once: the flags, `.env`, `example.env` and the README's table all come from here.

A flag wins over the process environment, the environment over `.env` (beside `harvest.py`, or `--env-file`), and an
empty value counts as unset.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from harvesters.errors import ConfigError
from harvesters.timespan import zone

T = TypeVar("T")

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")


@dataclass(frozen=True)
class Setting:
    """One setting: `default` is what counts when it is unset, `without` says in words what happens then."""

    name: str
    section: str
    help: str
    default: str = ""
    without: str = ""
    secret: bool = False
    example: str = ""


_OPENCAST, _OUTPUT, _RUN, _STORE = "Opencast", "Queue and checkpoint", "Windows and retries", "Caches and files"
_ELASTIC, _ZOOM, _FIREBASE, _LOGS = "Elasticsearch", "Zoom", "Firebase", "Logs"

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
        "HARVEST_STATE_DIR",
        _STORE,
        "Directory of checkpoints without S3, and of dead letters.",
        without="$XDG_STATE_HOME/harvest, which is ~/.local/state/harvest",
        example="/var/lib/harvest",
    ),
    Setting(
        "REDIS_URL",
        _STORE,
        "Redis for cached episodes and for what was already delivered.",
        default="redis://localhost:6379/0",
        without="unreachable: one warning, and an in-process cache",
    ),
    Setting("EPISODE_CACHE_EXPIRE", _STORE, "Seconds for which an episode is cached.", default="1800"),
    Setting(
        "ES_HOST",
        _ELASTIC,
        "Elasticsearch: host, host:port or a URL; a loopback host means http.",
        default="localhost:9200",
    ),
    Setting("ES_API_KEY", _ELASTIC, "API key, base64.", secret=True),
    Setting("ES_USER", _ELASTIC, "User, where there is no API key."),
    Setting("ES_PASSWORD", _ELASTIC, "Its password.", secret=True),
    Setting("ES_CA_CERTS", _ELASTIC, "File with the CA certificates of the cluster.", without="the system's"),
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
    Setting("FIREBASE_CREDENTIALS", _FIREBASE, "Service-account file (JSON), instead of the secret."),
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
    Setting("LOGGLY_TOKEN", _LOGS, "If set, log events are shipped to Loggly too.", secret=True),
    Setting("LOGGLY_TAGS", _LOGS, "Extra tags for those events, comma separated."),
    Setting("LOGGLY_URL", _LOGS, "Where Loggly takes events.", default="https://logs-01.loggly.com"),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_PASSED_ON = ("AWS_",)  # boto3 reads these itself, and takes an empty value for a value


def load_env(path: Path | None = None) -> Path | None:
    """Fill the environment from a dotenv file, without overriding what is set. Returns the file read, if any.

    Without `path` it is the `.env` beside `harvest.py`, or for an installed package the one in the current directory.

    Raises:
        ConfigError: `path` was given and cannot be read.
    """
    for name in [*os.environ]:
        if name.startswith(_PASSED_ON) and not os.environ[name]:
            del os.environ[name]
    chosen = path if path is not None else _default_env_file()
    if not chosen.exists():
        if path is None:
            return None
        raise ConfigError(f"--env-file {path}: there is no such file")
    from dotenv import dotenv_values

    try:
        values = dotenv_values(chosen)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{chosen} cannot be read: {error}") from error
    for name, value in values.items():
        if value and not os.environ.get(name):
            os.environ[name] = value
    return chosen


def _default_env_file() -> Path:
    root = Path(__file__).resolve().parent.parent
    return (root if (root / "harvest.py").is_file() else Path.cwd()) / ".env"


def get(name: str, flag: str | None = None) -> str:
    """The value of setting `name`: the flag's, else the environment's, else the default; "" when there is none."""
    return flag or os.environ.get(name, "").strip() or _BY_NAME[name].default


def require(name: str, flag: str | None = None, option: str = "") -> str:
    """As `get`, but a setting without a value is an error that names it.

    Raises:
        ConfigError: nothing sets it.
    """
    value = get(name, flag)
    if not value:
        hint = f" or give {option}" if option else ""
        raise ConfigError(f"{name} is not set ({_BY_NAME[name].help}) Put it into .env or the environment{hint}.")
    return value


def number(name: str, flag: float | None = None, minimum: float = 0.0) -> float:
    """A numeric setting.

    Raises:
        ConfigError: it is no number, or below `minimum`.
    """
    text = str(flag) if flag is not None else get(name)
    return _read(name, text, lambda value: _bounded(float(value), minimum), f"a number, {minimum:g} or more")


def optional_number(name: str, minimum: float = 0.0) -> float | None:
    """A numeric setting that may be unset."""
    return number(name, minimum=minimum) if get(name) else None


def timezone(name: str) -> ZoneInfo:
    """A setting that names a time zone."""
    return _read(name, get(name), zone, "the name of a time zone, such as UTC or America/New_York")


def choice(name: str, allowed: tuple[str, ...], flag: str | None = None) -> str:
    """A setting that is one of `allowed` words."""
    value = get(name, flag).lower()
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is none of {', '.join(allowed)}")
    return value


def names(name: str) -> list[str]:
    """The names in a setting, which has commas between them."""
    return [part.strip() for part in get(name).split(",") if part.strip()]


def error_budget() -> tuple[float, int]:
    """``HARVEST_ERROR_BUDGET`` as (share of the run, least number): ``1%`` is (0.01, 10), ``25`` is (0.0, 25)."""

    def read(text: str) -> tuple[float, int]:
        if text.endswith("%"):
            return _bounded(float(text[:-1]), 0.0) / 100, 10
        return 0.0, int(_bounded(int(text), 0))

    return _read("HARVEST_ERROR_BUDGET", get("HARVEST_ERROR_BUDGET"), read, "a share such as 1% or a whole number")


def state_dir() -> Path:
    """Where files of the harvester live; made when first written to."""
    value = get("HARVEST_STATE_DIR")
    if value:
        return Path(value).expanduser()
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "harvest"


def secrets() -> list[str]:
    """The values of all secret settings now in force, and boto3's, for redaction."""
    names = [setting.name for setting in SETTINGS if setting.secret]
    names += ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    return [value for name in names if (value := os.environ.get(name, "").strip())]


def base_url(value: str, name: str) -> str:
    """A host, host:port or URL as a base URL without a slash at the end; a bare loopback host means http, others https.

    Raises:
        ConfigError: it is none of these.
    """
    from urllib.parse import urlsplit

    text = value.strip()
    if "://" not in text:
        host = text.rpartition("@")[2]
        bare = host.split("/")[0].rsplit(":", 1)[0] if not host.startswith("[") else host[1:].split("]")[0]
        text = f"{'http' if is_loopback(bare) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or any(char.isspace() for char in text):
        raise ConfigError(f"{name}: this is no host, host:port or http(s) URL")
    if parts.username or parts.password:
        raise ConfigError(f"{name}: leave user and password out of the URL; they have settings of their own")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """The host is this machine itself."""
    return host.lower() == "localhost" or host == "::1" or _LOOPBACK.fullmatch(host) is not None


def _bounded(value: float, minimum: float) -> float:
    if math.isnan(value) or math.isinf(value) or value < minimum:
        raise ValueError(value)
    return value


def _read(name: str, text: str, reader: Callable[[str], T], wanted: str) -> T:
    try:
        return reader(text)
    except ValueError as error:
        raise ConfigError(f"{name}={text!r} cannot be read; it should be {wanted}") from error
