"""Counts and segments of messages against brute force: in our indices, in older ones, and in both."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from harvesters.errors import Unavailable
from harvesters.messages.analytics import counts, reading
from harvesters.messages.analytics.reading import Chosen, Messages
from harvesters.messages.descriptors import COUNT, METRICS
from tests.messages.talk import DAYS, START, Talk, conversation, counted, moment_of, segmented
from tests.nodes import node_for_a_test

METRICS_OF_MESSAGES = [
    (dimension, metric)
    for dimension, metrics in METRICS[COUNT].items()
    if dimension not in ("task", "transaction")
    for metric in metrics
]
END = START + timedelta(days=DAYS)


@pytest.fixture
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    with node_for_a_test(request) as node:
        yield Talk(node)


def messages_of(talk: Talk, threshold: int = 40_000) -> Messages:
    return Messages(talk.node.client(), threshold, index=f"{talk.node.prefix}message-*")


def agree(talk: Talk, start: datetime | None, end: datetime) -> None:
    """That all metrics are what brute force says."""
    messages, chosen = messages_of(talk), Chosen("p", start, end)
    wanted = {each: counted(talk, *each, start, end) for each in METRICS_OF_MESSAGES}
    assert {each: counts.count(messages, chosen, *each) for each in METRICS_OF_MESSAGES} == wanted
    for metric in ("all", "requests"):
        assert counts.segments(messages, chosen, metric) == segmented(talk, metric, start, end)
    three = sum(wanted["message", metric] for metric in METRICS[COUNT]["message"])
    assert three == sum(counts.segments(messages, chosen, "all").values())
    messages.client.close()


WINDOWS = [
    (None, END),
    (START + timedelta(days=2), START + timedelta(days=4)),
    (START + timedelta(days=1, seconds=7), END + timedelta(days=400 * 365)),
    (START - timedelta(days=80 * 365), START + timedelta(days=1)),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_in_indices_of_ours(talk: Talk, seed: int) -> None:
    talk.post(conversation(seed, 400))
    for window in WINDOWS:
        agree(talk, *window)


@pytest.mark.parametrize("seed", [3, 10, 11])
def test_in_older_indices(talk: Talk, seed: int) -> None:
    talk.post_old(conversation(seed, 400, metadata=False))
    for window in WINDOWS:
        agree(talk, *window)


def test_in_both(talk: Talk) -> None:
    talk.post(conversation(4, 250))
    talk.post_old(conversation(5, 250, metadata=False))
    talk.post_old(conversation(4, 100, metadata=False), "message-2021-03-other")
    talk.post_old(conversation(17, 100, metadata=False), f"message-{START.date()}")
    for window in WINDOWS:
        agree(talk, *window)


def test_an_older_index_whose_ids_were_numbers_first(talk: Talk) -> None:
    numbers = [{**said, "userId": place % 7, "messageId": place} for place, said in enumerate(conversation(6, 50))]
    talk.post_old([{**said, "metadata": {}} for said in numbers], "message-numbers")
    talk.post(conversation(6, 100))
    agree(talk, START, END)


def test_older_messages_without_ids_are_one_of_their_user(talk: Talk) -> None:
    for place, said in enumerate(conversation(7, 60, metadata=False)):
        talk.post_old([{**said, "messageId": None} if place % 3 else said])
    agree(talk, START, END)


def test_messages_without_ids_count_the_same_when_they_are_migrated(talk: Talk) -> None:
    for place, said in enumerate(conversation(7, 60, metadata=False)):
        if place % 3:
            talk.post([said])
        else:
            talk.post_as_it_is({**said, "messageId": None}, str(place))
    agree(talk, START, END)


def test_the_window_is_half_open_to_the_microsecond(talk: Talk) -> None:
    talk.post(conversation(8, 60))
    old = conversation(12, 60, metadata=False)
    near = (moment_of(old[0]) - timedelta(microseconds=1)).isoformat()
    talk.post_old([{**old[0], "userId": "near", "messageId": "near", "timestamp": near}, *old])
    for said in [*[*talk.ours.values()][:3], *talk.old[1:4]]:
        moment = moment_of(said)
        agree(talk, moment, END)
        agree(talk, START, moment)
        agree(talk, moment, moment + timedelta(microseconds=1))


def test_without_any_index(talk: Talk) -> None:
    agree(talk, START, END)
    agree(talk, None, END)


def test_more_values_than_a_page_and_than_the_threshold(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PAGE", 5_000)
    monkeypatch.setattr(counts, "_BATCH", 3_000)
    first = conversation(9, 1)[0]
    many = [{**first, "userId": f"u{number}", "messageId": "m", "project": "p"} for number in range(12_000)]
    later = (START + timedelta(days=3)).isoformat()
    talk.post([*many, *({**said, "userId": f"v{place}", "timestamp": later} for place, said in enumerate(many))])
    chosen = Chosen("p", START + timedelta(days=3), END)
    assert counts.count(messages_of(talk), chosen, "user", "new") == 12_000
    assert counts.count(messages_of(talk), chosen, "bot", "response") == 12_000
    assert counts.count(messages_of(talk), chosen, "user", "total") == 12_000
    assert counts.count(messages_of(talk, 100), chosen, "user", "total") == pytest.approx(12_000, rel=0.01)


def test_there_is_no_number_while_a_part_of_the_cluster_is_away(talk: Talk) -> None:
    talk.post(conversation(13, 20))
    path, nowhere = f"/{talk.node.prefix}message-red", {"index.routing.allocation.require._name": "nobody"}
    body = {"settings": {**nowhere, "number_of_replicas": 0}, "mappings": talk.node.mappings("messages")}
    talk.node.ask("PUT", path, body, params={"wait_for_active_shards": 0})
    messages = messages_of(talk)
    for each in METRICS_OF_MESSAGES:
        with pytest.raises(Unavailable):
            counts.count(messages, Chosen("p", START, END), *each)
    with pytest.raises(Unavailable):
        counts.segments(messages, Chosen("p", START, END), "all")
