"""What the simulated Opencast makes up has the forms of real installations, the rude ones too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.simulators.asking import Start, actions, ask

START, END = datetime(2026, 2, 12, tzinfo=UTC), datetime(2026, 2, 13, tzinfo=UTC)


def kinds(opencast: Start, **options: Any) -> dict[str, set[Any]]:
    """What a generated server says of each type of action that it has: whether it plays."""
    simulator = opencast(**options)
    simulator.generate(actions=1000, start=START, end=END)
    playing: dict[str, set[Any]] = {}
    for row in actions(simulator, limit=1000)["action"]:
        playing.setdefault(row["type"], set()).add(row["isPlaying"])
    return playing


class TestPlayers:
    def test_dces_sends_heartbeats(self, opencast: Start) -> None:
        playing = kinds(opencast, dialect="dce")
        assert {1, 2} <= playing["HEARTBEAT"]
        assert playing["FOOTPRINT"] == {0}

    def test_stock_ones_up_to_paella_6_send_footprints_and_do_not_say_whether_they_play(self, opencast: Start) -> None:
        playing = kinds(opencast, dialect="stock", version=10)
        assert "HEARTBEAT" not in playing
        assert playing["FOOTPRINT"] == {False}

    def test_paella_7_sends_neither(self, opencast: Start) -> None:
        playing = kinds(opencast, dialect="stock", version=16)
        assert not {"HEARTBEAT", "FOOTPRINT"} & playing.keys()
        assert "paella:buttonPress-es.upv.paella.layoutSelector" in playing


def test_a_workflow_of_a_streamed_lecture_ends_its_capture_as_skipped(opencast: Start) -> None:
    simulator = opencast(version=7)
    simulator.generate(start=START, end=END)
    for episode in simulator.episodes.values():
        workflow = ask(simulator, "/workflow/instances.json", mp=episode.mpid)["workflows"]["workflow"]
        steps = workflow["operations"]["operation"]
        capture = next(step for step in steps if step["id"] == "capture")
        assert capture["state"] == "SKIPPED"
        assert ("completed" in capture) is episode.live
        if episode.live:
            assert [step["id"] for step in steps] == [
                *("publish-live", "capture", "retract-live"),
                *("retract-engage", "publish-engage", "retract-engage", "publish-engage"),
            ]
            assert isinstance(capture["started"], int)


@pytest.mark.parametrize("version", [7, 10, 16])
def test_a_live_stream_has_no_extent_and_no_attachments(opencast: Start, version: int) -> None:
    simulator = opencast(version=version)
    simulator.generate(start=START, end=END)
    live = next(episode for episode in simulator.episodes.values() if episode.live)
    answer = ask(simulator, "/search/episode.json", id=live.mpid)
    result = answer["result"][0] if version >= 16 else answer["search-results"]["result"]
    assert result["mediapackage"]["attachments"] == ""
    assert all(track["live"] is True for track in result["mediapackage"]["media"]["track"])
    assert result.get("dcExtent") == (-1 if version < 16 else None)


def test_segments_stand_beside_the_media_package_in_the_old_shape_only(opencast: Start) -> None:
    found = {}
    for version in (7, 8, 16):
        simulator = opencast(version=version)
        simulator.generate(start=START, end=END)
        single = next(episode for episode in simulator.episodes.values() if len(episode.segments) == 1)
        answer = ask(simulator, "/search/episode.json", id=single.mpid)
        found[version] = (answer["result"][0] if version >= 16 else answer["search-results"]["result"]).get("segments")
    assert found[16] is None
    old, new = (found[version]["segment"] for version in (7, 8))
    assert (old["text"], old["time"], new["time"]) == ("", "0", 0)
