"""What is a message, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from harvesters.exact import Number
from harvesters.messages.ids import trace_id
from harvesters.messages.model import Invalid, Message
from tests.messages.chats import message

USER_INFO = ("firstName", "lastName", "profilePic", "locale", "timezone", "gender", "isPaymentEnable", "userId")

PLACE = {"type": "location", "latitude": 1, "longitude": None}


def answer(kind: str = "response", **more: Any) -> dict[str, Any]:
    said = {**message("1", type=kind), "responseTo": None, **more}
    return {name: value for name, value in said.items() if name not in ("domain", "intent", "entities", "language")}


def out(said: dict[str, Any]) -> dict[str, Any]:
    return Message.parse(said).out()


def content(value: Any, **more: Any) -> Any:
    return out(message("1", content=value, **more))["content"]


class TestFields:
    def test_every_field_of_the_type_is_given_out_and_no_other(self) -> None:
        said = {name: message("1")[name] for name in ("messageId", "channel", "userId", "timestamp", "project")}
        assert out({**said, "type": "REQUEST", "colour": "red"}) == message("1", content=None, metadata=None)
        assert out({**said, "type": "Response", "responseTo": "m", "domain": "d"}) == {
            **answer(content=None, metadata=None),
            "responseTo": "m",
        }
        notification = out({**said, "type": "notification"})
        assert {"responseTo", "domain"}.isdisjoint(notification)

    @pytest.mark.parametrize("name", ["messageId", "channel", "userId", "timestamp", "project", "type"])
    def test_what_has_to_be_there(self, name: str) -> None:
        said = message("1")
        del said[name]
        with pytest.raises(Invalid, match=f"^{name} is missing$"):
            out(said)

    def test_a_response_says_to_what(self) -> None:
        said = answer()
        del said["responseTo"]
        with pytest.raises(Invalid, match="responseTo is missing"):
            out(said)

    @pytest.mark.parametrize("value", [{}, [], 5, None, True, "x" * 100_000])
    def test_what_is_not_checked_comes_out_as_it_was(self, value: Any) -> None:
        names = ("channel", "conversationId", "domain", "language")
        assert {out(message("1", **{name: value}))[name] == value for name in names} == {True}
        intent = {"name": value, "confidence": value}
        entity = {"type": value, "value": value, "confidence": value}
        said = out(message("1", intent={**intent, "more": 1}, entities=[{**entity, "more": 1}]))
        assert (said["intent"], said["entities"]) == (intent, [entity])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"type": "question"},
            {"type": 5},
            {"metadata": []},
            {"metadata": "x"},
            {"intent": "greet"},
            {"intent": 0},
            {"entities": None},
            {"entities": {}},
            {"entities": ["x"]},
            {"entities": [{"type": "city", "value": "x"}]},
        ],
    )
    def test_wrong_shapes(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            out(message("1", **wrong))

    @pytest.mark.parametrize("value", [[], "x", 5, None])
    def test_a_message_is_an_object(self, value: Any) -> None:
        with pytest.raises(Invalid, match="no object"):
            out(value)


class TestIds:
    @pytest.mark.parametrize("name", ["messageId", "userId", "project"])
    @pytest.mark.parametrize("value", [None, "", True, [], {}, "x" * 513, Number("9" * 513), "a\ud800"])
    def test_neither_text_nor_number(self, name: str, value: Any) -> None:
        with pytest.raises(Invalid, match=f"^{name} is no text or number of 1 to 512 characters$"):
            out(message("1", **{name: value}))

    def test_a_number_is_the_id_that_its_text_is(self) -> None:
        number, text = Message.parse(message("x", user=5)), Message.parse(message("x", user="5"))
        assert number.trace_id == text.trace_id
        assert number.out()["userId"] == 5
        assert Message.parse(message("x", user=5.5)).ids[1] == "5.5"

    def test_of_512_characters(self) -> None:
        assert out(message("é" * 512))["messageId"] == "é" * 512

    def test_no_two_triples_share_a_trace_id(self) -> None:
        triples = [
            ("a", "b", "c"),
            ("ab", "", "c"),
            ("a", "bc", ""),
            ("", "ab", "c"),
            ("a", "c", "b"),
            ("1:a", "b", "c"),
        ]
        assert len({trace_id(*triple) for triple in triples}) == len(triples)


class TestTimestamps:
    @pytest.mark.parametrize(
        ("written", "given", "day"),
        [
            ("2021-01-22T17:55:33.429203", "2021-01-22T17:55:33.429203", "2021-01-22"),
            ("2021-01-22T17:55:33Z", "2021-01-22T17:55:33+00:00", "2021-01-22"),
            ("2021-01-22T23:30:00-05:00", "2021-01-22T23:30:00-05:00", "2021-01-22"),
            ("2021-01-22", "2021-01-22T00:00:00", "2021-01-22"),
            ("2021-01-22T17:55:33+01:00:30", "2021-01-22T17:55:33+01:00:30", "2021-01-22"),
            ("1970-01-01T00:00:00", "1970-01-01T00:00:00", "1970-01-01"),
            ("2261-12-31T23:59:59.999999-12:00", "2261-12-31T23:59:59.999999-12:00", "2261-12-31"),
        ],
    )
    def test_in_iso_8601(self, written: str, given: str, day: str) -> None:
        found = Message.parse(message("1", timestamp=written))
        assert (found.out()["timestamp"], found.day.isoformat()) == (given, day)

    @pytest.mark.parametrize(
        "written",
        [
            "",
            "yesterday",
            1611338133,
            None,
            "2021-13-01",
            "2021-01-22T25:00:00",
            "\ud800",
            "2262-01-01",
            "1969-12-31",
            "1970-01-01T00:00:00+05:00",
            "0001-01-01T00:00:00+05:00",
            "9999-12-31T23:59:59-05:00",
        ],
    )
    def test_none(self, written: Any) -> None:
        with pytest.raises(Invalid, match="timestamp"):
            out(message("1", timestamp=written))


class TestContents:
    @pytest.mark.parametrize(
        ("said", "given"),
        [
            ({"type": "TEXT", "value": {"any": 1}, "more": 1}, {"type": "text", "value": {"any": 1}}),
            ({"type": "action"}, {"type": "action", "value": None}),
            ({"type": "attachment", "uri": "u"}, {"type": "attachment", "uri": "u", "alternativeText": None}),
            (PLACE, PLACE),
            *(
                ({"type": name.upper(), "value": 1}, {"type": name, "value": 1})
                for name in USER_INFO
            ),
        ],
    )  # fmt: skip
    def test_of_requests(self, said: Any, given: Any) -> None:
        assert content(said) == given

    @pytest.mark.parametrize("kind", ["response", "notification"])
    def test_of_answers(self, kind: str) -> None:
        button = {"buttonText": "yes", "more": 1}
        given = {"type": "action", "buttonText": "yes", "buttonId": None}
        card = {"title": "t", "buttons": [button]}
        for said, expected in [
            ({"type": "text", "value": 1}, {"type": "text", "value": 1, "buttons": []}),
            ({"type": "multiAction", "buttons": [button]}, {"type": "multiaction", "buttons": [given]}),
            (
                {"type": "attachment", "uri": "u", "alternativeText": "a"},
                {"type": "attachment", "uri": "u", "alternativeText": "a", "buttons": []},
            ),
            (
                {"type": "location", "latitude": 1, "longitude": 2, "buttons": [button]},
                {"type": "location", "latitude": 1, "longitude": 2, "buttons": [given]},
            ),
            (
                {"type": "carousel", "cards": [card]},
                {
                    "type": "carousel",
                    "cards": [
                        {"title": "t", "imageUrl": None, "subtitle": None, "defaultAction": None, "buttons": [given]}
                    ],
                },
            ),
        ]:
            assert out(answer(kind, content=said))["content"] == expected

    @pytest.mark.parametrize(
        "said",
        [
            {},
            "text",
            [],
            0,
            {"type": "text"},
            {"type": 5, "value": 1},
            {"type": "multiaction"},
            {"type": "carousel", "cards": []},
            {"type": "attachment"},
            {"type": "location", "latitude": 1},
            {"type": "location", "lat": 1, "lon": 2},
            {"type": "locale"},
        ],
    )
    def test_none_of_a_request(self, said: Any) -> None:
        with pytest.raises(Invalid):
            content(said)

    @pytest.mark.parametrize(
        "said",
        [
            {"type": "action", "value": 1},
            {"type": "locale", "value": 1},
            {"type": "text", "value": 1, "buttons": None},
            {"type": "text", "value": 1, "buttons": ["yes"]},
            {"type": "multiaction", "buttons": [{"buttonId": 1}]},
            {"type": "carousel"},
            {"type": "carousel", "cards": [{"subtitle": "s"}]},
        ],
    )
    def test_none_of_an_answer(self, said: Any) -> None:
        with pytest.raises(Invalid):
            out(answer(content=said))
