"""A client of the insights that ``harvest.py serve`` serves; what it is to ask comes as JSON on standard input."""

from __future__ import annotations

import http.client
import sys
import time
from itertools import count
from urllib.parse import urlsplit

import orjson


def main() -> None:
    """Ask, and print the seconds of the first answer, and of each that came after it.

    No question is asked twice: `serve` keeps what it has said.
    """
    asked = orjson.loads(sys.stdin.buffer.read())
    connection = http.client.HTTPConnection(urlsplit(asked["url"]).netloc)
    numbers = count(1)

    def seconds(answer: str) -> float:
        started = time.perf_counter()
        connection.request("GET", f"/api/v1/insights/{answer}?start=2014-01-01T00:00:00.{next(numbers):03d}Z")
        said = connection.getresponse()
        body = said.read()
        if said.status != 200:
            raise RuntimeError(f"{answer} was answered with {said.status}: {body[:500]!r}")
        return time.perf_counter() - started

    first = seconds("heatmap")
    answers = {answer: [seconds(answer) for _ in range(asked["times"])] for answer in asked["answers"]}
    print(orjson.dumps({"first": first, "answers": answers}).decode())


if __name__ == "__main__":
    main()
