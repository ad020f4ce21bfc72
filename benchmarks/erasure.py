"""``harvest.py messages erase`` of a person, beside people who stay; the number that it prints has to be right.

new    30,000 messages in thirty indices of our template
old    as many in indices that dynamic mapping made
long   as many of somebody whose id dynamic mapping keeps no keyword of, so that each document is read
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import orjson

from benchmarks.figures import Figure
from benchmarks.firebase import Node
from benchmarks.groups import Group, Sizes
from harvesters.clock import SystemClock
from harvesters.elastic import bulk
from harvesters.elastic.client import SearchClient
from harvesters.messages import erasure, stored
from harvesters.messages.model import Message
from harvesters.retry import RetryPolicy
from harvesters.search import templates

_MESSAGES = 30_000
_INDICES = 30
_PART = 5000


def _erase(user: str, body: Callable[[dict[str, Any]], bytes], ours: bool, sizes: Sizes) -> Iterator[Figure]:
    count, seconds = sizes.of(_MESSAGES), []
    with Node(heap="1g") as node:
        client = SearchClient(node.url, RetryPolicy(SystemClock(), 60))
        if ours:
            templates.put(client, templates.find("messages"))
        for _ in range(sizes.runs + 1):
            for index in client.request("GET", "/_resolve/index/message-*").body["indices"]:
                client.request("DELETE", f"/{index['name']}")
            _fill(client, user, count, body)
            _fill(client, "bert", count, body)
            started = time.perf_counter()
            erased = erasure.erase(client, user)
            seconds.append(time.perf_counter() - started)
            if erased.messages != count:
                raise RuntimeError(f"{erased.messages} messages were erased, and not {count}")
        client.close()
    what = "our template" if ours else "dynamic mapping"
    kind = "each of which is read" if len(user) > 256 else "which are searched"
    yield Figure(
        f"erasing {count:,} of {2 * count:,} messages in {_INDICES} indices of {what}, {kind}", median(seconds[1:]), "s"
    )


def _fill(client: SearchClient, user: str, count: int, body: Callable[[dict[str, Any]], bytes]) -> None:
    for first in range(0, count, _PART):
        lines = []
        for number in range(first, min(first + _PART, count)):
            day = f"2021-01-{number % _INDICES + 1:02d}"
            said = {
                "messageId": str(number),
                "channel": "telegram",
                "userId": user,
                "timestamp": f"{day}T10:00:00",
                "content": {"type": "text", "value": "hello"},
                "metadata": {"score": number},
                "project": "wenet",
                "type": "request",
            }
            lines.append(bulk.write(f"message-{day}", f"{user[:10]}-{number}", body(said)))
        bulk.deliver(client, lines)


def _stored(said: dict[str, Any]) -> bytes:
    return stored.document(Message.parse(said))


GROUP = Group(
    "made-up messages of 300 bytes of two people, one of whom is erased",
    {
        "new": partial(_erase, "anna", _stored, True),
        "old": partial(_erase, "anna", orjson.dumps, False),
        "long": partial(_erase, "anna" * 100, orjson.dumps, False),
    },
)
