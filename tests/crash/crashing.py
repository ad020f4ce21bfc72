"""What the crash tests share: attempts in processes that can be killed, and a small Opencast to harvest."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Self

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import ActionRow, Episode, OpencastSimulator

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2024, 3, 5, 10, 0, tzinfo=UTC)
END = datetime(2024, 3, 5, 10, 14, tzinfo=UTC)
BATCH = 5
KILLED = -9
POISON = 990_000


@dataclass(frozen=True)
class Attempt:
    """How one run ended: its exit code (negative: the signal), the points that it passed, and what it logged."""

    code: int
    points: list[str]
    log: str


class Driver:
    """The process of `tests.crash.driver`, which forks one child an attempt; `pid` is the file with the child's."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "log"
        self._points = directory / "points"
        self.pid = directory / "pid"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(30)

    def run(self, args: list[str], env: dict[str, str], kill_at: int | str = 0) -> Attempt:
        """One run of harvest.py, killed at its point number `kill_at`, or at the first point of that name."""
        self.pid.unlink(missing_ok=True)
        paths = {"log": str(self._log), "points": str(self._points), "pid": str(self.pid)}
        job = {"args": args, "env": env, "kill_at": kill_at, **paths}
        asked, answers = _open(self._process.stdin), _open(self._process.stdout)
        asked.write(json.dumps(job) + "\n")
        asked.flush()
        code = int(answers.readline())
        return Attempt(code, self._points.read_text().splitlines(), self._log.read_text())


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


class Opencast(OpencastSimulator):
    """A day in the life of a small Opencast: a few pages in the window, with one row in them that is no row."""

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        response.body = response.body.replace(b'"inpoint":%d' % POISON, b'"inpoint":"poison"')
        return response

    def fill(self, pages: int) -> Self:
        """`pages` pages of rows in START's lookback and up to END, and rows around that are not asked for."""
        self.add(Episode("mp-1", "Lecture 1", 1000, START, "20240212345", "CSCI E-1"), Episode("mp-2", "Lecture 2"))
        step = (END - START) / (pages * BATCH)
        # Two rows share a second now and then, as rows do.
        moments = [START + step * (number - number % 3 // 2) for number in range(pages * BATCH - 2)]
        self.add(_row(1, START - timedelta(minutes=5)), _row(2, START - timedelta(seconds=30)), _row(999, END))
        self.add(*(_row(number, moment) for number, moment in enumerate(moments, 100)))
        return self

    def deal_anew(self) -> None:
        """Shuffle rows for the next run as for the first, so that its steps are the same ones."""
        self.table._draws.seed(0)

    @property
    def wanted(self) -> set[int]:
        """The ids of the good rows that a run from START to END delivers: the lookback's too, the poison not."""
        window = (START - timedelta(seconds=60), END)
        rows = [row for row in self.table._by_id.values() if window[0] <= row.created < window[1]]
        return {row.id for row in rows if row.inpoint != POISON}

    poison_id = 107


def _row(number: int, created: datetime) -> ActionRow:
    inpoint = POISON if number == Opencast.poison_id else number
    session = {"sessionId": f"s{number % 4}", "userId": "10564389", "userIp": "140.247.1.2"}
    return ActionRow(
        number, f"mp-{number % 3}", session, inpoint, inpoint, "HEARTBEAT", 1, created.replace(microsecond=0)
    )


def environment(engage: str, redis_url: str, state: Path, **more: str) -> dict[str, str]:
    """The environment of a harvest of `engage`, with nothing of the developer's in it but what Python needs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return kept | {
        "MATTERHORN_ENGAGE_HOST": engage,
        "MATTERHORN_REST_USER": "matterhorn_system_account",
        "MATTERHORN_REST_PASS": "CHANGE_ME",
        "REDIS_URL": redis_url,
        "HARVEST_STATE_DIR": str(state),
        **more,
    }


def arguments(*more: str) -> list[str]:
    """The command line of a live run that ends at END; no `.env` of the checkout gets in."""
    return ["--env-file", os.devnull, "useractions", "-b", str(BATCH), "-e", END.isoformat(), *more]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The documents of a JSON-lines file; a torn line, or a torn gzip member, is an error."""
    if not path.exists():
        return []
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    assert text == b"" or text.endswith(b"\n"), "the last line is torn"
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def harvest_process(args: list[str], env: dict[str, str], stdout: Any = None) -> Iterator[subprocess.Popen[str]]:
    """A real ``harvest.py`` with its log in `stderr`; it does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "harvest.py"), *args], env=env, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
