"""Which span of time an export is about: by a flag, else the environment, else the settings file."""

from __future__ import annotations

from datetime import datetime, tzinfo

from harvesters.messages.windows import Bounds, Fixed, Moving
from harvesters.settings import Settings

START, END, RANGE = "START_TIME", "END_TIME", "TIME_RANGE"
_NAMES = (START, END, RANGE)


def chosen(settings: Settings, now: datetime, zone: tzinfo) -> Bounds | None:
    """The bounds of the first source that gives a range; start and end go before a span. None when none does.

    Raises:
        ValueError: start or end is alone, or what is given is no range.
    """
    given = _of_one_source(settings)
    start, end = given.get(START), given.get(END)
    if start and end:
        try:
            return Fixed(_moment(start, zone), _moment(end, zone)).bounds()
        except ValueError as error:
            raise ValueError(f"{START} and {END}: {error}") from None
    if start or end:
        alone, missing = (START, END) if start else (END, START)
        raise ValueError(f"{alone} is given without {missing}: -s/--start and -e/--end go together")
    if span := given.get(RANGE):
        try:
            return Moving(span).bounds(now, zone)
        except ValueError as error:
            raise ValueError(f"{RANGE}: {error}") from None
    return None


def _of_one_source(settings: Settings) -> dict[str, str]:
    """What the strongest source that says anything of it says."""
    flags = {name: settings.flags[name] for name in _NAMES if settings.flags.get(name)}
    if flags:
        return flags
    sources = {name: settings.source(name) for name in _NAMES if settings.given(name)}
    strongest = "environment" if "environment" in sources.values() else next(iter(sources.values()), "")
    return {name: settings.get(name) for name, source in sources.items() if source == strongest}


def _moment(text: str, zone: tzinfo) -> datetime:
    """ISO 8601; without an offset it is a time of `zone`."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no time; write ISO 8601, such as 2021-07-28T09:30:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
