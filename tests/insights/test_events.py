"""From an event, in whatever form, to a row."""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.firebase.documents import EventMapper
from harvesters.firebase.elastic import reduced
from harvesters.firebase.pushid import push_floor
from harvesters.insights import events
from harvesters.insights.events import Reading, Row
from tests.insights.made import UTC_ZONE, by_chance, event, ms

AT = "2016-01-01T10:00:00"


def row(made: Any, key: str = "k") -> Row:
    return Reading().event(key, made)


class TestTime:
    @pytest.mark.parametrize("created", [0, None, "soon", -5, 1e300, True, [1], {"a": 1}])
    def test_a_creation_that_says_nothing_leaves_it_to_the_key(self, created: Any) -> None:
        made = {"created_at": created}
        assert row(made, push_floor(ms(AT))).at == ms(AT)
        assert row(made, f"group-reminder-g-{ms(AT)}").at == ms(AT)
        assert row(made, "k") == Row("k", events.UNDATED)
        assert row({}, push_floor(ms(AT))).at == ms(AT)

    @pytest.mark.parametrize("created", [ms(AT), str(ms(AT)), float(ms(AT)), ms(AT) + 0.75])
    def test_a_number_counts_however_it_is_written(self, created: Any) -> None:
        assert row({"created_at": created}).at == ms(AT)


class TestClass:
    @pytest.mark.parametrize(
        ("type", "data", "name"),
        [
            ("chat_message", {"class_id": "a", "course_id": "b"}, "a"),
            ("added_class", {"course_id": "b", "id": "c"}, "b"),
            ("added_class", {"id": "c"}, "c"),
            ("created_class", {"id": "c"}, "c"),
            ("dropped_class", {"id": "c"}, "c"),
            ("heart", {"id": "c"}, ""),
            ("created_group", {"subject": "s"}, "s"),
            ("group_reminder", {"subject": "open", "params": {"course": "p"}}, "p"),
            ("heart", {"subject": "s"}, ""),
            ("page_view", {"class_id": "", "params": {"course": 17}}, "17"),
            ("page_view", {"params": ""}, ""),
            ("heart", {"class_id": 17.0}, "17"),
            ("heart", {"class_id": 17.5}, "17.5"),
            ("heart", {"class_id": True, "course_id": ["a"]}, ""),
        ],
    )
    def test_the_first_there_is(self, type: str, data: dict[str, Any], name: str) -> None:
        assert row(event(type, "ana", AT, **data)).class_ == name


class TestPeople:
    @pytest.mark.parametrize(
        ("type", "data", "one", "other"),
        [
            ("buddied_up", {"requested_by": "bob", "accepted_by": "eve"}, "bob", "eve"),
            ("buddied_up", {"requested_by": "bob"}, "bob", "ana"),
            ("unbuddied", {"accepted_by": "bob", "requested_by": 5}, "ana", "bob"),
            ("buddy_request", {"target_to": "bob"}, "ana", "bob"),
            ("buddy_request", {}, "ana", ""),
            ("private_message", {"recipient": "bob", "sender": ""}, "ana", "bob"),
            ("page_view", {"params": {"user_id": "bob"}}, "ana", "bob"),
            ("heart", {"target_to": "bob"}, "", ""),
        ],
    )
    def test_who_and_with_whom(self, type: str, data: dict[str, Any], one: str, other: str) -> None:
        found = row(event(type, "ana", AT, **data))
        assert (found.one, found.other) == (one, other)

    def test_only_a_text_is_a_creator(self) -> None:
        for creator in (None, "", 5, ["ana"], {"ana": True}):
            assert row(event("heart", creator, AT)).creator == ""
        assert row({"created_at": ms(AT)}).creator == ""


class TestSentiment:
    def test_a_body_is_scored_only_where_there_is_no_score(self) -> None:
        reading = Reading(lambda body: {"polarity": float(len(body)), "subjectivity": 1.0})
        made = event("chat_message", "ana", AT, body="four")
        scored = {**made, "sentiment": {"polarity": -50, "subjectivity": 5}}
        assert reading.event("k", made)[-2:] == (4.0, 1.0)
        assert reading.event("k", scored)[-2:] == (-50.0, 5.0)
        assert reading.event("k", event("chat_message", "ana", AT, body=""))[-2:] == (None, None)
        assert reading.event("k", event("private_message", "ana", AT, body="four"))[-2:] == (None, None)

    @pytest.mark.parametrize("odd", ["good", {"polarity": "high"}, {"polarity": True}, {}, 5])
    def test_what_is_no_score_is_none(self, odd: Any) -> None:
        assert row({**event("chat_message", "ana", AT), "sentiment": odd})[-2:] == (None, None)


class TestDocuments:
    MAPPER = EventMapper(UTC_ZONE)

    def document(self, key: str, made: Any) -> Any:
        found = self.MAPPER.document(self.MAPPER.row(key, made))
        assert not isinstance(found, str), found
        return found

    def test_a_document_says_what_its_event_says(self) -> None:
        for key, made in by_chance(1, 400, 10**9, 1).items():
            if isinstance(made, dict):
                assert Reading().document(self.document(key, made).encoded) == row(made, key)

    def test_so_does_one_that_the_index_refused(self) -> None:
        made = event("added_class", "ana", AT, course_id="a")
        assert Reading().document(reduced(self.document("k", made)).encoded) == row(made)

    def test_a_field_called_raw_is_no_event(self) -> None:
        for raw in ("text", "[]", "{", 5):
            made = {"type": "heart", "created_at": ms(AT), "raw": raw}
            assert Reading().document(self.document("k", made).encoded) == row(made)

    def test_one_that_is_gone(self) -> None:
        assert Reading().document(b'{"id":"k","deleted":true}') == Row("k", events.REMOVED)


@pytest.mark.parametrize("digits", [25, 400, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_whole_numbers_of_any_size_are_read(digits: int, sign: str) -> None:
    number = sign + "9" * digits
    line = (
        '{"key":"k","value":{"type":"chat_message","creator":N,"created_at":1451642400000,'
        '"data":{"school_id":N,"class_id":N},"sentiment":{"polarity":N,"subjectivity":N}}}'
    )
    found = Reading().entry(line.replace("N", number).encode())
    double = float(number)
    assert found.school == found.class_ == (str(int(double)) if digits == 25 else str(double))
    assert found.polarity in (None, double)
    assert found.creator == ""


@pytest.mark.parametrize("read", [Reading().entry, Reading().document])
def test_a_line_that_is_nested_without_end_is_none(read: Any) -> None:
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    with pytest.raises(ValueError, match="nested too deeply"):
        read(b'{"id":"k","key":"k","value":{},"data":%b}' % deep)
