"""From user actions to documents: the literal samples of the fact sheet, and each quirk with one of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from harvesters.opencast.actions import PoisonRow, created, mpid_of, to_document
from harvesters.opencast.jettison import as_list

NEW_YORK = ZoneInfo("America/New_York")

# Opencast 8 and newer (Jettison 1.5.4).
NEW = orjson.loads(
    '{"actions":{"total":7,"offset":0,"limit":2,"action":[{"id":1,"mediapackageId":"0123","sessionId":{"sessionId":"5e3",'
    '"userId":"007","userIp":"-omitted-"},"inpoint":0,"outpoint":5,"length":5,"type":"FOOTPRINT","isPlaying":true,'
    '"created":"2015-10-30T00:30:00.123Z"},{"id":2,"mediapackageId":20160213,"sessionId":{"sessionId":true,"userId":1.5},'
    '"inpoint":0,"outpoint":5,"length":5,"type":"PLAY","isPlaying":false,"created":"2015-10-30T00:30:00.120Z"}]}}'
)
# Opencast 7 and older (Jettison 1.3.1): a single row, and an empty page.
OLD = orjson.loads(
    r'{"actions":{"total":"1","offset":"0","limit":"10","action":{"id":1234,"mediapackageId":"74b6c02f-afbb-42bc-8145-'
    r'344153a1792e","sessionId":{"sessionId":"1q2w3e4r5t6y","userId":10564389,"userIp":"140.247.1.2, 10.0.0.5",'
    r'"userAgent":"Mozilla\/5.0"},"inpoint":30,"outpoint":30,"length":0,"type":"HEARTBEAT","isPlaying":true,'
    r'"created":"2015-10-30T00:30:00-04:00"}}}'
)
EMPTY = orjson.loads('{"actions":{"total":"0","offset":"0","limit":"10"}}')


def rows(answer: Any) -> list[Any]:
    return as_list(answer["actions"].get("action"))


def body(row: Any, episode: dict[str, Any] | None = None) -> dict[str, Any]:
    return to_document(row, created(row, NEW_YORK), episode or {}).body


def changed(**fields: Any) -> dict[str, Any]:
    """The old sample's row with other fields; None takes one away."""
    row = {**rows(OLD)[0], **fields}
    return {name: value for name, value in row.items() if value is not None}


class TestSamples:
    def test_a_single_row_of_an_old_opencast(self) -> None:
        (row,) = rows(OLD)
        document = to_document(row, created(row, NEW_YORK), {"title": "Lecture 10"})
        assert document.body == {
            "action_id": 1234,
            "timestamp": "2015-10-30T04:30:00+00:00",
            "mpid": "74b6c02f-afbb-42bc-8145-344153a1792e",
            "session_id": "1q2w3e4r5t6y",
            "huid": "10564389",
            "useragent": "Mozilla/5.0",
            "ip": "140.247.1.2",
            "proxy1": "10.0.0.5",
            "is_live": False,
            "action": {"type": "HEARTBEAT", "inpoint": 30, "outpoint": 30, "length": 0, "is_playing": True},
            "episode": {"title": "Lecture 10"},
        }
        assert (document.id, document.kind) == ("1234", "useractions")
        assert document.timestamp == datetime(2015, 10, 30, 4, 30, tzinfo=UTC)
        assert document.group == "74b6c02f-afbb-42bc-8145-344153a1792e"

    def test_the_rows_of_a_newer_one(self) -> None:
        first, second = map(body, rows(NEW))
        assert first == {
            "action_id": 1,
            "timestamp": "2015-10-30T00:30:00.123000+00:00",
            "mpid": "0123",
            "session_id": "5e3",
            "huid": "007",
            "useragent": None,
            "ip": None,
            "is_live": False,
            "action": {"type": "FOOTPRINT", "inpoint": 0, "outpoint": 5, "length": 5, "is_playing": True},
            "episode": {},
        }
        assert (second["mpid"], second["session_id"], second["huid"]) == ("20160213", "true", "1.5")
        assert second["action"]["is_playing"] is False

    def test_an_empty_page(self) -> None:
        assert rows(EMPTY) == []


class TestQuirks:
    def test_before_opencast_2_the_session_is_flat(self) -> None:
        flat = changed(sessionId="1q2w", userId=42, userIp="10.0.0.1")
        found = body(flat)
        assert (found["session_id"], found["huid"], found["ip"], found["useragent"]) == ("1q2w", "42", "10.0.0.1", None)

    @pytest.mark.parametrize("session", [None, "", {}, {"sessionId": "-omitted-", "userId": "u"}, {"userId": "u"}])
    def test_a_missing_or_omitted_session_is_nobodys(self, session: Any) -> None:
        found = body(changed(sessionId=session))
        assert (found["session_id"], found["huid"]) == (None, None)

    def test_what_is_omitted_is_null_one_by_one(self) -> None:
        session = {"sessionId": "s", "userId": "-omitted-", "userIp": "-omitted-", "userAgent": "-omitted-"}
        found = body(changed(sessionId=session))
        assert (found["session_id"], found["huid"], found["ip"], found["useragent"]) == ("s", None, None, None)

    @pytest.mark.parametrize("user", ["None", "", None])
    def test_nobody_is_no_huid(self, user: Any) -> None:
        assert body(changed(sessionId={"sessionId": "s", "userId": user}))["huid"] is None

    @pytest.mark.parametrize("user", [10564389, "10564389"])
    def test_the_huid_is_a_string(self, user: Any) -> None:
        assert body(changed(sessionId={"sessionId": "s", "userId": user}))["huid"] == "10564389"

    @pytest.mark.parametrize(
        ("value", "playing", "live"),
        [
            (True, True, False),
            (False, False, False),
            ("true", True, False),
            ("false", False, False),
            (0, False, False),
            (1, True, False),
            (2, True, True),
            ("0", False, False),
            ("1", True, False),
            ("2", True, True),
            (None, False, False),
            ("", False, False),
        ],
    )
    def test_is_playing_comes_in_many_shapes(self, value: Any, playing: bool, live: bool) -> None:
        found = body(changed(isPlaying=value))
        assert found["action"]["is_playing"] is playing
        assert found["is_live"] is live

    @pytest.mark.parametrize(
        ("header", "named"),
        [
            ("1.2.3.4", {"ip": "1.2.3.4"}),
            ("1.2.3.4, 10.0.0.5", {"ip": "1.2.3.4", "proxy1": "10.0.0.5"}),
            ("1.2.3.4,10.0.0.5 , ::1", {"ip": "1.2.3.4", "proxy1": "10.0.0.5", "proxy2": "::1"}),
            ("1.2.3.4, , 10.0.0.5,", {"ip": "1.2.3.4", "proxy1": "10.0.0.5"}),
            ("", {"ip": None}),
            (", 10.0.0.5", {"ip": None, "proxy1": "10.0.0.5"}),
        ],
    )
    def test_the_client_and_the_proxies_it_came_through(self, header: str, named: dict[str, Any]) -> None:
        found = body(changed(sessionId={"sessionId": "s", "userIp": header}))
        assert {name: value for name, value in found.items() if name == "ip" or name.startswith("proxy")} == named

    def test_numbers_may_be_strings_and_lengths_negative(self) -> None:
        found = body(changed(id="1234", inpoint="30", outpoint=25.0, length=-5))
        assert found["action_id"] == 1234
        assert found["action"] == {"type": "HEARTBEAT", "inpoint": 30, "outpoint": 25, "length": -5, "is_playing": True}

    def test_what_a_row_lacks_is_null(self) -> None:
        found = body({"id": 1, "created": "2015-10-30T00:30:00Z"})
        assert found["mpid"] is None
        assert found["action"] == dict.fromkeys(("type", "inpoint", "outpoint", "length")) | {"is_playing": False}
        row = {"id": 1, "created": "2015-10-30T00:30:00Z"}
        assert to_document(row, created(row, NEW_YORK), {}).group == "useractions"

    @pytest.mark.parametrize("kind", ["RESIZE-TO-640x480", 'event;{"a":1}', 5, True])
    def test_any_type_is_a_string(self, kind: Any) -> None:
        assert isinstance(body(changed(type=kind))["action"]["type"], str)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2015-10-30T00:30:00-04:00", "2015-10-30T04:30:00+00:00"),
            ("2015-10-30T00:30:00Z", "2015-10-30T00:30:00+00:00"),
            ("2015-10-30T00:30:00.12Z", "2015-10-30T00:30:00.120000+00:00"),
            ("2015-10-30T00:30:00", "2015-10-30T04:30:00+00:00"),
            ("2015-11-01T01:30:00-05:00", "2015-11-01T06:30:00+00:00"),
        ],
    )
    def test_the_time_is_utc_whatever_the_server_says(self, text: str, moment: str) -> None:
        assert body(changed(created=text))["timestamp"] == moment

    def test_the_id_is_the_sources_key_alone(self) -> None:
        one, other = changed(length=1), changed(length=900, mediapackageId="another")
        ids = {to_document(row, created(row, UTC), {}).id for row in (one, other)}
        assert ids == {"1234"}


class TestPoison:
    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            (changed(id=None), "'id' is missing"),
            (changed(id="twelve"), "'twelve' is no whole number"),
            (changed(id=1.5), "1.5 is no whole number"),
            (changed(id=True), "True is no number"),
            (changed(inpoint="soon"), "'soon' is no whole number"),
            (changed(inpoint={}), "{} is no whole number"),
            (changed(mediapackageId=["a", "b"]), "is no text"),
            (changed(type={"a": 1}), "is no text"),
            (changed(isPlaying="perhaps"), "'perhaps' is no whole number"),
        ],
    )
    def test_a_row_that_makes_no_document_says_why(self, row: dict[str, Any], reason: str) -> None:
        with pytest.raises(PoisonRow, match=reason):
            body(row)

    @pytest.mark.parametrize(
        "value", [None, "", "yesterday", "2015-10-30", 20151030, True, "2015-13-30T00:30:00Z", {"$": "x"}, ["a"]]
    )
    def test_a_row_without_a_time_says_so(self, value: Any) -> None:
        if value == "2015-10-30":
            assert created(changed(created=value), UTC) == datetime(2015, 10, 30, tzinfo=UTC)
            return
        with pytest.raises(PoisonRow, match="'created' is no date"):
            created(changed(created=value), UTC)

    @pytest.mark.parametrize("row", [None, "row", 5, [], ["a"]])
    def test_what_is_no_row_at_all(self, row: Any) -> None:
        with pytest.raises(PoisonRow):
            created(row, UTC)
        with pytest.raises(PoisonRow):
            to_document(row, datetime(2026, 1, 1, tzinfo=UTC), {})
        assert mpid_of(row) is None


def test_the_media_package_of_a_row() -> None:
    assert mpid_of(changed()) == "74b6c02f-afbb-42bc-8145-344153a1792e"
    assert mpid_of(changed(mediapackageId=20160213)) == "20160213"
    assert mpid_of(changed(mediapackageId=None)) is None
    assert mpid_of(changed(mediapackageId=["a"])) is None
    assert mpid_of(changed(mediapackageId="half a pair: \ud83d")) is None


def test_the_name_of_an_opencast_begins_the_id_where_there_is_one() -> None:
    row = changed()
    named, plain = (to_document(row, created(row, UTC), {}, source) for source in ("main-campus", ""))
    assert (named.id, named.body["source"]) == ("main-campus-1234", "main-campus")
    assert (plain.id, "source" in plain.body) == ("1234", False)


@pytest.mark.parametrize(
    "odd",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", "2026-03-10T12:00:00+00:07"],
)
def test_a_time_that_no_clock_shows_is_no_date(odd: str) -> None:
    with pytest.raises(PoisonRow, match="is no date"):
        created(changed(created=odd), UTC)


@pytest.mark.parametrize("field", ["inpoint", "outpoint", "length"])
@pytest.mark.parametrize("odd", [float("inf"), float("nan"), "1e400", "9" * 5000, [], {}])
def test_a_point_that_is_no_number_is_a_reason_and_no_traceback(field: str, odd: Any) -> None:
    row = changed(**{field: odd})
    with pytest.raises(PoisonRow):
        to_document(row, created(row, UTC), {})
