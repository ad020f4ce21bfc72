"""The simulated usertracking against the literal samples and rules of the real one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import requests

from tests.simulators.asking import Start, actions, contains, ids, row

S1 = (
    '{"actions":{"total":7,"offset":0,"limit":2,"action":[{"id":1,"mediapackageId":"0123","sessionId":{"sessionId":'
    '"5e3","userId":"007","userIp":"-omitted-"},"inpoint":0,"outpoint":5,"length":5,"type":"FOOTPRINT","isPlaying":'
    'true,"created":"2015-10-30T00:30:00.123Z"},{"id":2,"mediapackageId":20160213,"sessionId":{"sessionId":true,'
    '"userId":1.5},"inpoint":0,"outpoint":5,"length":5,"type":"PLAY","isPlaying":false,"created":'
    '"2015-10-30T00:30:00.120Z"}]}}'
)
S1B = (
    '{"actions":{"total":"1","offset":"0","limit":"10","action":{"id":1234,"mediapackageId":'
    '"74b6c02f-afbb-42bc-8145-344153a1792e","sessionId":{"sessionId":"1q2w3e4r5t6y","userId":10564389,"userIp":'
    '"140.247.1.2, 10.0.0.5","userAgent":"Mozilla\\/5.0"},"inpoint":30,"outpoint":30,"length":0,"type":"HEARTBEAT",'
    '"isPlaying":true,"created":"2015-10-30T00:30:00-04:00"}}}'
)
T0 = datetime(2015, 10, 30, 0, 30, tzinfo=UTC)


def test_sample_s1_two_rows_from_version_8(opencast: Start) -> None:
    simulator = opencast(dialect="stock", version=8, precision="millis", order="id")
    first = {"sessionId": "5e3", "userId": "007", "userIp": "-omitted-"}
    footprint = {"mpid": "0123", "session": first, "outpoint": 5, "type": "FOOTPRINT"}
    second = {"mpid": "20160213", "session": {"sessionId": "true", "userId": "1.5"}, "outpoint": 5, "is_playing": 2}
    simulator.add(
        row(1, T0 + timedelta(milliseconds=123), **footprint), row(2, T0 + timedelta(milliseconds=120), **second)
    )
    simulator.add(*(row(number, T0 + timedelta(hours=1)) for number in range(3, 8)))
    assert requests.get(simulator.url + "/usertracking/actions.json?limit=2", timeout=10).text == S1


def test_sample_s1b_one_row_and_none_up_to_version_7(opencast: Start) -> None:
    simulator = opencast(dialect="stock", version=7, timezone="America/New_York")
    url = simulator.url + "/usertracking/actions.json"
    assert requests.get(url, timeout=10).text == '{"actions":{"total":"0","offset":"0","limit":"10"}}'
    session = {
        "sessionId": "1q2w3e4r5t6y",
        "userId": "10564389",
        "userIp": "140.247.1.2, 10.0.0.5",
        "userAgent": "Mozilla/5.0",
    }
    heartbeat = {"mpid": "74b6c02f-afbb-42bc-8145-344153a1792e", "session": session, "inpoint": 30, "outpoint": 30}
    simulator.add(row(1234, T0 + timedelta(hours=4), type="HEARTBEAT", **heartbeat))
    assert requests.get(url, timeout=10).text == S1B


def test_before_2_the_session_is_flat_and_without_agent(opencast: Start) -> None:
    simulator = opencast(dialect="stock", version=1)
    session = {"sessionId": "s", "userId": "1", "userIp": "10.0.0.1", "userAgent": "x"}
    simulator.add(row(1, T0, session=session))
    assert contains(actions(simulator)["action"], {"sessionId": "s", "userId": 1, "userIp": "10.0.0.1"})
    assert "userAgent" not in actions(simulator)["action"]


def test_is_playing_is_a_number_in_dce_and_a_boolean_in_stock(opencast: Start) -> None:
    for dialect, expected in (("dce", [0, 1, 2]), ("stock", [False, True, False])):
        simulator = opencast(dialect=dialect)
        simulator.add(*(row(number, T0, is_playing=number) for number in (0, 1, 2)))
        found = [action["isPlaying"] for action in actions(simulator)["action"]]
        assert contains(found, expected)


def test_a_missing_session_is_a_missing_key(opencast: Start) -> None:
    simulator = opencast()
    simulator.add(row(1, T0))
    assert "sessionId" not in actions(simulator)["action"]


def test_limit_zero_is_ten_and_there_is_no_largest(opencast: Start) -> None:
    simulator = opencast()
    simulator.add(*(row(number, T0 + timedelta(seconds=number)) for number in range(1, 26)))
    assert [actions(simulator, limit=0)[key] for key in ("limit", "total")] == [10, 25]
    assert len(actions(simulator, limit=0)["action"]) == 10
    assert len(ids(simulator, limit=1_000_000_000)) == 25
    assert ids(simulator, limit=10, offset=20) == [21, 22, 23, 24, 25]
    assert "action" not in actions(simulator, limit=10, offset=25)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=-1", 400),
        ("offset=-1", 400),
        ("limit=abc", 404),
        ("offset=1.5", 404),
        ("limit=99999999999", 404),
        ("day=2015", 500),
        ("day=2015103x", 500),
        ("day=201510301", 200),
        ("id=x&type=PLAY&day=2015", 200),
        ("limit=&offset=", 200),
        ("nonsense=1&order=desc", 200),
        ("start=yesterday", 400),
    ],
)
def test_statuses_of_odd_parameters(opencast: Start, query: str, status: int) -> None:
    simulator = opencast(dialect="dce")
    assert requests.get(f"{simulator.url}/usertracking/actions.json?{query}", timeout=10).status_code == status


def test_stock_ignores_start_and_end_and_pages_the_whole_table(opencast: Start) -> None:
    simulator = opencast(dialect="stock")
    simulator.add(row(1, T0), row(2, T0 + timedelta(days=400)))
    assert ids(simulator, start="19700101000000", end="19700101000001") == [1, 2]


def test_dce_start_and_end_are_local_and_inclusive(opencast: Start) -> None:
    simulator = opencast(dialect="dce", timezone="America/New_York")
    local = datetime(2015, 10, 30, 12, 0, tzinfo=ZoneInfo("America/New_York"))
    simulator.add(*(row(number, local + timedelta(seconds=number)) for number in range(5)))
    assert ids(simulator, start="20151030120001", end="20151030120003") == [1, 2, 3]
    assert ids(simulator, start="20151030160001", end="20151030160003") == []
    assert ids(simulator, start="19700101000000", end="19700101000001") == []
    assert ids(simulator, start="20151030120003") == [3, 4]


def test_dce_times_at_a_change_of_clocks_are_those_of_java(opencast: Start) -> None:
    simulator = opencast(dialect="dce", timezone="America/New_York")
    first, second = datetime(2015, 11, 1, 5, 30, tzinfo=UTC), datetime(2015, 11, 1, 6, 30, tzinfo=UTC)
    skipped, rolled = datetime(2016, 3, 13, 7, 30, tzinfo=UTC), datetime(2016, 2, 1, 5, 0, tzinfo=UTC)
    simulator.add(row(1, first), row(2, second), row(3, skipped), row(4, rolled))
    assert ids(simulator, start="20151101013000", end="20151101013000") == [2]
    assert ids(simulator, start="20160313023000", end="20160313023000") == [3]
    assert ids(simulator, start="20151332000000", end="20151332000000") == [4]


@pytest.mark.parametrize("day", ["00000000", "00010101", "99991231", "99991399"])
def test_days_at_the_end_of_time_are_empty(opencast: Start, day: str) -> None:
    simulator = opencast(dialect="dce")
    simulator.add(row(1, T0))
    assert ids(simulator, day=day) == []
    assert ids(simulator, start=day + "000000", end=day + "000000") == []


def test_precedence_of_id_type_and_day(opencast: Start) -> None:
    simulator = opencast(dialect="stock", now=lambda: datetime(2024, 1, 1, tzinfo=UTC))
    other_day = T0 + timedelta(days=1)
    simulator.add(row(1, T0, mpid="a"), row(2, T0, mpid="b", type="SEEK"), row(3, other_day, mpid="a", type="SEEK"))
    assert ids(simulator, id="a") == [1, 2, 3]
    assert ids(simulator, id="a", type="SEEK") == [3]
    assert ids(simulator, id="a", type="SEEK", day="20151030") == [3]
    assert ids(simulator, type="SEEK", day="20151030") == [2]
    assert ids(simulator, type="SEEK") == [2, 3]
    assert ids(simulator, id="a", day="20151030") == [1, 2]


def test_a_day_lacks_what_lies_beside_the_seconds_of_the_request(opencast: Start) -> None:
    now = datetime(2024, 6, 1, 9, 17, 5, 305_000, tzinfo=UTC)
    simulator = opencast(dialect="stock", precision="millis", now=lambda: now)
    midnight = datetime(2015, 10, 30, tzinfo=UTC)
    offsets = (5.304, 5.305, 3600, 86_340 + 5.305, 86_340 + 5.306, 86_399)
    simulator.add(
        *(row(number, midnight + timedelta(seconds=second)) for number, second in enumerate(offsets, start=1))
    )
    assert ids(simulator, day="20151030") == [2, 3, 4]


def test_at_second_zero_and_59_a_day_is_all_but_complete(opencast: Start) -> None:
    clock = [datetime(2024, 6, 1, 9, 17, 0, tzinfo=UTC)]
    simulator = opencast(dialect="stock", now=lambda: clock[0])
    midnight = datetime(2015, 10, 30, tzinfo=UTC)
    simulator.add(row(1, midnight), row(2, midnight + timedelta(seconds=86_399)))
    assert ids(simulator, day="20151030") == [1]
    clock[0] += timedelta(seconds=59)
    assert ids(simulator, day="20151030") == [2]


def test_a_day_is_the_servers_day_and_lenient(opencast: Start) -> None:
    now = datetime(2024, 6, 1, 9, 17, tzinfo=UTC)
    simulator = opencast(dialect="stock", timezone="Asia/Kolkata", now=lambda: now)
    simulator.add(row(1, datetime(2016, 1, 1, 18, 29, tzinfo=UTC)), row(2, datetime(2016, 1, 1, 18, 30, tzinfo=UTC)))
    assert ids(simulator, day="20160101") == [1]
    assert ids(simulator, day="20160102") == [2]
    assert ids(simulator, day="20151302") == ids(simulator, day="20151233") == [2]


def test_broken_day_ignores_the_day_too(opencast: Start) -> None:
    simulator = opencast(dialect="stock", broken="day")
    simulator.add(row(1, T0))
    assert ids(simulator, day="20990101") == [1]
