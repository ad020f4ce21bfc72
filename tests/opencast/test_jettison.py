"""JSON whose types depend on the server: whatever they are, the same document comes out."""

from __future__ import annotations

import copy
import math
import re
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvesters.opencast.actions import created, to_document
from harvesters.opencast.episodes import search_results, to_episode
from harvesters.opencast.jettison import as_dict, as_list, integer, java_double, text

UTC = ZoneInfo("UTC")


class TestHelpers:
    # As `System.out.println(double)` prints them.
    @pytest.mark.parametrize(
        ("value", "printed"),
        [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5, "1.5"),
            (-12.25, "-12.25"),
            (0.001, "0.001"),
            (0.00123, "0.00123"),
            (9.99e-4, "9.99E-4"),
            (1e-5, "1.0E-5"),
            (100.0, "100.0"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12345678.9, "1.23456789E7"),
            (20160213001.0, "2.0160213001E10"),
            (1e21, "1.0E21"),
            (-1e300, "-1.0E300"),
            (1.7976931348623157e308, "1.7976931348623157E308"),
            (0.1 + 0.2, "0.30000000000000004"),
            (float("nan"), "NaN"),
            (float("inf"), "Infinity"),
            (float("-inf"), "-Infinity"),
        ],
    )
    def test_a_double_is_written_as_java_writes_it(self, value: float, printed: str) -> None:
        assert java_double(value) == printed

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_a_double_survives_its_writing(self, value: float) -> None:
        written = java_double(value)
        assert float(written) == value
        assert re.fullmatch(r"-?\d+\.\d+(E-?\d+)?", written)

    @given(st.integers(-(2**63), 2**63 - 1))
    def test_whole_numbers_are_read_however_they_are_written(self, number: int) -> None:
        assert integer(number) == number
        assert integer(str(number)) == number
        assert text(number) == str(number)
        if abs(number) < 2**53:
            assert integer(float(number)) == number

    @pytest.mark.parametrize("value", [True, False, "1.5", 1.5, "one", [], {}, [1], float("nan"), "inf"])
    def test_what_is_no_whole_number_is_refused(self, value: Any) -> None:
        with pytest.raises(ValueError, match=r"no (whole )?number"):
            integer(value)

    @pytest.mark.parametrize("value", [None, ""])
    def test_what_is_absent_is_none(self, value: Any) -> None:
        assert integer(value) is None
        assert text(value) is None
        assert as_list(value) == []
        assert as_dict(value) == {}

    def test_texts(self) -> None:
        assert [text(value) for value in ("a", 7, 1.5, True, False)] == ["a", "7", "1.5", "true", "false"]
        assert text({"type": "md5", "$": "10b5"}) == "10b5"
        for structure in ([], ["a"], {}, {"a": "b"}):
            with pytest.raises(ValueError, match="no text"):
                text(structure)

    def test_one_child_none_or_many(self) -> None:
        assert as_list({"id": 1}) == [{"id": 1}]
        assert as_list([1, 2]) == [1, 2]
        assert as_list(0) == [0]
        assert as_dict({"a": 1}) == {"a": 1}


def converted(value: str) -> Any:
    """An element's text as Jettison types it: Long, else Double, else Boolean, iff ``toString`` gives the text back."""
    if value in ("true", "false"):
        return value == "true"
    if re.fullmatch(r"-?(0|[1-9]\d*)", value) and value != "-0" and -(2**63) <= int(value) < 2**63:
        return int(value)
    plain = re.fullmatch(r"-?\d+\.\d+", value)
    if plain and repr(float(value)) == value and (float(value) == 0 or 1e-3 <= abs(float(value)) < 1e7):
        return float(value)
    if re.fullmatch(r"-?\d\.\d+E-?\d+", value) and math.isfinite(float(value)) and scientific(float(value)) == value:
        return float(value)
    return value


def scientific(number: float) -> str:
    """The other of Java's two notations: for numbers below a thousandth and from ten million on."""
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return ""
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits))
    return f"{'-' * sign}{figures[0]}.{figures[1:] or '0'}E{exponent + len(figures) - 1}"


def retyped(value: Any, pick: Any, gson: bool = False) -> Any:
    """`value` with those of its texts that `pick` says converted, and, through Gson, every number made a float."""
    if isinstance(value, dict):
        return {name: retyped(item, pick, gson) for name, item in value.items()}
    if isinstance(value, list):
        items = [retyped(item, pick, gson) for item in value]
        return items[0] if len(items) == 1 and pick() and not isinstance(items[0], list) else items
    if isinstance(value, str) and pick():
        value = converted(value)
    if gson and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value


# Jettison writes a Double without its trailing zeros, so the text "7.0" arrives as 7: nothing can tell it from "7".
_LOST = re.compile(r"-?\d+\.0")
odd_texts = st.one_of(
    st.sampled_from(["true", "false", "TRUE", "007", "0", "-0", "5e3", "0123", "1.5", "-2.25", "0.5", "1e5", "1.50"]),
    st.sampled_from(["2.0160213001E10", "1.5E-5", "20160213001", "9223372036854775807", "9223372036854775808", "NaN"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(1e-3, 1e6).map(repr),
    st.text(min_size=1, max_size=8),
    st.uuids().map(str),
).filter(lambda value: not _LOST.fullmatch(value) and value.strip() != "")


def row_of(mpid: str, session: str, user: str, agent: str, flat: bool) -> dict[str, Any]:
    """A row as texts only: every number as the text that is in the XML."""
    who = {"sessionId": session, "userId": user, "userIp": "140.247.1.2, 10.0.0.5"}
    row: dict[str, Any] = {"id": "1234", "mediapackageId": mpid}
    row.update(who if flat else {"sessionId": {**who, "userAgent": agent}})
    numbers = {"inpoint": "30", "outpoint": "25", "length": "-5"}
    return {**row, **numbers, "type": "HEARTBEAT", "isPlaying": "true", "created": "2015-10-30T00:30:00-04:00"}


def body_of(row: Any) -> bytes:
    row = orjson.loads(orjson.dumps(row))
    return to_document(row, created(row, UTC), {}).encoded


@given(odd_texts, odd_texts, odd_texts, odd_texts, st.booleans(), st.data())
@example("20160213", "5e3", "007", "1.5", False, None)
@example("0123", "true", "1.5", "2.0160213001E10", False, None)
@example("0123", "5e3", "None", "1.5", False, None)
def test_any_legal_retyping_of_a_row_gives_the_same_document(
    mpid: str, session: str, user: str, agent: str, flat: bool, data: st.DataObject | None
) -> None:
    row = row_of(mpid, session, user, agent, flat)
    pick = (lambda: data.draw(st.booleans())) if data is not None else (lambda: True)
    body = body_of(row)
    assert body_of(retyped(row, pick)) == body
    document = orjson.loads(body)
    assert document["mpid"] == mpid
    if session != "-omitted-":
        nobody = user in ("", "None")
        assert (document["session_id"], document["huid"]) == (session, None if nobody else user)


def old_result(mpid: str, title: str, series: str, course: str) -> dict[str, Any]:
    """One search result up to Opencast 15, as texts only."""
    return {
        "id": mpid,
        "org": "mh_default_org",
        "mediapackage": {
            "id": mpid,
            "duration": "75334",
            "start": "2019-09-19T07:51:00Z",
            "title": title,
            "series": series,
            "seriestitle": course,
            "media": {"track": [{"id": "8a45", "duration": "75334", "live": "false"}]},
        },
        "dcExtent": "74900",
        "dcTitle": title,
        "dcIsPartOf": series,
        "dcType": "L10",
        "dcDescription": title,
    }


@given(odd_texts, odd_texts, odd_texts, odd_texts, st.data())
def test_any_legal_retyping_of_a_search_up_to_15_gives_the_same_episode(
    mpid: str, title: str, series: str, course: str, data: st.DataObject
) -> None:
    result = old_result(mpid, title, series, course)
    answer = {"search-results": {"total": "1", "limit": "10", "result": [result]}}
    plain = to_episode(result)
    assert (plain["title"], plain["series"], plain["course"]) == (title, series, course)
    typed = orjson.loads(orjson.dumps(retyped(copy.deepcopy(answer), lambda: data.draw(st.booleans()))))
    (found,) = search_results(typed)
    assert to_episode(found) == plain


# Gson makes a Double of every number, and a Double holds 15 digits.
whole_texts = st.one_of(st.integers(0, 10**15).map(str), st.sampled_from(["007", "true", "20160213001", "CSCI E-1"]))


@given(whole_texts, odd_texts, odd_texts, whole_texts, st.data())
def test_any_legal_retyping_of_a_search_from_16_on_gives_the_same_episode(
    mpid: str, title: str, series: str, course: str, data: st.DataObject
) -> None:
    old = old_result(mpid, title, series, course)
    dc = {"title": [title], "isPartOf": [series], "type": ["L10"], "description": [title], "identifier": [mpid]}
    plain = to_episode({"mediapackage": old["mediapackage"], "dc": dc, "type": "Episode"})
    assert (plain["title"], plain["series"], plain["course"]) == (title, series, course)
    package = retyped(copy.deepcopy(old["mediapackage"]), lambda: data.draw(st.booleans()), gson=True)
    answer = {"total": 1, "offset": 0, "result": [{"mediapackage": package, "dc": dc, "type": "Episode"}]}
    (found,) = search_results(orjson.loads(orjson.dumps(answer)))
    assert to_episode(found) == plain
