"""``HARVEST_METRICS_FILE``: the last run of each job, for the textfile collector of Prometheus' node exporter.

That reads every ``*.prom`` in its directory, whole, as another user, and skips a file that has a line it cannot read.
So the file is replaced as a whole, with mode 0644, and what lies beside it for a moment is not called ``*.prom``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from harvesters import files
from harvesters.errors import BadInput, ConfigError
from harvesters.operate.aside import Aside, Complaint
from harvesters.operate.jobs import Job
from harvesters.operate.measures import CHECKPOINT, GAUGES, LAST_RUN, LAST_SUCCESS, measures
from harvesters.settings import Settings
from harvesters.telemetry import Report
from harvesters.watched import RunRecord, Step, Watched

SETTING = "HARVEST_METRICS_FILE"

_LINE = re.compile(r'(harvest_\w+)\{job="([^"\\\n]+)"\} (\S+)')
_SAME_MOMENT = 60.0  # seconds: of two runs that end at once, the later one counts; beyond that it is a clock's fault
_REMEDY = f"Name a file in a directory that this user may write, in {SETTING}."

Values = dict[str, float]


class MetricsFile:
    """The file at `path`.

    Raises:
        ConfigError: the collector would not read a file of that name.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".prom":
            raise ConfigError(f"{SETTING}={str(path)!r}: its name has to end in .prom, for others are not read.")
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> MetricsFile:
        """The one that the settings name."""
        return cls(Path(settings.get(SETTING)).expanduser())

    def write(self, job: str, values: Values) -> None:
        """Replace the lines of `job`, and keep those of the others; what the run does not say stays as it was.

        Raises:
            ConfigError, Unavailable: it cannot be written.
            BadInput: it is somebody else's.
        """
        if not self.path.parent.is_dir():
            raise ConfigError(f"{self.path.parent} is no directory. {_REMEDY}")
        try:
            with files.locked(self.path.with_name(f".{self.path.name}.lock")):
                jobs = self.read()
                jobs[job] = _latest(jobs.get(job, {}), values)
                files.replace(self.path, _text(jobs).encode(), mode=0o644)
        except OSError as error:
            raise files.refusal(error, self.path, _REMEDY, "The next run writes it then.") from error

    def read(self) -> dict[str, Values]:
        """The values of each job; none where there is no file yet.

        Raises:
            BadInput: there are lines in it that are none of ours.
            OSError: it cannot be read.
        """
        try:
            text = self.path.read_text(errors="replace")
        except FileNotFoundError:
            return {}
        jobs: dict[str, Values] = {}
        for line in text.splitlines():
            if line.strip() and not line.startswith(("#", "harvest_")):
                raise BadInput(
                    f"{self.path} holds metrics of others, and is left alone. Name another file in {SETTING}."
                )
            match = _LINE.fullmatch(line)
            if match is not None and match[1] in GAUGES and (value := _finite(match[3])) is not None:
                jobs.setdefault(match[2], {})[match[1]] = value
        return jobs


def _latest(before: Values, values: Values) -> Values:
    """Those of the later run; the last success is the later one of both."""
    late = 0 < before.get(LAST_RUN, 0.0) - values[LAST_RUN] < _SAME_MOMENT
    first, then = (before, values) if late else (values, before)
    kept = {name: then[name] for name in (LAST_SUCCESS, CHECKPOINT) if name in then}
    found = {**kept, **first}
    if late and LAST_SUCCESS in values:
        found[LAST_SUCCESS] = max(values[LAST_SUCCESS], before.get(LAST_SUCCESS, 0.0))
    return found


def _text(jobs: dict[str, Values]) -> str:
    lines: list[str] = []
    for gauge, help in GAUGES.items():
        told = [
            f'{gauge}{{job="{job}"}} {_number(values[gauge])}'
            for job, values in sorted(jobs.items())
            if gauge in values
        ]
        if told:
            lines += [f"# HELP {gauge} {help}", f"# TYPE {gauge} gauge", *told]
    return "\n".join(lines) + "\n"


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


@dataclass
class MetricsWriter:
    """Writes how each run of `job` ended; a listener of `Watched`."""

    job: Job
    settings: Settings
    complain: Complaint = field(default_factory=lambda: Complaint(f"{SETTING} does not show this run"))

    def began(self, run: Watched) -> None:
        """The file is about runs that have ended."""

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        """It has not ended."""

    def stepped(self, run: Watched, step: Step) -> None:
        """It has not ended."""

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        """Replace the job's lines."""

        def write() -> None:
            values = measures(self.job, self.settings, record, report)
            MetricsFile.of(self.settings).write(self.job.name, values)

        Aside("metrics", self.complain).last(write)

    def held(self, run: Watched) -> None:
        """Who did nothing leaves the file untouched."""
