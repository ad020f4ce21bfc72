"""Suggestions of listings, in a real Elasticsearch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.listings.searchindex import ListingIndex, NoIndex, OtherForm
from harvesters.listings.suggest import Suggestion, suggest
from tests.listings.shelf import (
    Shelf,
    shelf,  # noqa: F401  (a fixture)
)

# ruff: noqa: F811  (pytest's fixtures)


def texts(shelf: Shelf, text: str, **options: int) -> list[str]:
    return [one.text for one in suggest(shelf.index, text, **options)]


def test_the_last_word_is_a_beginning_and_the_others_are_whole(shelf: Shelf) -> None:
    shelf.titled("MacBook Air used", "Mac mini", "used macrame", "A smack", "Air macbook")
    assert {*texts(shelf, "MAC")} == {"MacBook Air used", "Mac mini", "used macrame", "Air macbook"}
    assert {*texts(shelf, "used mac")} == {"MacBook Air used", "used macrame"}
    assert texts(shelf, "air, use") == ["MacBook Air used"]
    assert texts(shelf, "use mac") == []


def test_only_titles_count(shelf: Shelf) -> None:
    shelf.titled("Desk", description="macbook")
    assert texts(shelf, "mac") == []


def test_the_most_popular_come_first(shelf: Shelf) -> None:
    for title, visits in {"lamp a": None, "lamp b": 2, "lamp c": 100, "lamp d": 9}.items():
        shelf.titled(title, **({} if visits is None else {"visits": visits}))
    assert texts(shelf, "la") == ["lamp c", "lamp d", "lamp b", "lamp a"]
    assert texts(shelf, "lam", limit=2) == ["lamp c", "lamp d"]


def test_no_text_comes_twice_and_the_most_popular_has_it(shelf: Shelf) -> None:
    shelf.add(*({"id": number, "title": "iPhone 12", "visits": number} for number in range(300)))
    shelf.titled("iPhone 13", "iPhone case")
    assert suggest(shelf.index, "ipho") == [
        Suggestion("iPhone 12", "299"),
        *(Suggestion(text, text) for text in texts(shelf, "ipho")[1:]),
    ]
    assert sorted(texts(shelf, "ipho")) == ["iPhone 12", "iPhone 13", "iPhone case"]


def test_titles_that_are_too_long_to_suggest_are_left_out(shelf: Shelf) -> None:
    shelf.add({"id": 1, "title": "lamp " * 60}, {"id": 2, "title": "lamp " * 70}, {"id": 3, "title": "lamp"})
    assert texts(shelf, "la") == ["lamp"]


@pytest.mark.parametrize("text", ["", "   ", "***", '"', "<", "🙂"])
def test_without_a_letter_there_are_none(text: str, shelf: Shelf) -> None:
    shelf.titled("lamp")
    assert texts(shelf, text) == []


@pytest.mark.parametrize("text", ["lam*", '"lam', "title:lam", "lam~", "/lam/", "(lam", "lam ", "la\ud800", "lam 🙂"])
def test_a_text_is_only_ever_a_text(text: str, shelf: Shelf) -> None:
    shelf.titled("lamp")
    assert texts(shelf, text) == ([] if "title" in text else ["lamp"])


@settings(max_examples=40)
@given(text=st.text(max_size=256))
def test_whatever_is_typed_there_is_an_answer(shelf: Shelf, text: str) -> None:
    suggest(shelf.index, text)


def test_an_index_that_cannot_answer_says_so(shelf: Shelf) -> None:
    client, other = shelf.index.client, f"{shelf.node.prefix}other"
    with pytest.raises(NoIndex):
        suggest(ListingIndex(client, f"{shelf.name}-none"), "lamp")
    shelf.node.fill("other", [{"id": 42, "title": "lamp"}], key="id")
    with pytest.raises(OtherForm):
        suggest(ListingIndex(client, other), "lam")
