"""Aggregations over fields of messages against brute force."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy
import pytest

from harvesters.messages import descriptors, windows
from harvesters.messages.analytics.aggregations import aggregate
from harvesters.messages.analytics.reading import Chosen, Messages
from harvesters.messages.descriptors import Aggregation
from tests.messages.talk import DAYS, START, Said, Talk, conversation, numbers, values
from tests.nodes import node_for_a_test

END = START + timedelta(days=DAYS)
SCORE, TAG, CONFIDENCE = "metadata.score", "metadata.tag", "intent.confidence"


@pytest.fixture
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    with node_for_a_test(request) as node:
        yield Talk(node)


def found(talk: Talk, field: str, name: str, *filters: tuple[str, str, Any]) -> Any:
    """The aggregation of that name over messages of ``p`` that all filters let through."""
    client = talk.node.client()
    messages = Messages(client, index=f"{talk.node.prefix}message-*")
    wanted = Aggregation("p", windows.Moving("all"), field, name, tuple(descriptors.Filter(*each) for each in filters))
    try:
        said = aggregate(messages, Chosen("p", START, END), wanted)
    finally:
        client.close()
    return said[name] if said is not None and name in said else said


def with_any(messages: list[Said], field: str, is_so: Callable[[Any], bool]) -> list[Said]:
    return [said for said in messages if any(map(is_so, values([said], field)))]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def agree(talk: Talk, field: str, asked: str = "") -> None:
    """That every aggregation over numbers is what brute force says."""
    asked, those = asked or field, numbers(talk.all(), field)
    assert those
    wanted = {"avg": statistics.fmean(those), "min": min(those), "max": max(those), "sum": math.fsum(those)}
    for name, value in wanted.items():
        assert found(talk, asked, name) == pytest.approx(value), name
    assert found(talk, asked, "stats") == pytest.approx({"count": len(those), **wanted})
    extended = found(talk, asked, "extended_stats")
    assert extended["variance"] == pytest.approx(statistics.pvariance(those))
    assert extended["variance_sampling"] == pytest.approx(statistics.variance(those))
    assert extended["std_deviation"] == pytest.approx(statistics.pstdev(those))
    assert extended["sum_of_squares"] == pytest.approx(sum(each * each for each in those))
    bounds = extended["std_deviation_bounds"]
    assert bounds["upper"] == pytest.approx(wanted["avg"] + 2 * statistics.pstdev(those))
    assert bounds["lower_sampling"] == pytest.approx(wanted["avg"] - 2 * statistics.stdev(those))
    percents = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
    assert found(talk, asked, "percentiles") == pytest.approx(
        {str(percent): float(numpy.percentile(those, percent)) for percent in percents}
    )


def agree_on_any(talk: Talk, field: str, asked: str = "") -> None:
    """That counts of values of any type are what brute force says."""
    those = values(talk.all(), field)
    assert found(talk, asked or field, "value_count") == len(those)
    different = {(is_number(one), float(one) if is_number(one) else one) for one in those if not isinstance(one, bool)}
    assert found(talk, asked or field, "cardinality") == len(different) + len({one for one in those if one is True})


def test_of_metadata_of_any_type(talk: Talk) -> None:
    talk.post(conversation(1, 300))
    agree(talk, SCORE)
    agree(talk, SCORE, f"{SCORE}.keyword")
    agree_on_any(talk, SCORE)
    agree_on_any(talk, TAG)
    agree_on_any(talk, TAG, f"{TAG}.keyword")
    agree(talk, f"{SCORE}.a")


def test_of_confidence_in_our_indices_and_older_ones(talk: Talk) -> None:
    talk.post(conversation(2, 200))
    agree(talk, CONFIDENCE)
    # The first of these is 1, so that the cluster takes all for whole numbers.
    older = conversation(3, 200, metadata=False)
    talk.post_old(sorted(older, key=lambda said: (said.get("intent") or {}).get("confidence") != 1))
    agree(talk, CONFIDENCE)
    agree_on_any(talk, CONFIDENCE)


def test_of_keywords(talk: Talk) -> None:
    talk.post(conversation(4, 150))
    talk.post_old(conversation(5, 150, metadata=False))
    for field in ("type", "domain", "content.type", "intent.name"):
        agree_on_any(talk, field)
        agree_on_any(talk, field, f"{field}.keyword")
        assert found(talk, field, "avg") is None
    assert found(talk, "userId", "cardinality") == len({str(said["userId"]) for said in talk.all()})


def test_of_texts_that_are_longer_than_a_keyword(talk: Talk) -> None:
    first = next(said for said in conversation(14, 50) if said["type"] == "request")
    texts = ["short", "x" * 100_000, "x" * 100_000, "y" * 100_000, "short"]
    talk.post(
        {**first, "project": "p", "messageId": f"{place}", "content": {"type": "text", "value": text}}
        for place, text in enumerate(texts)
    )
    agree_on_any(talk, "content.value")


def test_there_is_no_result_without_a_number(talk: Talk) -> None:
    talk.post(conversation(6, 50))
    for name in ("avg", "min", "max", "sum", "stats", "extended_stats", "percentiles"):
        assert found(talk, "metadata.nowhere", name) is None
        assert found(talk, TAG, name) is None
        assert found(talk, "entities", name) is None
    assert found(talk, "metadata.nowhere", "value_count") == 0


@pytest.mark.parametrize("operation", ["gr", "gre", "lq", "lqe", "term"])
def test_filters_compare_numbers(talk: Talk, operation: str) -> None:
    talk.post(conversation(7, 200))
    compare: Callable[[float], bool] = {
        "gr": lambda number: number > 3,
        "gre": lambda number: number >= 3,
        "lq": lambda number: number < 3,
        "lqe": lambda number: number <= 3,
        "term": lambda number: number == 3,
    }[operation]
    those = with_any(talk.all(), SCORE, lambda value: is_number(value) and compare(value))
    assert found(talk, TAG, "value_count", (SCORE, operation, 3)) == len(values(those, TAG))
    assert found(talk, SCORE, "stats", (SCORE, operation, 3))["count"] == len(numbers(those, SCORE))


def test_filters_over_texts(talk: Talk) -> None:
    talk.post(conversation(8, 200))
    for text in ("red", "blue sky", "z" * 9000):
        those = with_any(talk.all(), TAG, text.__eq__)
        assert found(talk, TAG, "value_count", (TAG, "term", text)) == len(values(those, TAG))
        assert found(talk, TAG, "value_count", (f"{TAG}.keyword", "term", text)) == len(values(those, TAG))
    blue = with_any(talk.all(), TAG, lambda value: "blue" in value.lower())
    assert found(talk, TAG, "value_count", (TAG, "match", "BLUE")) == len(values(blue, TAG))
    after = with_any(talk.all(), TAG, lambda value: len(value) < 9000 and value > "blue")
    assert found(talk, SCORE, "stats", (TAG, "gr", "blue"), (TAG, "lq", "y"))["count"] == len(numbers(after, SCORE))


def test_all_filters_hold(talk: Talk) -> None:
    talk.post(conversation(9, 300))
    those = with_any(talk.all(), SCORE, lambda value: is_number(value) and value > 0)
    those = [
        said for said in those if said["type"] == "request" and (said.get("content") or {}).get("value") == "Hi there"
    ]
    filters = [(SCORE, "gr", 0), ("type", "term", "request"), ("content.value.keyword", "term", "Hi there")]
    assert found(talk, TAG, "value_count", *filters) == len(values(those, TAG))
    filters[2] = ("content.value", "match", "hi")
    assert found(talk, TAG, "value_count", *filters) == len(values(those, TAG))
    late = [said for said in those if said["timestamp"] >= "2021-03-03"]
    assert found(talk, TAG, "value_count", *filters, ("unknown", "term", 1)) == 0
    assert late != those


def test_words_of_keywords_match_in_any_index(talk: Talk) -> None:
    for place, post in enumerate((talk.post, talk.post_old)):
        made = conversation(20 + place, 80, metadata=False)
        post(
            {**said, "conversationId": f"{('Fast food', 'food', 'fun fair')[number % 3]}"}
            for number, said in enumerate(made)
        )
    those = [said for said in talk.all() if "food" in said["conversationId"]]
    for field in ("conversationId", "conversationId.keyword"):
        assert found(talk, "type", "value_count", (field, "match", "FOOD court")) == len(those)
    assert found(talk, "type", "value_count", ("conversationId", "term", "food")) < len(those)
    assert found(talk, "type", "value_count", ("conversationId", "match", "nothing")) == 0


def test_filters_over_confidence_in_older_indices(talk: Talk) -> None:
    older = conversation(10, 200, metadata=False)
    talk.post_old(sorted(older, key=lambda said: (said.get("intent") or {}).get("confidence") != 1))
    talk.post(conversation(11, 100))
    for value in (0.4, "0.4"):
        those = with_any(talk.all(), CONFIDENCE, lambda number: number > 0.4)
        assert found(talk, "intent.name", "value_count", (CONFIDENCE, "gr", value)) == len(those)


def test_what_the_former_service_writes_into_an_index_of_ours_is_old(talk: Talk) -> None:
    talk.post(conversation(15, 60))
    agree(talk, CONFIDENCE)
    talk.post_old(conversation(16, 60), f"message-{START.date()}")
    agree(talk, CONFIDENCE)
    agree_on_any(talk, "intent.name")
    assert found(talk, SCORE, "avg") is None


def test_older_indices_keep_metadata_from_having_a_result(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    talk.post(conversation(12, 60))
    assert found(talk, SCORE, "avg") is not None
    older = conversation(13, 60, metadata=False)
    talk.post_old([said for said in older if said["type"] == "response"])
    for name in descriptors.AGGREGATIONS:
        assert found(talk, SCORE, name) is None
    assert f"{talk.node.prefix}message-2021-03-old" in caplog.text
    assert found(talk, CONFIDENCE, "avg", (SCORE, "gr", 0)) is None
    # None of theirs is a request, so they say nothing of those.
    assert found(talk, SCORE, "avg", ("type", "term", "request")) is not None
    assert found(talk, CONFIDENCE, "avg") is not None
