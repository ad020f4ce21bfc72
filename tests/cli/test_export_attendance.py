"""``export attendance``: what counts as watched, on a real Elasticsearch."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.cli.watching import HOUR, Export, action, episode, footprint, rows, shares
from tests.indices import EPISODES, Cluster


class TestAttendance:
    def test_distinct_chunks_of_the_recording(self, export: Export) -> None:
        result = export("attendance")
        assert result.out.splitlines()[0] == "mpid,huid,vod_attendance"
        assert shares(result) == {("hour", "alice"): 25, ("hour", "bob"): 100, ("odd", "alice"): 66}

    def test_episodes_without_a_duration_are_left_out_with_a_warning(self, export: Export) -> None:
        err = export("attendance").err
        assert "2 episodes have no duration and are left out: no-duration, zero" in err

    def test_a_duration_that_is_no_number_is_none(self, among: Callable[..., Export]) -> None:
        odd = ["unknown", "Infinity", "NaN", "", [3_600_000, 1], True, -5, None, "1e999"]
        durations = {f"odd-{number}": duration for number, duration in enumerate(odd)}
        durations |= {"text": "3600000", "part": 3_600_000.9, "spelled": "3.6e6", "long": 2**63 - 1}
        lenient = {"type": "long", "ignore_malformed": True}
        mapping = {"dynamic": False, "properties": {**EPISODES["properties"], "duration": lenient}}
        actions = [action(mpid, "alice") for mpid in durations]
        episodes = [episode(mpid, duration=duration) for mpid, duration in durations.items()]
        result = among(actions, *episodes, listed=mapping)("attendance")
        assert shares(result) == {
            ("text", "alice"): 8,
            ("part", "alice"): 8,
            ("spelled", "alice"): 8,
            ("long", "alice"): 0,
        }
        assert f"{len(odd)} episodes have no duration" in result.err

    def test_live_counts_live_heartbeats_against_the_live_duration(self, export: Export) -> None:
        result = export("attendance", "--live")
        assert result.out.splitlines()[0] == "mpid,huid,live_attendance"
        assert shares(result, "live_attendance") == {("live", "alice"): 50}
        assert "have no live_duration" in result.err
        assert shares(export("attendance", "--no-live")) == shares(export("attendance"))

    @pytest.mark.parametrize("spelling", ["10m", "600", "600s", "10M"])
    def test_chunk_interval(self, export: Export, spelling: str) -> None:
        assert shares(export("attendance", "--chunk-interval", spelling)) == {
            ("hour", "alice"): 33,
            ("hour", "bob"): 100,
            ("odd", "alice"): 50,
        }

    @pytest.mark.parametrize("spelling", ["0", "-5m", "five", "5d", ""])
    def test_a_chunk_interval_that_is_none(self, export: Export, spelling: str) -> None:
        result = export("attendance", "--chunk-interval", spelling)
        assert result.code == 2
        assert "5m" in result.err

    def test_term_and_year(self, export: Export) -> None:
        assert {mpid for mpid, _ in shares(export("attendance", "--year", "2026"))} == {"hour", "odd"}
        assert {mpid for mpid, _ in shares(export("attendance", "--term", "02"))} == {"odd"}
        assert {mpid for mpid, _ in shares(export("attendance", "--term", "01", "--year", "2026"))} == {"hour"}
        assert rows(export("attendance", "--term", "02", "--year", "2025")) == []


class TestSize:
    def test_more_of_everything_than_a_page(self, export: Export, watched: Cluster) -> None:
        # 1,001 episodes of which one has 4,200 viewers, with three chunks of twelve each: 12,600 buckets and more.
        names = [f"many-{number:04}" for number in range(1000)]
        watched.fill("many-episodes", (episode(name, duration=HOUR) for name in ("crowd", *names)), EPISODES)
        crowd = [action("crowd", f"v{number:04}", at=at) for number in range(4200) for at in (0, 10, 300, 3599)]
        watched.fill("many-useractions", [*crowd, *(action(name, "alice") for name in names)])
        indices = ("--episodes-index", watched.name("many-episodes"), "-s", watched.name("many-useractions"))
        expected = {("crowd", f"v{number:04}"): 25 for number in range(4200)} | {(name, "alice"): 8 for name in names}
        assert shares(export("attendance", *indices)) == expected
        assert {(row["mpid"], row["huid"]) for row in rows(export("viewing_options", *indices))} == set(expected)


class TestWhatTheRecordingHas:
    def test_only_heartbeats_from_within_it_count(self, among: Callable[..., Export]) -> None:
        actions = [action("odd", "alice", at=at) for at in (0, 700, 899, 10_000, -1)]
        actions += [action("odd", "bob", at=at) for at in (601, -1, -300, 2**31)]
        actions += [action("odd", "carol", at=at) for at in (600, 299, 300)]
        # 601 seconds: the third of three chunks has one second.
        assert shares(among(actions)("attendance")) == {("odd", "alice"): 33, ("odd", "bob"): 0, ("odd", "carol"): 100}

    def test_a_part_of_a_second_is_one(self, among: Callable[..., Export]) -> None:
        actions = [action("short", "alice", at=300), action("short", "bob", at=301)]
        run = among(actions, episode("short", duration=300_500))
        assert shares(run("attendance")) == {("short", "alice"): 50, ("short", "bob"): 0}


class TestFootprints:
    def test_they_cover_seconds(self, among: Callable[..., Export]) -> None:
        actions = [
            footprint("hour", "alice", 0, 300),  # the first chunk, and not the second
            footprint("hour", "alice", 250, 301),
            footprint("hour", "bob", 299, 601),
            footprint("hour", "carol", -50, 1),
            footprint("hour", "dan", 3599, 2**31),
            footprint("hour", "eve", 100, 100),
            footprint("hour", "eve", 200, 100),
            footprint("hour", "eve", 3600, 4000),
            footprint("hour", "eve", -5, 0),
            footprint("hour", "fay", -(2**31), 2**31),
            footprint("hour", "anonymous", 0, 3600),
            footprint("hour", None, 0, 3600),
            footprint("hour", "None", 0, 3600),
            footprint("hour", "", 0, 3600),
            footprint("hour", "alice", 1000, 1300, is_live=True),
            action("hour", "alice", at=1000, type="PLAY"),
        ]
        result = among(actions)("attendance")
        assert result.out.splitlines()[0] == "mpid,huid,vod_attendance"
        expected = {"alice": 16, "bob": 25, "carol": 8, "dan": 8, "eve": 0, "fay": 100}
        assert shares(result) == {("hour", name): share for name, share in expected.items()}
        assert "no action" not in result.err

    def test_auto_takes_them_where_an_episode_has_no_heartbeat_of_anybody(self, among: Callable[..., Export]) -> None:
        actions = [
            footprint("hour", "alice", 0, 3600),
            footprint("hour", "zoe", 0, 3600),
            action("hour", "bob", at=0),
            footprint("odd", "alice", 0, 601),
            action("odd", "anonymous", playing=False, is_live=True),
            footprint("alone", "alice", 0, 3600),
            footprint("live", "alice", 0, 3600),
        ]
        run = among(actions)
        assert shares(run("attendance")) == {("alone", "alice"): 100, ("hour", "bob"): 8, ("live", "alice"): 100}
        assert shares(run("attendance", "--from", "auto")) == shares(run("attendance"))
        assert shares(run("attendance", "--from", "heartbeat")) == {("hour", "bob"): 8}
        assert list(shares(run("attendance", "--from", "footprint"))) == [
            ("alone", "alice"),
            ("hour", "alice"),
            ("hour", "zoe"),
            ("live", "alice"),
            ("odd", "alice"),
        ]

    def test_live_ones_against_the_live_duration(self, among: Callable[..., Export]) -> None:
        actions = [footprint("live", "alice", 0, 900, is_live=True), footprint("live", "alice", 0, 1800)]
        assert shares(among(actions)("attendance", "--live"), "live_attendance") == {("live", "alice"): 50}

    def test_another_source_is_usage(self, export: Export) -> None:
        result = export("attendance", "--from", "play")
        assert result.code == 2
        assert "footprint" in result.err

    def test_indices_without_our_templates(self, among: Callable[..., Export]) -> None:
        actions = [footprint("hour", "alice", 0, 601), footprint("hour", "None", 0, 601), footprint("hour", "", 0, 9)]
        run = among(actions, mapping={}, listed={})
        assert shares(run("attendance")) == {("hour", "alice"): 25}

    def test_fifty_thousand_are_counted_as_one_by_one(
        self, among: Callable[..., Export], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harvesters.tables.attendance._AT_ONCE", 9_000)
        draw = random.Random(11)
        lengths = {f"mp-{number:02}": draw.choice([601_000, 3_600_000, 5_399_999, 7_200_001]) for number in range(12)}
        rows = []
        for _ in range(50_000):
            begin = draw.choice([draw.randrange(-600, 8000), draw.randrange(0, 3600), 0, 2**31 - 5])
            end = draw.choice([begin + draw.randrange(-50, 120), begin + draw.randrange(900), begin, 2**31, -1])
            rows.append(footprint(draw.choice(list(lengths)), f"v{draw.randrange(300):03}", begin, end))
        seen: dict[tuple[str, str], set[int]] = {}
        for row in rows:
            chunks = seen.setdefault((row["mpid"], row["huid"]), set())
            end = min(row["action"]["outpoint"], -(-lengths[row["mpid"]] // 1000))
            chunks.update(second // 300 for second in range(max(0, row["action"]["inpoint"]), end))
        expected = {
            (mpid, huid): 100 * len(chunks) // -(-lengths[mpid] // 300_000) for (mpid, huid), chunks in seen.items()
        }
        run = among(rows, *(episode(mpid, duration=duration) for mpid, duration in lengths.items()))
        result = run("attendance")
        assert shares(result) == expected
        assert list(shares(result)) == sorted(expected)


class TestNobody:
    def test_names_of_nobody_are_left_out(self, among: Callable[..., Export]) -> None:
        actions = [action("hour", huid) for huid in ("None", "", "anonymous", "none", "alice")]
        run = among(actions)
        assert set(shares(run("attendance"))) == {("hour", "alice"), ("hour", "none")}
        assert [row["huid"] for row in rows(run("viewing_options"))] == ["alice", "none"]


class TestNothingToCount:
    @pytest.mark.parametrize(
        ("arguments", "types"),
        [
            (("attendance",), "HEARTBEAT, FOOTPRINT"),
            (("attendance", "--from", "heartbeat"), "HEARTBEAT"),
            (("attendance", "--from", "footprint"), "FOOTPRINT"),
            (("viewing_options",), "paella:buttonPress-es.upv.paella.layoutSelector"),
        ],
    )
    def test_it_is_said_in_one_line(self, among: Callable[..., Export], arguments: tuple[str, ...], types: str) -> None:
        result = among([action("hour", "alice", type="PLAY")], episode("hour", duration=HOUR))(*arguments)
        assert result.code == 0
        (line,) = (line for line in result.err.splitlines() if "no action in" in line)
        assert types in line
        assert "action_types" in line

    def test_not_where_there_is_something(self, export: Export) -> None:
        for name in ("attendance", "viewing_options"):
            assert "no action in" not in export(name, "--term", "99").err
