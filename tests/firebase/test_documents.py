from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.document import Document
from harvesters.errors import ConfigError
from harvesters.firebase.documents import EPOCH, EventMapper, date_parts, moment_of
from harvesters.firebase.indices import Indices
from harvesters.firebase.people import EntityMapper, course, fold, profile
from harvesters.firebase.scrub import Scrubber
from harvesters.firebase.sentiment import open_sentiment
from harvesters.simulators.firebase import buddyup
from tests.firebase.conftest import END, START

KEY = "-JsR2brAMCP_V0uYTpw4"  # made on 2015-06-22T16:16:28.619Z
MS = 1_435_000_000_000  # 2015-06-22T19:06:40Z


def document(value: Any, key: str = KEY, **options: Any) -> Document:
    mapper = EventMapper(ZoneInfo("UTC"), **options)
    made = mapper.document(mapper.row(key, value))
    assert isinstance(made, Document)
    return made


MAPPERS = (
    EventMapper(ZoneInfo("UTC")),
    EntityMapper("buddyupprofiles", profile),
    EntityMapper("buddyupclasses", course),
)


def made_by(mapper: EventMapper | EntityMapper, value: Any, key: str) -> Document:
    made = mapper.document(mapper.row(key, value))
    assert isinstance(made, Document)
    return made


def test_the_key_is_the_id_everywhere() -> None:
    made = document({"id": "something else", "type": "heart"})
    assert (made.id, made.body["id"]) == (KEY, KEY)


def test_what_an_event_says_stays_beside_the_parts_of_its_date() -> None:
    event = {"type": "heart", "created_at": MS, "data": {"school_id": "osu_edu", "start_hour": "8"}, "app": "buddyup"}
    assert document(event).body == {
        **event,
        "id": KEY,
        "hour": 19,
        "weekday": 1,
        "day_of_month": 22,
        "day_of_year": 173,
        "month": 6,
        "year": 2015,
    }


def test_date_parts_are_in_the_zone_that_is_asked_for_and_the_index_is_in_utc() -> None:
    moment = datetime(2016, 2, 1, 3, 30, tzinfo=UTC)
    assert date_parts(moment, ZoneInfo("America/New_York")) == {
        "hour": 22,
        "weekday": 7,
        "day_of_month": 31,
        "day_of_year": 31,
        "month": 1,
        "year": 2016,
    }
    ms = int(moment.timestamp() * 1000)
    made = EventMapper(ZoneInfo("America/New_York")).document({"key": KEY, "value": {"created_at": ms}})
    assert isinstance(made, Document)
    assert Indices().of_event(made) == "buddyupevents-2016-02"


@pytest.mark.parametrize(
    ("key", "event", "moment"),
    [
        (KEY, {"created_at": MS}, datetime(2015, 6, 22, 19, 6, 40, tzinfo=UTC)),
        (KEY, {"created_at": str(MS)}, datetime(2015, 6, 22, 19, 6, 40, tzinfo=UTC)),
        (KEY, {}, datetime(2015, 6, 22, 16, 16, 28, 619000, tzinfo=UTC)),
        (KEY, {"created_at": 0}, datetime(2015, 6, 22, 16, 16, 28, 619000, tzinfo=UTC)),
        (KEY, {"created_at": 1e300}, datetime(2015, 6, 22, 16, 16, 28, 619000, tzinfo=UTC)),
        (KEY, {"created_at": {"x": 1}}, datetime(2015, 6, 22, 16, 16, 28, 619000, tzinfo=UTC)),
        (f"group-reminder-{KEY}-{MS}", {}, datetime(2015, 6, 22, 19, 6, 40, tzinfo=UTC)),
        ("a key of twenty chars", {}, None),
        ("zzzzzzzzzzzzzzzzzzzz", {}, None),
    ],
)
def test_when_an_event_happened(key: str, event: dict[str, Any], moment: datetime | None) -> None:
    assert moment_of(key, event) == moment


def test_an_event_that_does_not_say_when_it_happened_has_no_parts_of_a_date() -> None:
    made = document({"type": "heart"}, key="nothing")
    assert made.timestamp == EPOCH
    assert made.body == {"type": "heart", "id": "nothing"}
    assert Indices().of_event(made) == "buddyupevents-undated"


def test_fields_hold_the_type_that_the_index_gives_them() -> None:
    body = document(
        {
            "created_at": "yesterday",
            "order": {"n": 1},
            "type": ["a"],
            "hour": "noon",
            "involved": {"-A": True, "-B": {"x": 1}},
            "data": "text",
            ".priority": 5,
        }
    ).body
    assert body["created_at_raw"] == "yesterday"
    assert "created_at" not in body
    assert body["order_raw"] == {"n": 1}
    assert body["type_raw"] == ["a"]
    assert (body["hour_raw"], body["hour"]) == ("noon", 16)
    assert (body["involved"], body["involved_raw"]) == (["-A", "-B"], {"-A": True, "-B": {"x": 1}})
    assert body["data"] == {"0": "text"}
    assert ".priority" not in body


def test_involved_as_a_text_or_a_list_stays_one() -> None:
    assert document({"involved": "-A"}).body["involved"] == "-A"
    assert document({"involved": ["-A", None, {"x": 1}]}).body["involved"] == ["-A"]


@pytest.mark.parametrize("value", [None, 5, "text", True, [1]])
def test_what_is_no_object_is_no_event(value: Any) -> None:
    mapper = EventMapper(ZoneInfo("UTC"))
    assert str(mapper.document(mapper.row(KEY, value))).startswith("an event is an object; this is")


def test_every_event_of_buddyup_becomes_a_document() -> None:
    for key, event in buddyup.events(500, START, END, long_bodies=20):
        made = document(event, key)
        assert START <= made.timestamp < END
        assert made.body["data"].keys() == event["data"].keys()


def test_the_same_event_makes_the_same_document() -> None:
    for key, event in buddyup.events(100, START, END):
        before = json.dumps(event)
        assert document(event, key).encoded == document(event, key).encoded
        assert json.dumps(event) == before, "the row must not be changed"


SECRET = "s3cr3t-value"
NAMES = st.sampled_from(["password", "key", "uuid", "token", "auth_token", "authToken", "Password", "AUTH_TOKEN"])
TREES = st.recursive(
    st.builds(lambda name: {name: SECRET}, NAMES) | st.just({"fine": "x"}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=3),
    max_leaves=15,
)


@given(TREES)
def test_secrets_are_scrubbed_at_any_depth(tree: Any) -> None:
    assert SECRET not in orjson.dumps(Scrubber()(tree)).decode()


def test_nothing_else_is_scrubbed_unless_asked_for() -> None:
    event = {"data": {"body": "Mail me: a.b@example.org", "email": "a.b@example.org", "keyboard": "x", "n": [1, None]}}
    assert Scrubber()(event) == event
    assert Scrubber.parse("bodies")(event)["data"]["body"] is None
    scrubbed = Scrubber.parse("emails, keyboard")(event)["data"]
    assert scrubbed == {"body": "Mail me: ***", "email": None, "keyboard": None, "n": [1, None]}


def test_a_row_holds_no_secret_so_dead_letters_do_not_either() -> None:
    row = EventMapper(ZoneInfo("UTC")).row(KEY, {"key": "jwt", "data": {"password": SECRET}})
    assert row == {"key": KEY, "value": {"key": None, "data": {"password": None}}}


class TestSentiment:
    def score(self, event: dict[str, Any], **options: Any) -> Any:
        pytest.importorskip("textblob")
        return document(event, sentiment=open_sentiment(), **options).body.get("sentiment")

    def chat(self, body: Any) -> dict[str, Any]:
        return {"type": "chat_message", "data": {"body": body}}

    def test_the_scale_is_a_hundred(self) -> None:
        good = self.score(self.chat("I love this class, it is great!"))
        bad = self.score(self.chat("Terrible exam, I hated every minute of it."))
        assert 0 < good["polarity"] <= 100
        assert -100 <= bad["polarity"] < 0
        assert 0 <= good["subjectivity"] <= 100

    def test_only_chat_messages_have_one(self) -> None:
        assert self.score({"type": "private_message", "data": {"body": "I love this"}}) is None
        assert self.score(self.chat({"x": 1})) is None
        assert self.score(self.chat("")) is None

    def test_it_is_kept_where_the_body_is_scrubbed(self) -> None:
        made = self.score(self.chat("I love this"), scrub=Scrubber.parse("bodies"))
        assert made["polarity"] > 0

    def test_a_missing_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "textblob.en.sentiments", None)
        with pytest.raises(ConfigError, match="pip install"):
            open_sentiment()


def test_names_of_indices() -> None:
    made = document({"created_at": MS})
    assert Indices("x", "day").of_event(made) == "xevents-2015-06-22"
    assert Indices("x", "year").of_event(made) == "xevents-2015"
    assert Indices("x", "none").of_event(made) == "xevents-all"
    assert (Indices("x").profiles, Indices("x").classes) == ("xprofiles", "xclasses")
    for prefix in ("Buddy", "a b", "_x", "a*"):
        with pytest.raises(ConfigError, match="FIREBASE_INDEX_PREFIX"):
            Indices(prefix)


def test_maps_of_profiles_become_lists() -> None:
    body = {
        "first_name": "Ana",
        "last_name": "Park",
        "schools": {"osu_edu": {"name": "OSU"}},
        "classes": {"c1": {"code": "101"}, "c2": True},
        "buddies": {"-A": {"accepted": True}},
        "buddies-outgoing": {"-B": False},
        "groups": [{"start_hour": "8"}, None, {"start_hour": 9}],
        "events": {"x": True},
        "pictures": {},
    }
    profile(body)
    assert body == {
        "first_name": "Ana",
        "last_name": "Park",
        "name": "Ana Park",
        "schools": [{"name": "OSU", "id": "osu_edu"}],
        "school_ids": ["osu_edu"],
        "classes": [{"code": "101", "id": "c1"}, {"id": "c2", "value": True}],
        "class_ids": ["c1", "c2"],
        "buddies": [{"accepted": True, "user_id": "-A"}],
        "buddy_ids": ["-A"],
        "buddies-outgoing": [{"user_id": "-B", "accepted": False}],
        "groups": [{"start_hour": "8", "id": "0"}, {"start_hour": 9, "id": "2"}],
        "group_ids": ["0", "2"],
    }


def test_an_indexed_profile_has_the_words_by_which_it_is_found() -> None:
    body: dict[str, Any] = {"name": "Zoë Łoś", "bio": "Straße!", "folded": "mine"}
    fold(body)
    assert body == {
        "name": "Zoë Łoś",
        "bio": "Straße!",
        "folded": {"name": "zoe los", "bio": "strasse", "order": "zoe los"},
        "folded_raw": "mine",
    }


def test_a_name_that_is_a_map_gives_way_to_first_and_last_name() -> None:
    mapper = EntityMapper("buddyupprofiles", profile)
    made = mapper.document(mapper.row("-K", {"name": {"x": 1}, "first_name": "Ana", "last_name": ["Park"]}))
    assert isinstance(made, Document)
    assert (made.body["name"], made.body["name_raw"], made.body["last_name_raw"]) == ("Ana", {"x": 1}, ["Park"])


def test_students_of_classes_become_a_list() -> None:
    body: dict[str, Any] = {"students": {"-A": True, "-B": False, "-C": True}, "news_feed": {}, "code": "101"}
    course(body)
    assert body == {"student_ids": ["-A", "-C"], "code": "101"}


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 30)),
    st.sampled_from(["UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York"]),
)
def test_remembered_parts_of_dates_are_the_right_ones(moment: datetime, name: str) -> None:
    ms = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    made = EventMapper(ZoneInfo(name)).document({"key": KEY, "value": {"created_at": ms}})
    assert isinstance(made, Document)
    parts = date_parts(datetime.fromtimestamp(ms / 1000, UTC), ZoneInfo(name))
    assert {part: made.body[part] for part in parts} == parts


def test_clocks_that_change_within_a_quarter_of_an_hour() -> None:
    zone = ZoneInfo("America/St_Johns")  # they changed at a minute past midnight until 2011
    for minute in range(15):
        moment = datetime(2010, 3, 14, 3, 30 + minute, tzinfo=UTC)
        made = EventMapper(zone).document({"key": KEY, "value": {"created_at": int(moment.timestamp() * 1000)}})
        assert isinstance(made, Document)
        assert made.body["hour"] == moment.astimezone(zone).hour


@pytest.mark.parametrize(
    ("key", "own", "raw"),
    [
        ("0", "-JsR2brAMCP_V0uYTpw4", ["-JsR2brAMCP_V0uYTpw4"]),
        ("0", {"n": 1}, [{"n": 1}]),
        ("0", 7, [7]),
        ("1", True, [True]),
        ("True", True, [True]),
        ("1.5", 1.5, [1.5]),
        ("0", "", [""]),
        ("-K", "-K", []),
        ("7", 7, []),
        ("7", None, []),
    ],
)
def test_an_id_of_its_own_is_kept_where_it_says_something_else_than_the_key(key: str, own: Any, raw: list[Any]) -> None:
    for mapper in MAPPERS:
        body = made_by(mapper, {"id": own, "type": "heart"}, key).body
        assert body["id"] == key
        assert [body[name] for name in ("id_raw",) if name in body] == raw


def test_entries_of_lists_keep_what_they_said_themselves() -> None:
    body = made_by(
        MAPPERS[1],
        {
            "classes": [{"id": "c-1", "n": 1}, None, {"id": "2"}],
            "schools": {"s-1": {"id": "s-1", "name": "A"}, "s-2": {"id": "another"}, "s-3": True},
            "groups": {"g": {"user_id": "kept as it is"}},
            "buddies": {"b-1": {"id": "x", "user_id": "b-1"}, "b-2": {"user_id": "c"}},
            "buddies-outgoing": [{"user_id": "u2", "accepted": True}, True],
            "class_ids": ["mine"],
        },
        "u1",
    ).body
    assert body["classes"] == [{"id": "0", "id_raw": "c-1", "n": 1}, {"id": "2"}]
    assert body["class_ids"] == ["0", "2"]
    assert body["class_ids_raw"] == ["mine"]
    assert body["schools"] == [
        {"id": "s-1", "name": "A"},
        {"id": "s-2", "id_raw": "another"},
        {"id": "s-3", "value": True},
    ]
    assert body["groups"] == [{"id": "g", "user_id": "kept as it is"}]
    assert body["buddies"] == [{"user_id": "b-1", "id": "x"}, {"user_id": "b-2", "user_id_raw": "c"}]
    assert body["buddies-outgoing"] == [
        {"user_id": "0", "user_id_raw": "u2", "accepted": True},
        {"user_id": "1", "accepted": True},
    ]


def test_a_field_that_ends_with_raw_already_is_not_written_over() -> None:
    body = document({"id": "a", "id_raw": "b", "type": ["c"], "type_raw": "d"}, "0").body
    assert (body["id_raw"], body["id_raw_raw"], body["type_raw"], body["type_raw_raw"]) == ("b", "a", "d", ["c"])


def test_documents_say_that_they_may_change() -> None:
    assert all(made_by(mapper, {}, "a").mutable for mapper in MAPPERS)


def test_names_that_elasticsearch_refuses_are_moved_aside() -> None:
    event = {" ": 1, "": 2, "_id": "x", "_source": {"a": 1}, "a..b": 3, "data.body": 4, "_mine": 5, "a b": {" ": 6}}
    body = document(event).body
    moved = {" _raw": 1, "_raw": 2, "_id_raw": "x", "_source_raw": {"a": 1}, "a__b_raw": 3, "data_body_raw": 4}
    kept = {"_mine": 5, "a b": {" ": 6}}
    assert {name: item for name, item in body.items() if name in {**event, **moved}} == {**moved, **kept}


def test_what_json_in_utf8_cannot_say_is_replaced() -> None:
    made = document({"data": {"body": "a\ud83db \U0001f600", "n": [10**30, -(10**400), 2**64 - 1]}})
    assert json.loads(made.encoded)["data"] == {"body": "a\ufffdb \U0001f600", "n": [10**30, -(10**400), 2**64 - 1]}


def test_an_event_that_is_nested_beyond_all_bounds_is_dead_and_ends_nothing() -> None:
    value: dict[str, Any] = {}
    for _ in range(5000):
        value = {"a": value}
    mapper = EventMapper(ZoneInfo("UTC"))
    assert mapper.document(mapper.row(KEY, value)) == "it is nested too deeply"


def test_what_is_no_map_of_schools_is_kept() -> None:
    body: dict[str, Any] = {"schools": "osu_edu", "classes": ["a", None, "b"], "groups": [True], "buddies-outgoing": 5}
    profile(body)
    assert (body["school_ids"], body["schools_raw"]) == ([], "osu_edu")
    assert body["class_ids"] == ["a", "b"]
    assert body["group_ids"] == ["0"]
    assert (body["buddies-outgoing"], body["buddies-outgoing_raw"]) == ([], 5)
