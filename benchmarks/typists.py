"""Twenty people who type: a letter every 100 ms, each with the suggestions for it, and Enter at the end of a name.

Every other letter is asked of Elasticsearch by hand: the same query over a bare connection, so that both have the same
node, at the same time. ``python -m benchmarks.typists`` has them ask ``harvest.py serve`` from a process of their own:
what to do comes as JSON on standard input, what they waited for goes to standard output.
"""

from __future__ import annotations

import http.client
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import chain
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from benchmarks.figures import Figure, Target
from harvesters.profiles.suggest import suggest

CLIENTS, PAUSE, SECONDS = 20, 0.1, 10.0

Ask = Callable[[str], Any]


@dataclass(frozen=True)
class Asks:
    """What one client asks: for suggestions, for the same by hand, and for a whole text."""

    suggested: Ask
    by_hand: Ask
    searched: Ask


@dataclass
class Waits:
    """Seconds that each was waited for."""

    suggested: list[float] = field(default_factory=list)
    by_hand: list[float] = field(default_factory=list)
    searched: list[float] = field(default_factory=list)


def type_names(names: Sequence[str], connect: Callable[[], Asks]) -> Waits:
    """All clients type names, one after the other, for some seconds; each searches for a name with a letter missing."""
    waits = Waits()

    def client(number: int) -> None:
        dice, asks = random.Random(number), connect()
        time.sleep(PAUSE * number / CLIENTS)
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            name = dice.choice(names)
            turn = dice.randrange(2)
            for length in range(1, len(name) + 1):
                if (length + turn) % 2:
                    waits.suggested.append(_timed(asks.suggested, name[:length]))
                else:
                    waits.by_hand.append(_timed(asks.by_hand, name[:length]))
            at = dice.randrange(len(name))
            waits.searched.append(_timed(asks.searched, name[:at] + name[at + 1 :]))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def by_hand(port: int, index: str) -> Ask:
    """Asks the node at `port` over a connection of its own, and reads the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json"}

    def ask(text: str) -> Any:
        connection.request("POST", f"/{index}/_search", _query(text), headers)
        return orjson.loads(connection.getresponse().read())["hits"]["hits"]

    return ask


def figures(runs: Sequence[Waits], where: str) -> Iterable[Figure]:
    """What the issue has bounds for; a ratio is taken within each run."""
    suggested, bare, searched = (
        [*chain(*waits)] for waits in zip(*(asdict(run).values() for run in runs), strict=True)
    )
    yield Figure(f"{where}: suggestions, 95th percentile", _p95(suggested), "ms", Target(50), _spread(suggested))
    ratio = median(_p95(run.suggested) / _p95(run.by_hand) for run in runs)
    yield Figure("the same against the bare query", ratio, "×", Target(4), f"{_p95(bare):.1f} ms; {_spread(bare)}")
    yield Figure("searches meanwhile, 95th percentile", _p95(searched), "ms", Target(100), _spread(searched))


class _Noted:
    """In the place of an index: notes what it is asked."""

    body: Mapping[str, Any]

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.body = body
        return {"hits": []}


@cache
def _query(text: str) -> bytes:
    """What `suggest` asks Elasticsearch for."""
    noted = _Noted()
    suggest(noted, text)  # type: ignore[arg-type]
    return orjson.dumps(noted.body)


def _timed(ask: Ask, text: str) -> float:
    """Seconds until `text` is answered; the next letter comes when its time has."""
    started = time.perf_counter()
    ask(text)
    seconds = time.perf_counter() - started
    time.sleep(max(0.0, PAUSE - seconds))
    return seconds


def _spread(seconds: list[float]) -> str:
    return f"median {1000 * median(seconds):.1f} ms of {len(seconds):,}"


def _p95(seconds: list[float]) -> float:
    """The 95th percentile, in milliseconds."""
    return 1000 * quantiles(seconds, n=20)[-1]


def _over_http(url: str, node: int, index: str) -> Asks:
    """Asks ``harvest.py serve`` at `url`, over one connection that stays open."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def get(path: str, text: str) -> Any:
        connection.request("GET", f"{path}?q={quote(text)}")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {body[:500]!r}")
        return orjson.loads(body)

    return Asks(
        lambda text: get("/api/v1/profiles/suggest", text),
        by_hand(node, index),
        lambda text: get("/api/v1/profiles", text),
    )


def main() -> None:
    """Type, and print what was waited for."""
    asked = orjson.loads(sys.stdin.buffer.read())
    waits = type_names(asked["names"], lambda: _over_http(asked["url"], asked["node"], asked["index"]))
    print(orjson.dumps(asdict(waits)).decode())


if __name__ == "__main__":
    main()
