"""Everything that can end a run, and the exit code it ends with.

Each message says what failed, where, and what to do next; none holds a secret. Lower floors raise these, only the
command line turns them into a message and an exit code. A traceback (exit 1) is always a bug.

    HarvestError
    ├── SpanRefused          3   the window is longer than MAX_START_END_SPAN
    ├── TooManyDead         65   dead letters over HARVEST_ERROR_BUDGET
    ├── BadInput            65   a file, or what a source holds, is not what it should be
    ├── EventsRefused       65   an index will never take some of the events that were generated
    ├── Unavailable         69   a source, sink or store gave up after retries
    ├── TryLater            75   lease held, checkpoint race lost, rate limited, told to stop
    ├── ProtocolError       76   the source does not speak what it should
    ├── CredentialsRefused  77
    └── ConfigError         78   a setting is missing or unreadable
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes: sysexits where one fits."""

    DONE = 0
    BUG = 1
    USAGE = 2
    SPAN_REFUSED = 3
    DATA = 65
    UNAVAILABLE = 69
    TRY_LATER = 75
    PROTOCOL = 76
    CREDENTIALS = 77
    CONFIG = 78


class HarvestError(Exception):
    """A failure that names itself."""

    code: Exit = Exit.BUG


class SpanRefused(HarvestError):
    """The window is longer than the guard allows."""

    code = Exit.SPAN_REFUSED


class TooManyDead(HarvestError):
    """More documents could not be delivered than the error budget allows."""

    code = Exit.DATA


class BadInput(HarvestError):
    """A file that was given, or what a source holds, is not what it should be."""

    code = Exit.DATA


class EventsRefused(HarvestError):
    """An index will never take some of the events that were made for it."""

    code = Exit.DATA


class Unavailable(HarvestError):
    """A source, sink or store did not answer, or not sensibly, within the retry budget."""

    code = Exit.UNAVAILABLE


class SinkUnavailable(Unavailable):
    """The sink gave up on documents that it might accept later: the run fails and the checkpoint stays."""


class TryLater(HarvestError):
    """Nothing is wrong; the same command works later."""

    code = Exit.TRY_LATER


class LeaseHeld(TryLater):
    """Another run holds the lease."""


class RaceLost(TryLater):
    """Another run moved the checkpoint, or took the lease, while this one worked."""


class RateLimited(TryLater):
    """The other side still asked to be left alone (429) when the retry budget was spent, or ``--max-wait`` was."""


class Interrupted(TryLater):
    """Told to stop (SIGTERM, Ctrl-C); what was in hand is delivered and committed."""


class ProtocolError(HarvestError):
    """The other side does not honour the protocol."""

    code = Exit.PROTOCOL


class CredentialsRefused(HarvestError):
    """The other side refused who we are or what we may do."""

    code = Exit.CREDENTIALS


class ConfigError(HarvestError):
    """A setting is missing, or its value cannot be read."""

    code = Exit.CONFIG


class ReaderGone(HarvestError):
    """Whoever read standard output has closed it: the run ends quietly and the checkpoint stays."""

    code = Exit.DONE
