"""Suggestions of listings, in a real Elasticsearch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.listings.searchindex import ListingIndex, NoIndex, OtherForm
from harvesters.listings.suggest import Suggestion, suggest
from tests.listings.market import (
    Market,
    market,  # noqa: F401  (a fixture)
)

# ruff: noqa: F811  (pytest's fixtures)


def texts(market: Market, text: str, **options: int) -> list[str]:
    return [one.text for one in suggest(market.index, text, **options)]


def test_the_last_word_is_a_beginning_and_the_others_are_whole(market: Market) -> None:
    market.titled("MacBook Air used", "Mac mini", "used macrame", "A smack", "Air macbook")
    assert {*texts(market, "MAC")} == {"MacBook Air used", "Mac mini", "used macrame", "Air macbook"}
    assert {*texts(market, "used mac")} == {"MacBook Air used", "used macrame"}
    assert texts(market, "air, use") == ["MacBook Air used"]
    assert texts(market, "use mac") == []


def test_only_titles_count(market: Market) -> None:
    market.titled("Desk", description="macbook")
    assert texts(market, "mac") == []


def test_the_most_popular_come_first(market: Market) -> None:
    for title, visits in {"lamp a": None, "lamp b": 2, "lamp c": 100, "lamp d": 9}.items():
        market.titled(title, **({} if visits is None else {"visits": visits}))
    assert texts(market, "la") == ["lamp c", "lamp d", "lamp b", "lamp a"]
    assert texts(market, "lam", limit=2) == ["lamp c", "lamp d"]


def test_no_text_comes_twice_and_the_most_popular_has_it(market: Market) -> None:
    market.add(*({"id": number, "title": "iPhone 12", "visits": number} for number in range(300)))
    market.titled("iPhone 13", "iPhone case")
    assert suggest(market.index, "ipho") == [
        Suggestion("iPhone 12", "299"),
        *(Suggestion(text, text) for text in texts(market, "ipho")[1:]),
    ]
    assert sorted(texts(market, "ipho")) == ["iPhone 12", "iPhone 13", "iPhone case"]


def test_titles_that_are_too_long_to_suggest_are_left_out(market: Market) -> None:
    market.add({"id": 1, "title": "lamp " * 60}, {"id": 2, "title": "lamp " * 70}, {"id": 3, "title": "lamp"})
    assert texts(market, "la") == ["lamp"]


@pytest.mark.parametrize("text", ["", "   ", "***", '"', "<", "🙂"])
def test_without_a_letter_there_are_none(text: str, market: Market) -> None:
    market.titled("lamp")
    assert texts(market, text) == []


@pytest.mark.parametrize("text", ["lam*", '"lam', "title:lam", "lam~", "/lam/", "(lam", "lam ", "la\ud800", "lam 🙂"])
def test_a_text_is_only_ever_a_text(text: str, market: Market) -> None:
    market.titled("lamp")
    assert texts(market, text) == ([] if "title" in text else ["lamp"])


@settings(max_examples=40)
@given(text=st.text(max_size=256))
def test_whatever_is_typed_there_is_an_answer(market: Market, text: str) -> None:
    suggest(market.index, text)


def test_an_index_that_cannot_answer_says_so(market: Market) -> None:
    client, other = market.index.client, f"{market.node.prefix}other"
    with pytest.raises(NoIndex):
        suggest(ListingIndex(client, f"{market.name}-none"), "lamp")
    market.node.fill("other", [{"id": 42, "title": "lamp"}], key="id")
    with pytest.raises(OtherForm):
        suggest(ListingIndex(client, other), "lam")
