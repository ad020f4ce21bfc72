"""Segments: the text of slides, in order, and how much of it an episode may have."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from harvesters.opencast.segments import SLIDE_TEXT_BYTES, slide_texts


def told(*segments: Any, mpid: str = "mp-1") -> dict[str, Any]:
    given = segments[0] if len(segments) == 1 else list(segments)
    return slide_texts(mpid, {"segments": {"segment": given}})


def segment(index: int, text: Any, time: int | None = None) -> dict[str, Any]:
    time = index * 1000 if time is None else time
    preview = {"preview": {"ref": "a250", "$": "https://cdn/1.jpg"}}
    return {
        "index": index,
        "time": time,
        "duration": 1000,
        "relevance": -1,
        "hit": False,
        "text": text,
        "previews": preview,
    }


def test_one_segment_is_an_object() -> None:
    assert told(segment(0, "Welcome")) == {
        "segments": [{"index": 0, "time": 0, "duration": 1000, "text": "Welcome"}],
        "slide_text": "Welcome",
    }


def test_they_are_in_the_order_of_their_time() -> None:
    assert told(segment(1, "b"), segment(2, "", 1500), segment(0, "a"), segment(3, 1984, 2000))["slide_text"] == (
        "a\nb\n1984"
    )


def test_attributes_are_texts_up_to_version_7() -> None:
    assert told({"index": "0", "time": "0", "duration": "2496", "text": True}) == {
        "segments": [{"index": 0, "time": 0, "duration": 2496, "text": "true"}],
        "slide_text": "true",
    }


def test_slides_without_text_have_none() -> None:
    assert told(segment(0, ""), {"index": "first", "text": None}) == {
        "segments": [{"index": 0, "time": 0, "duration": 1000, "text": ""}, {"text": ""}]
    }


@pytest.mark.parametrize("segments", ["", None, {}, {"segment": ""}, {"segment": []}, {"segment": ["x"]}, []])
def test_no_segments_are_no_fields(segments: Any) -> None:
    assert slide_texts("mp-1", {"segments": segments}) == {}


def test_what_is_too_long_is_cut_between_letters_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        text = told(segment(0, "x" * (SLIDE_TEXT_BYTES - 2)), segment(1, "ü" * 10), mpid="long-one")["slide_text"]
    assert text == "x" * (SLIDE_TEXT_BYTES - 2) + "\n"  # an ü is two bytes, and there was room for one
    assert "long-one" in caplog.text


def test_what_fits_is_kept_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    assert len(told(segment(0, "ü" * (SLIDE_TEXT_BYTES // 2)))["slide_text"]) == SLIDE_TEXT_BYTES // 2
    assert not caplog.records


def test_half_of_a_surrogate_pair_is_for_the_dead_letters_to_name() -> None:
    assert told(segment(0, "\ud83d"))["slide_text"] == "\ud83d"
