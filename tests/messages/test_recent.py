"""Where something was written is known for a while, by generations, and never for more than there is room for."""

from __future__ import annotations

import pytest

from harvesters.messages import recent
from harvesters.messages.recent import Recent, Silence
from tests.clocks import FakeClock


def test_each_place_is_known() -> None:
    places = Recent(FakeClock().monotonic, Silence())
    places.note({"a": "one", "b": "one"})
    places.note({"a": "two"})
    assert sorted(places.places(["a", "b", "c"])) == [("a", "one"), ("a", "two"), ("b", "one")]


@pytest.mark.parametrize(("seconds", "known"), [(9.9, True), (19.9, False), (50.0, False)])
def test_it_is_known_for_ten_seconds(seconds: float, known: bool) -> None:
    clock = FakeClock()
    places = Recent(clock.monotonic, Silence())
    clock.advance(8.0)
    places.note({"a": "one"})
    clock.advance(4.0)
    places.note({"b": "one"})
    clock.advance(seconds - 4.0)
    assert bool(places.places(["a"])) is known


def test_an_older_generation_and_a_younger_one_are_known_both() -> None:
    clock = FakeClock()
    places = Recent(clock.monotonic, Silence())
    places.note({"a": "one"})
    clock.advance(12.0)
    places.note({"a": "two"})
    assert sorted(places.places(["a"])) == [("a", "one"), ("a", "two")]


def test_very_many_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_MOST", 3)
    places = Recent(FakeClock().monotonic, Silence())
    for number in range(30):
        places.note({str(number): "one"})
    known = [id for id, _ in places.places(map(str, range(30)))]
    assert known[-3:] == ["27", "28", "29"]
    assert len(known) <= 6
