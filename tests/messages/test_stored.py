"""Whatever a message holds: its document gives it back, and stands in places that the mapping takes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvesters import exact
from harvesters.exact import Number
from harvesters.messages import stored
from harvesters.messages.content import Invalid
from harvesters.messages.ids import text_of
from harvesters.messages.model import Message
from harvesters.messages.values import LONGEST_TEXT, MOST, digest_of, path_of
from tests.messages.chats import log, message

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from([Number("1e400"), Number("1" * 30)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner),
    max_leaves=8,
)


def document(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(stored.document(Message.parse(message("1", **more))))
    return found


def values(**more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(**more)["harvest"].get("values", [])
    return found


class TestBackAgain:
    @given(anything, anything, st.dictionaries(st.text(st.characters(exclude_categories=())), anything))
    def test_whatever_it_holds(self, one: Any, other: Any, metadata: Any) -> None:
        said = message(
            "1",
            channel=one,
            language=other,
            content={"type": "text", "value": one},
            intent={"name": other, "confidence": one},
            entities=[{"type": one, "value": other, "confidence": one}],
            metadata=metadata,
        )
        body = stored.document(Message.parse(said))
        assert exact.dumps(stored.original(body)) == exact.dumps(said)
        orjson.loads(body)  # the cluster takes it as it is

    @given(st.dictionaries(st.sampled_from(["userId", "eventId", "x"]), anything) | anything)
    def test_a_log_too(self, metadata: Any) -> None:
        said = {**log("1"), "metadata": metadata, "authority": None, "botVersion": None}
        body = stored.log_document(said, stored_moment())
        assert exact.dumps(stored.original(body), in_order=True) == exact.dumps(said, in_order=True)

    def test_nested_to_the_depth_that_json_is_read_to(self) -> None:
        metadata = exact.loads(b'{"a":' * 800 + b"1" + b"}" * 800)
        said = message("1", metadata=metadata)
        found = stored.original(stored.document(Message.parse(said)))
        assert exact.dumps(found) == exact.dumps(said) == stored.dumps(found)

    def test_an_offset_that_the_cluster_does_not_read(self) -> None:
        written = "2021-01-22T17:55:33+20:00"
        said = document(timestamp=written)
        assert said["timestamp"] == "2021-01-21T21:55:33+00:00"
        assert stored.original(said)["timestamp"] == written

    def test_a_document_of_old_is_what_it_is(self) -> None:
        assert stored.original({"messageId": 5, "extra": [1]}) == {"messageId": 5, "extra": [1]}


def stored_moment() -> Any:
    return Message.parse(message("1", timestamp=log("1")["timestamp"])).moment


class TestPlaces:
    def test_what_fits_stands_in_its_place(self) -> None:
        said = document(channel=5, intent={"name": "greet", "confidence": 0.9}, metadata={"a": [{"b.c": ""}]})
        assert "verbatim" not in said["harvest"]
        assert {name: value for name, value in said.items() if name != "harvest"} == message(
            "1", channel=5, intent={"name": "greet", "confidence": 0.9}, metadata={"a": [{"b.c": ""}]}
        )

    def test_a_number_of_any_size_is_found_as_a_text(self) -> None:
        large = Number("1" * 30)
        said = document(user=large, channel=Number("-0"), intent={"name": large, "confidence": Number("1e400")})
        assert (said["userId"], said["channel"]) == ("1" * 30, "-0")
        assert said["intent"] == {"name": "1" * 30, "confidence": None}
        assert stored.dumps(stored.original(said)["userId"]) == b"1" * 30

    @pytest.mark.parametrize("value", [{"a": 1}, ["a"], "\udfff"])
    def test_what_does_not_is_null_there(self, value: Any) -> None:
        said = document(channel=value, intent={"name": value, "confidence": "high"})
        assert said["channel"] is said["intent"]["name"] is said["intent"]["confidence"] is None
        assert set(said["harvest"]["verbatim"]) == {"channel", "intent.name", "intent.confidence"}

    def test_the_triple_is_kept_where_the_id_is_another(self) -> None:
        said = Message.parse(message("1"))
        assert orjson.loads(stored.document(said))["harvest"] == {"id": said.trace_id}
        assert orjson.loads(stored.document(said, "auto"))["harvest"] == {"id": "auto", "triple": said.trace_id}

    @pytest.mark.parametrize(
        ("metadata", "users"),
        [
            ({"userId": "anna"}, ["anna"]),
            ({"userId": 5}, ["5"]),
            ({"userId": ["anna", [5, None]]}, ["anna", "5"]),
            ([{"userId": "anna"}, "x"], ["anna"]),
            ({"userId": {"anna": 1}}, []),
            (None, []),
        ],
    )
    def test_whom_a_log_is_about(self, metadata: Any, users: list[str]) -> None:
        said = orjson.loads(stored.log_document({**log("1"), "metadata": metadata}, stored_moment()))
        assert said.get("harvest", {}).get("user", []) == users


class TestValues:
    def test_one_for_each_value(self) -> None:
        found = values(metadata={"a": {"b": [1, "x", True, None, {"c": 2.5}]}, "": "y"}, intent={"confidence": "high"})
        assert found == [
            {"path": "metadata.a.b", "number": 1},
            {"path": "metadata.a.b", "text": "x"},
            {"path": "metadata.a.b", "text": "true"},
            {"path": "metadata.a.b.c", "number": 2.5},
            {"path": "metadata.", "text": "y"},
            {"path": "intent.confidence", "text": "high"},
        ]

    def test_a_number_of_confidence_has_a_field_of_its_own(self) -> None:
        assert document(intent={"confidence": 0.5})["harvest"]["confidence"] == 0.5
        assert values(intent={"confidence": 0.5}) == []

    def test_numbers_beyond_a_double_are_texts(self) -> None:
        assert values(metadata={"a": Number("1e400"), "b": Number("1" + "0" * 30)}) == [
            {"path": "metadata.a", "text": "1e400"},
            {"path": "metadata.b", "number": 1e30},
        ]

    def test_a_long_text_has_a_digest(self) -> None:
        text = "x" * (LONGEST_TEXT + 1)
        assert values(metadata={"a": text}) == [{"path": "metadata.a", "text": text, "digest": digest_of(text)}]

    def test_a_long_path_is_shortened_and_stays_itself(self) -> None:
        long = ["metadata." + "k" * 600 + end for end in "ab"]
        assert len({path_of(path) for path in long}) == 2
        assert max(len(path_of(path)) for path in long) < 512
        assert path_of("metadata.a") == "metadata.a"

    def test_too_many(self) -> None:
        assert len(values(metadata={"a": [1] * MOST})) == MOST
        with pytest.raises(Invalid, match="metadata holds more than 50000 values"):
            values(metadata={"a": [1] * (MOST + 1)})


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?", fullmatch=True))
@example("-0")
def test_a_number_is_read_alike_whatever_is_beside_it(spelled: str) -> None:
    """Ids too: a message is posted alone, or again beside one with a number of any size."""
    (alone,) = stored.loads(f"[{spelled}]".encode())
    beside, _ = stored.loads(f"[{spelled},{'1' * 30}]".encode())
    assert text_of(beside) == text_of(alone)
