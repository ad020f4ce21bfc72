"""The part ``insights``, over events in a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harvesters.insights.answers import INSIGHTS
from harvesters.insights.events import Row
from harvesters.insights.store import Store
from harvesters.web.eventindex import EventIndex
from harvesters.web.events import Events, Held
from tests.indices import Cluster
from tests.insights.made import event, rows
from tests.web.conftest import EVENTS, Open, load


def test_it_lists_the_answers_and_what_they_mean(open_face: Open) -> None:
    answers = open_face().get("/api/v1/insights").json()["answers"]
    assert [one["name"] for one in answers] == [*INSIGHTS]
    funnel = next(one for one in answers if one["name"] == "funnel")
    assert funnel["columns"][:3] == ["step", "event", "users"]
    assert funnel["options"] == {"within": None}
    assert "account_created" in funnel["definition"]


def test_each_answer_is_the_command_lines(events: dict[str, str], open_face: Open) -> None:
    face = open_face(**events)
    for name in INSIGHTS:
        said = face.get(f"/api/v1/insights/{name}").json()
        assert (said["answer"], said["as_of"], said["timezone"]) == (name, "2016-03-05T10:00:00.001+00:00", "UTC")
        assert [tuple(row.values()) for row in said["rows"]] == rows(name, EVENTS), name


@pytest.mark.parametrize(
    ("asked", "name", "meant"),
    [
        ("by=day&group=school&school=osu_edu", "overview", {"by": "day", "group": "school", "school": "osu_edu"}),
        ("start=2016-02-02&end=2016-03-01", "signups", {"start": 1454371200000, "end": 1456790400000}),
        ("within=1&student=ana", "funnel", {"within": 1, "student": "ana"}),
        ("moves=true&class=BIO", "cohorts", {"moves": True, "class_": "BIO"}),
        ("now=true", "third-buddy", {"now": True}),
        ("weeks=2&school=", "retention", {"weeks": 2}),
        ("limit=1&by=month", "most-active", {"limit": 1, "by": "month"}),
    ],
)
def test_parameters_mean_what_options_do(
    asked: str, name: str, meant: dict[str, Any], events: dict[str, str], open_face: Open
) -> None:
    said = open_face(**events).get(f"/api/v1/insights/{name}?{asked}")
    assert [tuple(row.values()) for row in said.json()["rows"]] == rows(name, EVENTS, **meant)


def test_times_are_local(events: dict[str, str], open_face: Open) -> None:
    face = open_face(**events, FIREBASE_TIMEZONE="America/Los_Angeles")
    said = face.get("/api/v1/insights/heatmap?end=2016-02-02").json()
    assert (said["as_of"], said["timezone"]) == ("2016-02-02T00:00:00.000-08:00", "America/Los_Angeles")
    assert said["rows"] == [{"date": "2016-02-01", "weekday": 1, "events": 2, "level": 1}]


@pytest.mark.parametrize("told", [True, False], ids=["told what changed", "not told"])
def test_new_changed_and_deleted_events_are_seen(
    told: bool, cluster: Cluster, tmp_path: Path, open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(cluster, EVENTS, tmp_path / "events.json")
    face = open_face(**settings, HARVEST_INSIGHTS_MAX_AGE="0")
    readings: list[EventIndex] = []
    read = EventIndex.rows

    def counted(self: EventIndex) -> Iterator[Row]:
        readings.append(self)
        return read(self)

    monkeypatch.setattr(EventIndex, "rows", counted)
    if not told:
        monkeypatch.setattr(EventIndex, "marks", lambda self: None)

    def users(step: int) -> int:
        return int(face.get("/api/v1/insights/funnel").json()["rows"][step - 1]["users"])

    assert (users(1), users(2)) == (2, 2)
    more = {**EVENTS, "k100": event("account_created", "eve", "2016-02-05T10:00:00")}
    load(cluster, more, tmp_path / "more.json")
    assert (users(1), users(2)) == (3, 2)
    load(cluster, {**more, "k003": event("page_view", "bob", "2016-02-03T10:00:00")}, tmp_path / "changed.json")
    assert (users(1), users(2)) == (3, 1)
    (where,) = [hit["_index"] for hit in cluster.hits("events") if hit["_id"] == "k100"]
    cluster.ask("DELETE", f"/{where}/_doc/k100")
    assert (users(1), users(2)) == (2, 1)
    load(cluster, more, tmp_path / "more.json")
    assert (users(1), users(2)) == (3, 2)
    assert len(readings) == (1 if told else 10)


def test_deletions_among_many_events_are_seen_later(
    cluster: Cluster, tmp_path: Path, open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(cluster, EVENTS, tmp_path / "events.json")
    monkeypatch.setattr("harvesters.web.events._FEW", 3)
    face = open_face(**settings, HARVEST_INSIGHTS_MAX_AGE="0")

    def seen_after_deleting(key: str) -> int:
        (where,) = [hit["_index"] for hit in cluster.hits("events") if hit["_id"] == key]
        cluster.ask("DELETE", f"/{where}/_doc/{key}")
        return sum(row["events"] for row in face.get("/api/v1/insights/overview").json()["rows"])

    assert sum(row["events"] for row in face.get("/api/v1/insights/overview").json()["rows"]) == 6
    assert seen_after_deleting("k000") == 5  # it is long since keys were compared
    assert seen_after_deleting("k001") == 5  # but not now
    monkeypatch.setattr("harvesters.web.events._DELETIONS", 0.0)
    assert sum(row["events"] for row in face.get("/api/v1/insights/overview").json()["rows"]) == 4


def test_requests_at_once_read_the_index_once(
    events: dict[str, str], open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[Events] = []
    read = Events._read

    def counted(self: Events) -> Held:
        readings.append(self)
        return read(self)

    monkeypatch.setattr(Events, "_read", counted)
    face = open_face(**events)
    with ThreadPoolExecutor(8) as clients:
        answers = [*clients.map(lambda _: face.get("/api/v1/insights/funnel").status_code, range(16))]
    assert answers == [200] * 16
    assert len(readings) == 1


def test_an_index_that_did_not_change_is_not_read_again(
    events: dict[str, str], open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = open_face(**events, HARVEST_INSIGHTS_MAX_AGE="0")
    first = face.get("/api/v1/insights/funnel").json()
    monkeypatch.setattr(EventIndex, "rows", None)
    monkeypatch.setattr(EventIndex, "changes", None)
    assert face.get("/api/v1/insights/funnel").json() == first


def test_the_same_question_is_answered_once_and_others_by_themselves(
    events: dict[str, str], open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = open_face(**events)
    first, other = (
        face.get("/api/v1/insights/funnel").content,
        face.get("/api/v1/insights/funnel?school=osu_edu").content,
    )
    page = face.get("/insights?school=osu_edu").text
    monkeypatch.setattr(Store, "cursor", None)
    assert face.get("/api/v1/insights/funnel?end=").content == first != other
    assert face.get("/api/v1/insights/funnel?school=osu_edu").content == other
    assert face.get("/insights?school=osu_edu&class=").text == page
    assert face.get("/api/v1/insights/funnel?school=another").status_code == 500


def test_without_an_index_it_names_the_command(cluster: Cluster, open_face: Open) -> None:
    face = open_face(ES_HOST=cluster.url, FIREBASE_INDEX_PREFIX=cluster.prefix, HARVEST_SEARCH_TIMEOUT="20")
    answer = face.get("/api/v1/insights/funnel")
    assert answer.status_code == 503
    assert "firebase load" in answer.json()["detail"]
    assert "Retry-After" in answer.headers
    page = face.get("/insights", headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert "firebase load" in page.text


def test_without_the_engine_it_names_the_extra_and_the_rest_is_served(
    open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvesters.web.insights.find_spec", lambda name: None)
    face = open_face()
    answer = face.get("/api/v1/insights/funnel")
    assert (answer.status_code, "pip install 'harvest[insights]'" in answer.text) == (503, True)
    assert face.get("/docs").status_code == 200


def test_nothing_of_the_cluster_stands_in_an_error(silent: str, open_face: Open) -> None:
    for host in (silent, "127.0.0.1:1"):
        answer = open_face(ES_HOST=host).get("/api/v1/insights/funnel?school=sesame")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "127.0.0.1" not in answer.text
        assert "sesame" not in answer.text


def test_a_window_without_events_has_no_as_of(cluster: Cluster, tmp_path: Path, open_face: Open) -> None:
    settings = load(cluster, {"k1": event("page_view", "ana", "2031-01-01T00:00:00")}, tmp_path / "events.json")
    face = open_face(**settings)
    said = face.get("/api/v1/insights/overview").json()
    assert (said["as_of"], said["rows"]) == (None, [])
    assert "There are no events." in face.get("/insights").text


def test_the_page_has_every_answer_with_its_rows(events: dict[str, str], open_face: Open) -> None:
    face = open_face(**events)
    page = face.get("/insights").text
    assert page.count("<figure><svg") == len(INSIGHTS) - 2  # there are no messages, and no third buddies
    assert '<td>osu_edu</td><td class="number">1</td>' in page
    page = face.get("/insights?school=%3Cb%3E%26&end=&class=none").text
    for name in INSIGHTS:
        assert f'<section id="{name}"' in page
    assert 'value="&lt;b&gt;&amp;"' in page
    assert "<b>" not in page
    assert "style=" not in page
    assert "There is no event of class &#39;none&#39;" in page
