"""Bots that post messages to the service, or write the same into Elasticsearch by hand; what they do comes as JSON on
standard input.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time

import orjson
import requests

from harvesters.elastic.bulk import write

BATCH = 1000
INDEX = "hand"


def message(name: str) -> dict[str, object]:
    """A message of an ordinary bot."""
    return {
        "messageId": name,
        "conversationId": name[:8],
        "channel": "telegram",
        "userId": name[-2:],
        "timestamp": "2021-02-03T10:00:00.429203",
        "content": {"type": "text", "value": "Is there somebody who plays chess?"},
        "domain": None,
        "intent": {"name": "question", "confidence": 0.87},
        "entities": [],
        "language": "en",
        "metadata": {"task": 17},
        "project": "bench",
        "type": "request",
    }


def document(name: str) -> tuple[str, bytes]:
    """The id and the document that the service makes of it."""
    id = hashlib.sha256(name.encode()).hexdigest()
    values = [{"path": "metadata.task", "number": 17}]
    return id, orjson.dumps({**message(name), "harvest": {"id": id, "confidence": 0.87, "values": values}})


class Bot:
    """One client, on a connection of its own."""

    def __init__(self, url: str, prefix: str) -> None:
        self.session = requests.Session()
        self.url = url
        self.prefix = prefix

    def post(self, number: int) -> None:
        self._ask("POST", "/messages", orjson.dumps([message(f"{self.prefix}-{number}")]))

    def put(self, number: int) -> None:
        name = f"{self.prefix}-{number}"
        self._ask("PUT", f"/{INDEX}/_doc/{name}", orjson.dumps(message(name)))

    def post_batch(self, number: int) -> None:
        said = [message(f"{self.prefix}-{number}-{each}") for each in range(BATCH)]
        self._ask("POST", "/messages", orjson.dumps(said))

    def bulk(self, number: int) -> None:
        lines = [write(INDEX, *document(f"{self.prefix}-{number}-{each}")) for each in range(BATCH)]
        self._ask("POST", "/_bulk?filter_path=errors", b"".join(lines))

    def _ask(self, method: str, path: str, body: bytes) -> None:
        answer = self.session.request(method, self.url + path, data=body, headers={"Content-Type": "application/json"})
        if not answer.ok or b'"errors":true' in answer.content:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")


def main() -> None:
    """Have so many clients do a thing so often altogether, and print how many messages a second that was."""
    asked = orjson.loads(sys.stdin.buffer.read())
    each = max(1, asked["times"] // asked["clients"])

    def work(bot: Bot) -> None:
        for number in range(each):
            getattr(bot, asked["do"])(number)

    bots = [Bot(asked["url"], f"{asked['prefix']}{number:02}") for number in range(asked["clients"])]
    threads = [threading.Thread(target=work, args=[bot]) for bot in bots]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    done = each * asked["clients"] * (BATCH if asked["do"] in ("post_batch", "bulk") else 1)
    print(orjson.dumps({"rate": done / seconds}).decode())


if __name__ == "__main__":
    main()
