"""Messages by chance, in indices of ours and in older ones, and what is counted of them by brute force."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import orjson

from harvesters.messages import stored
from harvesters.messages.ids import text_of
from harvesters.messages.model import Message
from tests.nodes import Node

START = datetime(2021, 3, 1, tzinfo=UTC)
DAYS = 6
TYPES = ("request", "response", "notification")
Said = dict[str, Any]


def message(random: Random, number: int) -> Said:
    """One of few users, conversations and words, so that they meet again."""
    kind = random.choice(TYPES)
    moment = START + timedelta(microseconds=random.randrange(DAYS * 86_400_000_000))
    zone = timezone(timedelta(hours=random.choice((-5, 0, 0, 2))))
    said: Said = {
        "messageId": random.choice((f"m{number % 40}", number % 40)),
        "userId": random.choice(("ana", "bob", "zoë", 5, "5", "x" * 300, f"u{number}")),
        "project": random.choice(("p", "p", "P")),
        "channel": "c",
        "type": kind,
        "timestamp": moment.astimezone(zone).isoformat() if random.random() < 0.8 else str(moment)[:26],
        "conversationId": random.choice((None, "one", "two", "y" * 400, f"c{number % 9}")),
        "content": random.choice(
            ({"type": "text", "value": random.choice(("Hi there", "no"))}, {"type": "attachment", "uri": "u"}, None)
        ),
        "metadata": random.choice((None, {}, {"score": random.choice(SCORES), "tag": random.choice(TAGS)})),
    }
    if kind == "request":
        confidence = random.choice((0.5, 0.25, 1, None))
        said["intent"] = random.choice((None, {"name": random.choice(("default", "ask")), "confidence": confidence}))
        said["domain"] = random.choice((None, "food", "fun"))
    if kind == "response":
        said["responseTo"] = None
    return said


SCORES: tuple[Any, ...] = (3, 4.5, -1, 0.1, "high", "3", True, [1, 2, 2], {"a": 7}, None, 2**40)
TAGS: tuple[Any, ...] = ("blue sky", "Blue", "red", "z" * 9000, ["red", "blue"])


def conversation(seed: int, number: int, metadata: bool = True) -> list[Said]:
    """So many messages, as `GET /message` gives them."""
    random = Random(seed)
    made = [message(random, place) for place in range(number)]
    return [Message.parse(said if metadata else {**said, "metadata": {}}).out() for said in made]


@dataclass
class Talk:
    """What lies in the indices of a test.

    Attributes:
        ours: by triple; the last one counts.
        old: as documents, where one triple may be there twice.
    """

    node: Node
    ours: dict[tuple[Any, ...], Said] = field(default_factory=dict)
    old: list[Said] = field(default_factory=list)

    def post(self, messages: Iterable[Said]) -> None:
        """Into indices with our mapping."""
        messages = [*messages]
        for said in messages:
            self.ours[triple(said)] = said
        bulk: list[tuple[str, str | None, bytes]] = []
        for said in self.ours.values():
            parsed = Message.parse(said)
            bulk.append((f"message-{parsed.day}", parsed.trace_id, stored.document(parsed)))
        for index in {index for index, _, _ in bulk}:
            self._make(index)
        assert all(self._send(bulk))

    def post_old(self, messages: Iterable[Said], index: str = "message-2021-03-old") -> None:
        """Into an index with whatever mapping the cluster makes up, under ids of the cluster.

        What that mapping refuses the former service has lost.
        """
        messages = [*messages]
        taken = self._send([(index, None, orjson.dumps(said)) for said in messages])
        self.old += [said for said, kept in zip(messages, taken, strict=True) if kept]

    def post_as_it_is(self, said: Said, id: str) -> None:
        """Into an index with our mapping, as a migration leaves what is no message by today's rules."""
        self.old.append(said)
        self._make("message-2021-03-migrated")
        body = orjson.dumps({**said, "harvest": {"id": id}})
        assert all(self._send([("message-2021-03-migrated", id, body)]))

    def _make(self, index: str) -> None:
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        body = {"mappings": self.node.mappings("messages"), "settings": settings}
        self.node.ask("PUT", f"/{self.node.prefix}{index}", body, accept=(400,))

    def all(self, project: str = "p", start: datetime | None = None, end: datetime | None = None) -> list[Said]:
        """The messages of a project in a window."""
        return [
            said
            for said in (*self.ours.values(), *self.old)
            if str(said["project"]) == project
            and (start is None or moment_of(said) >= start)
            and (end is None or moment_of(said) < end)
        ]

    def _send(self, bulk: list[tuple[str, str | None, bytes]]) -> list[bool]:
        lines = []
        for index, id, document in bulk:
            head = {"_index": f"{self.node.prefix}{index}", **({"_id": id} if id else {})}
            lines += [orjson.dumps({"index": head}), document]
        client = self.node.client()
        body = b"\n".join([*lines, b""])
        answer = client.attempt("POST", "/_bulk", body, params={"refresh": "true"}, lines=True).body
        client.close()
        return [item["index"]["status"] < 300 for item in answer["items"]]


def triple(said: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Project, user and message, as texts."""
    return tuple(text_of(said[name]) for name in ("project", "userId", "messageId"))


def moment_of(said: Mapping[str, Any]) -> datetime:
    moment = datetime.fromisoformat(said["timestamp"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def counted(talk: Talk, dimension: str, metric: str, start: datetime | None, end: datetime) -> int:
    """What a count is, by its definition."""
    within, before = talk.all(start=start, end=end), talk.all(end=start) if start is not None else []

    def users(messages: list[Said], kind: str = "") -> set[str]:
        return {str(said["userId"]) for said in messages if kind in ("", said["type"])}

    def values(messages: list[Said], name: str) -> set[str]:
        return {value for said in messages if (value := said.get(name)) is not None}

    def intents(messages: list[Said]) -> list[tuple[str, Said]]:
        return [(said["intent"]["name"], said) for said in messages if said.get("intent")]

    if dimension == "message":
        return len({triple(said) for said in within if said["type"] == metric[:-1]})
    if dimension == "bot":
        theirs = defaultdict(set)
        for said in within:
            theirs[str(said["userId"])].add(triple(said))
        return sum(len(each) == 1 for each in theirs.values())
    return {
        ("user", "total"): lambda: len(users(within)),
        ("user", "active"): lambda: len(users(within, "request")),
        ("user", "engaged"): lambda: len(users(within, "notification")),
        ("user", "new"): lambda: len(users(within) - users(before)),
        ("conversation", "total"): lambda: len(values(within, "conversationId")),
        ("conversation", "new"): lambda: len(values(within, "conversationId") - values(before, "conversationId")),
        ("dialogue", "fallback"): lambda: len({triple(said) for name, said in intents(within) if name == "default"}),
        ("dialogue", "intents"): lambda: len({name for name, _ in intents(within)}),
        ("dialogue", "domains"): lambda: len(values(within, "domain")),
    }[dimension, metric]()


def segmented(talk: Talk, metric: str, start: datetime | None, end: datetime) -> Mapping[str, int]:
    """What segments are, by their definition."""
    within = talk.all(start=start, end=end)
    if metric == "all":
        return Counter(kind for kind, _ in {(said["type"], triple(said)) for said in within})
    requests = [said for said in within if said["type"] == "request" and said.get("content")]
    return Counter(kind for kind, _ in {(said["content"]["type"], triple(said)) for said in requests})


def values(messages: list[Said], field: str) -> list[Any]:
    """Each value of a field, those of lists and objects one by one, null left out."""

    def leaves(value: Any, path: list[str]) -> Iterator[Any]:
        if isinstance(value, list):
            for each in value:
                yield from leaves(each, path)
        elif path:
            if isinstance(value, dict) and path[0] in value:
                yield from leaves(value[path[0]], path[1:])
        elif value is not None and not isinstance(value, dict):
            yield value

    return [leaf for said in messages for leaf in leaves(said, field.split("."))]


def numbers(messages: list[Said], field: str) -> list[float]:
    """Those of the values that are numbers."""
    return [float(one) for one in values(messages, field) if isinstance(one, int | float) and not isinstance(one, bool)]
