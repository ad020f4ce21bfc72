"""Dead letters of ``listings index``, indexed once more as what they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from harvesters.assembly import Assembly
from harvesters.kafka.records import Gap, Record
from harvesters.kafka.topics import Topic
from harvesters.listings import letters
from harvesters.listings.change import Fate
from harvesters.listings.replay import Ending, Unreplayable, replay
from harvesters.settings import Settings
from harvesters.sinks.deadletters import DeadLetter
from tests.indices import Cluster
from tests.listings.conftest import Market

TOPIC = Topic("listings", "A" * 22, 3)


def letter(value: bytes | None, key: bytes | None = b"1", offset: int = 5, partition: int = 2) -> DeadLetter:
    return letters.of_record(
        "listings", TOPIC, Record(partition, offset, 1_700_000_000_000, key, value), "once refused"
    )


@pytest.fixture
def assembly(cluster: Cluster) -> Iterator[Assembly]:
    with closing(Assembly(Settings({"ES_HOST": cluster.url, "LISTINGS_INDEX": cluster.name("listings")}))) as found:
        yield found


def test_a_message_is_indexed_as_what_it_was(assembly: Assembly, cluster: Cluster) -> None:
    assert replay(assembly, [letter(b'{"id": 1, "title": "Desk"}')]) == [Fate.INDEXED]
    assert cluster.documents("listings")["1"] == {
        "id": 1,
        "title": "Desk",
        "created": "2023-11-14T22:13:20Z",
        "origin": {
            "topic": "listings",
            "topic_id": "A" * 22,
            "partition": 2,
            "offset": 5,
            "timestamp": 1_700_000_000_000,
        },
    }


def test_what_is_newer_stays(assembly: Assembly, cluster: Cluster) -> None:
    newer, deletion = letter(b'{"id": 1, "title": "new"}', offset=6), letter(None, b"2", offset=6)
    older = [letter(b'{"id": %d, "title": "old"}' % id) for id in (1, 2)]
    assert replay(assembly, [newer, deletion]) == [Fate.INDEXED, Fate.DELETED]
    assert replay(assembly, older) == [Fate.SUPERSEDED, Fate.SUPERSEDED]
    assert {id: each["title"] for id, each in cluster.documents("listings").items()} == {"1": "new"}


def test_in_one_go_too_whatever_the_order(assembly: Assembly, cluster: Cluster) -> None:
    both = [letter(b'{"id": 1, "n": 6}', offset=6), letter(b'{"id": 1, "n": 5}')]
    assert replay(assembly, both) == [Fate.INDEXED, Fate.SUPERSEDED]
    assert cluster.documents("listings")["1"]["n"] == 6


def test_what_dies_again_says_why(assembly: Assembly) -> None:
    endings = replay(assembly, [letter(b"no json"), letter(b"\xff\xfe"), letter(b'{"id": 3, "": 1}', offset=7)])
    assert [isinstance(each, str) for each in endings] == [True] * 3
    assert "no JSON" in str(endings[0])
    assert "no UTF-8" in str(endings[1])
    assert "refused it" in str(endings[2])


GOOD: dict[str, Any] = letter(b'{"id": 1}').row


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (letters.of_gap("listings", Gap(TOPIC, 1, 3, 9)), "listings/1/3: a gap cannot be replayed"),
        (letters.of_gap("page-views", Gap(TOPIC, 1, 3, 9)), "listings/1/3: page-views cannot be replayed"),
        (DeadLetter("page-views", "views/0/1", "", GOOD), "views/0/1: page-views cannot be replayed"),
        (DeadLetter("listings", "x", "", None), "x: it cannot be replayed"),
        (DeadLetter("listings", "x", "", GOOD | {"offset": "5"}), "x: it cannot be replayed"),
        (DeadLetter("listings", "x", "", GOOD | {"value": 5}), "x: it cannot be replayed"),
        (DeadLetter("listings", "x", "", GOOD | {"value": {"base64": "%"}}), "x: it cannot be replayed"),
        (DeadLetter("listings", "x", "", {"topic": "t"}), "x: it cannot be replayed"),
    ],
)
def test_what_holds_no_message_is_named_and_stays(given: DeadLetter, why: str) -> None:
    """Without a cluster: nobody is asked."""
    (ending,) = replay(Assembly(Settings({"ES_HOST": "127.0.0.1:1"})), [given])
    assert isinstance(ending, Unreplayable)
    assert ending.reason.startswith(why)


def test_others_are_indexed_beside_it(assembly: Assembly, cluster: Cluster) -> None:
    gap = letters.of_gap("listings", Gap(TOPIC, 1, 3, 9))
    endings: list[Ending] = replay(assembly, [gap, letter(b'{"id": 1}')])
    assert isinstance(endings[0], Unreplayable)
    assert endings[1:] == [Fate.INDEXED]


def test_a_letter_of_a_run_is_read_back(market: Market) -> None:
    """Through the file, with a key and a value that are no text."""
    sent = market.kafka.send(market.kafka.listings, [(b"\xff", b"\xfe"), (None, None)])
    market.run("index")
    found = {each["id"]: DeadLetter(each["kind"], each["id"], each["reason"], each["row"]) for each in market.letters()}
    for message in sent:
        of = f"{message.topic()}/{message.partition()}/{message.offset()}"
        topic, record = letters.message_of(found[of])
        assert (topic.name, record.partition, record.offset) == (
            *of.split("/")[:1],
            message.partition(),
            message.offset(),
        )
        assert (record.key, record.value, record.timestamp) == (message.key(), message.value(), message.timestamp()[1])
