"""Marks in titles and descriptions, and whether our words and typos are Elasticsearch's."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.listings.highlight import SHOWN, Words, is_near, words
from tests.listings.shelf import (
    Shelf,
    shelf,  # noqa: F401  (a fixture)
)

# ruff: noqa: F811  (pytest's fixtures)

TEXTS = st.lists(
    st.sampled_from(
        [
            *("lamp", "Lamp's", "wi-fi", "3.5", "1,000", "example.com", "a_b", "__", "ÉCLAIR", "e\u0301te", "日本語"),
            *("ひらがな", "Σίσυφος", "İstanbul", "हिन्दी", "한국어", "x:y", "9:30", "a;b", "don’t", "🙂", "<b>", "&"),
            *(" ", "\n", "-", "/", "\u200d", "\u00ad", "A4", "4K", "12345", "'", ".", "ab.", ".ab", "a.b.c", "1.2.3"),
        ]
    ),
    max_size=12,
).map(" ".join)


def marked(title: str, text: str, description: str = "") -> str:
    return Words(text).highlight(title, description).title


def test_everything_is_escaped_but_our_marks() -> None:
    found = Words("script lamp").highlight("<script>alert('lamp')</script>", 'a "lamp" & <mark>x</mark>')
    assert found.title == (
        "&lt;<mark>script</mark>&gt;alert(&#x27;<mark>lamp</mark>&#x27;)&lt;/<mark>script</mark>&gt;"
    )
    assert marked("the lamp's foot", "lamp's") == "the <mark>lamp&#x27;s</mark> foot"
    assert found.description == "a &quot;<mark>lamp</mark>&quot; &amp; &lt;mark&gt;x&lt;/mark&gt;"


def test_a_near_word_is_marked_only_where_the_exact_one_is_missing() -> None:
    assert marked("a lamb and a lamp", "lamp") == "a lamb and a <mark>lamp</mark>"
    assert marked("a lamb", "LAMP") == "a <mark>lamb</mark>"
    assert marked("a lamb", "lamp", "with a lamp") == "a lamb"


def test_without_a_text_nothing_is_marked() -> None:
    assert marked("a < b", "") == marked("a < b", "***") == "a &lt; b"


@pytest.mark.parametrize("at", [0, 10, 200, 290, 1000, 1990])
def test_of_a_long_text_the_part_around_the_first_mark_is_shown(at: int) -> None:
    text = " ".join([*["word"] * at, "lamp", *["other"] * (2000 - at)])
    said = Words("lamp").highlight("", text).description
    shown = unescape(re.sub("</?mark>|…", "", said)).strip()
    assert "<mark>lamp</mark>" in said
    assert shown in text
    assert len(shown) <= SHOWN
    assert (said[0] == "…", said[-1] == "…") == (at > 20, at < 1900)


@given(st.text(max_size=900), st.text(max_size=30))
def test_a_short_text_is_shown_whole_and_a_long_one_in_part(text: str, asked: str) -> None:
    said = Words(asked).highlight(text, text)
    assert said.title == said.description
    assert not re.search("<(?!/?mark>)", said.title)
    shown = unescape(said.title.replace("<mark>", "").replace("</mark>", ""))
    if len(text) <= SHOWN:
        assert shown == unescape(text) or "&" in text or "\x00" in text or "\r" in text or not text.isprintable()
        assert said.title.replace("<mark>", "").replace("</mark>", "") == escaped(text)
    else:
        assert len(shown) <= SHOWN + 4


def escaped(text: str) -> str:
    return "".join({"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#x27;"}.get(c, c) for c in text)


def test_a_text_without_end_takes_no_time() -> None:
    text = "<b>" + "_" * 500_000 + "lamb " * 100_000
    assert len(Words("lamp " * 50).highlight(text, text).description) < 2 * SHOWN


def test_words_are_those_of_elasticsearch(shelf: Shelf) -> None:
    @settings(max_examples=60)
    @given(TEXTS)
    def same(text: str) -> None:
        path = f"/{shelf.name}/_analyze"
        tokens = shelf.node.ask("POST", path, {"field": "title", "text": text})["tokens"]
        theirs = [token["token"] for token in tokens if any(map(str.isalnum, token["token"]))]
        assert [word.text for word in words(text)] == theirs

    same()


def test_typos_are_those_of_elasticsearch(shelf: Shelf) -> None:
    """Every word of these letters, against some of them."""
    letters = "ab"
    there = [""]
    for _ in range(7):
        there += [f"{word}{letter}" for word in there for letter in letters if len(word) == max(map(len, there))]
    shelf.titled(*filter(None, {*there, "abcdefg", "bacdefg", "abdcegf", "abcdfeg"}))
    for wanted in ("a", "ab", "abb", "baab", "ababa", "ababab", "bbaabb", "abcdefg"):
        found = {*shelf.find(wanted, limit=5_000)}
        assert found == {
            word for word in {*there, "abcdefg", "bacdefg", "abdcegf", "abcdfeg"} - {""} if is_near(word, wanted)
        }
