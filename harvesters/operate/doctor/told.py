"""What the settings say: whether each can be read, and what leaves without a pseudonym."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harvesters import pseudonyms, sentry
from harvesters.errors import ConfigError, Exit
from harvesters.operate import analytics
from harvesters.operate.beat import Daily
from harvesters.operate.doctor.check import Examination
from harvesters.operate.jobs import JOBS
from harvesters.settings import Settings
from harvesters.settingtable import SETTINGS
from harvesters.sinks.deadletters import Place

_KNOWN = {setting.name for setting in SETTINGS}
_NUMBERS = (
    *("DEFAULT_INTERVAL", "HARVEST_LOOKBACK", "HARVEST_RETRY_BUDGET", "EPISODE_CACHE_EXPIRE", "ZOOM_LOOKBACK"),
    *("HARVEST_API_RATE", "HARVEST_SEARCH_TIMEOUT", "HARVEST_INSIGHTS_MAX_AGE", "LISTINGS_HOT_HALF_LIFE"),
)
_ZONES = ("MESSAGES_TIMEZONE", "ZOOM_TIMEZONE", "FIREBASE_TIMEZONE", "OPENCAST_TIMEZONE")
_URLS = ("MATTERHORN_ENGAGE_HOST", "MATTERHORN_ADMIN_HOST", "ES_HOST", "ZOOM_API_URL", "ZOOM_OAUTH_URL", "INSTANCE")
_FILES = ("ES_CA_CERTS", "GEOLITE_PATH", "KAFKA_CA_CERTS")
_OF_ACTIONS = ("huid", "ip", "proxy1", "useragent", "session_id")
_PERSONAL = {
    "useractions": _OF_ACTIONS,
    "index": _OF_ACTIONS,
    "load_episodes": ("creator", "contributor"),
    "zoom": (
        *("user_name", "user_id", "ip_address", "host.name", "host.email", "host.host_id"),
        *("zoom.email", "zoom.id", "zoom.participant_user_id"),
    ),
    "firebase-events": ("creator", "buid", "first_name", "last_name", "involved", "profile_pic_url_tiny"),
}
_REMEDY = "Put it right in the environment or the settings file; `harvest.py config` shows where it comes from."


def settings(about: Examination) -> None:
    """Every setting can be read, what jobs need is there, and no name is mistyped."""
    before = len(about.found)
    for read in _readings(about.settings):
        try:
            read()
        except ConfigError as error:
            about.fail("settings", error, _REMEDY, Exit.CONFIG)
    for job in about.jobs if about.named else filter(about.begun, JOBS):
        try:
            about.settings.require_all(*job.needs)
        except ConfigError as error:
            about.fail("settings", f"{job.name}: {error}", _REMEDY, Exit.CONFIG)
    for name in about.settings.strangers:
        near = get_close_matches(name, _KNOWN, 1)
        remedy = f"Did you mean {near[0]}?" if near else "Take it out, or look for its name in docs/reference.md."
        about.warn("settings", f"{name} is no setting", remedy)
    if (about.settings.otlp("TRACES") or about.settings.otlp("METRICS")) and not _installed("opentelemetry.sdk"):
        about.warn("settings", "OTEL_EXPORTER_OTLP_… needs an extra", "pip install 'harvest[otel]'")
    if len(about.found) == before:
        about.ok("settings", "every setting can be read")


def privacy(about: Examination) -> None:
    """Name personal fields that no pseudonym takes the place of."""
    named = about.settings.names(pseudonyms.FIELDS)
    covered = pseudonyms.Names.parse(named)
    harvests = [job for job in about.jobs if job.name in _PERSONAL]
    for job in harvests:
        clear = [name for name in _PERSONAL[job.name] if not covered.match(name)]
        if clear:
            remedy = f"Name them in {pseudonyms.FIELDS} if they should not."
            about.warn("privacy", f"{job.name}: these leave in the clear: {', '.join(clear)}", remedy)
    if harvests and not about.found:
        about.ok("privacy", "personal fields leave with pseudonyms")
    if any(job.name.startswith("listings") for job in about.jobs):
        about.warn("privacy", "listings and the access log keep what they are given, users' ids too")


def _readings(given: Settings) -> list[Callable[[], Any]]:
    def file(name: str) -> None:
        if (path := given.get(name)) and not Path(path).expanduser().is_file():
            raise ConfigError(f"{name}={path!r}: there is no such file")

    return [
        *(lambda name=name: given.get(name) for name in _KNOWN),
        *(lambda name=name: given.number(name) for name in _NUMBERS),
        *(lambda name=name: given.timezone(name) for name in _ZONES),
        *(lambda name=name: given.url(name) for name in _URLS if given.given(name)),
        *(lambda name=name: file(name) for name in _FILES),
        lambda: given.number("HARVEST_LEASE_TTL", minimum=1),
        lambda: given.number("HARVEST_HTTP_TIMEOUT", minimum=0.001),
        lambda: given.optional_number("MAX_START_END_SPAN"),
        lambda: given.optional_number("ACCESS_LOG_MAX_BYTES", minimum=1),
        lambda: given.choice("OPENCAST_AUTH", ("digest", "basic")),
        given.error_budget,
        lambda: pseudonyms.from_settings(given),
        lambda: pseudonyms.keys_of(given) if given.given(pseudonyms.KEYS) else None,
        lambda: Place.of(given.get("HARVEST_DEAD_LETTERS"), given.state_dir()),
        lambda: _firebase(given),
        lambda: Daily.of(given),
        lambda: analytics.check(given),
        lambda: given.optional_number("CELERY_VISIBILITY_TIMEOUT", minimum=1),
        lambda: given.number("HARVEST_PLATFORM_PARALLEL", minimum=1),
        lambda: sentry.check(given),
    ]


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _firebase(given: Settings) -> None:
    from harvesters.firebase.parts import open_indices

    open_indices(given)
