"""Where something was written is known for a while, by generations, and never for more than there is room for."""

from __future__ import annotations

import pytest

from harvesters.messages import recent
from harvesters.messages.recent import Recent
from tests.clocks import FakeClock


def test_what_was_noted_last_counts() -> None:
    places = Recent(FakeClock().monotonic)
    places.note({"a": "one", "b": "one"})
    places.note({"a": "two"})
    assert places.places(["a", "b", "c"]) == [("a", "two"), ("b", "one")]


@pytest.mark.parametrize(("seconds", "known"), [(4.9, True), (9.9, False), (25.0, False)])
def test_it_is_known_for_five_seconds(seconds: float, known: bool) -> None:
    clock = FakeClock()
    places = Recent(clock.monotonic)
    clock.advance(4.0)
    places.note({"a": "one"})
    clock.advance(2.0)
    places.note({"b": "one"})
    clock.advance(seconds - 2.0)
    assert bool(places.places(["a"])) is known


def test_an_older_generation_does_not_hide_a_younger_one() -> None:
    clock = FakeClock()
    places = Recent(clock.monotonic)
    places.note({"a": "one"})
    clock.advance(6.0)
    places.note({"a": "two"})
    assert places.places(["a"]) == [("a", "two")]


def test_very_many_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_MOST", 3)
    places = Recent(FakeClock().monotonic)
    for number in range(30):
        places.note({str(number): "one"})
    known = [id for id, _ in places.places(map(str, range(30)))]
    assert known[-3:] == ["27", "28", "29"]
    assert len(known) <= 6
