"""Where something was written is known for a while, by generations, and never for more than there is room for."""

from __future__ import annotations

import pytest

from harvesters.messages import recent
from harvesters.messages.recent import Recent


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def test_what_was_noted_last_counts() -> None:
    places = Recent(Clock())
    places.note({"a": "one", "b": "one"})
    places.note({"a": "two"})
    assert places.places(["a", "b", "c"]) == [("a", "two"), ("b", "one")]


@pytest.mark.parametrize(("seconds", "known"), [(4.9, True), (9.9, False), (25.0, False)])
def test_it_is_known_for_five_seconds(seconds: float, known: bool) -> None:
    clock = Clock()
    places = Recent(clock)
    clock.time = 4.0
    places.note({"a": "one"})
    clock.time = 6.0
    places.note({"b": "one"})
    clock.time = 4.0 + seconds
    assert bool(places.places(["a"])) is known


def test_an_older_generation_does_not_hide_a_younger_one() -> None:
    clock = Clock()
    places = Recent(clock)
    places.note({"a": "one"})
    clock.time = 6.0
    places.note({"a": "two"})
    assert places.places(["a"]) == [("a", "two")]


def test_very_many_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_MOST", 3)
    places = Recent(Clock())
    for number in range(30):
        places.note({str(number): "one"})
    known = [id for id, _ in places.places(map(str, range(30)))]
    assert known[-3:] == ["27", "28", "29"]
    assert len(known) <= 6
