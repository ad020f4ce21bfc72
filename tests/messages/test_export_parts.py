"""The parts of the exports: spans of time, repaired texts, and bytes as Python's csv and json write them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from harvesters.exact import Number
from harvesters.messages.exports import timerange
from harvesters.messages.exports.array import Array
from harvesters.messages.exports.repair import repair, repaired
from harvesters.messages.exports.sheet import Sheet, bounded
from harvesters.messages.exports.tasks import exported, question_and_answer
from harvesters.messages.windows import Bounds
from harvesters.settings import Settings
from harvesters.simulators.wenet.world import callback, task, transact

NOW = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
ROME = ZoneInfo("Europe/Rome")


def chosen(
    flags: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    file: dict[str, str] | None = None,
) -> Bounds | None:
    values = {**(file or {}), **(environment or {})}
    told = frozenset((file or {}).keys() - (environment or {}).keys())
    return timerange.chosen(Settings(values, flags or {}, file=(".env", told)), NOW, ROME)


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=ROME)


JULY = {"START_TIME": "2026-07-01", "END_TIME": "2026-07-02T00:00:00+02:00"}
IN_JULY = (day(7, 1), day(7, 2))


@pytest.mark.parametrize(
    ("flags", "environment", "file", "expected"),
    [
        ({}, {}, {}, None),
        ({"TIME_RANGE": "2d"}, {}, {}, (day(3, 30), day(4, 1))),
        ({"TIME_RANGE": "TODAY"}, {}, {}, (day(4, 1), day(4, 2))),
        ({"TIME_RANGE": "all"}, {}, {}, (None, day(4, 1))),
        (JULY, {}, {}, IN_JULY),
        (JULY | {"TIME_RANGE": "1D"}, {}, {}, IN_JULY),
        ({"TIME_RANGE": "1D"}, JULY, {}, (day(3, 31), day(4, 1))),
        ({"TIME_RANGE": "1D"}, {"START_TIME": "2026-07-01"}, {"TIME_RANGE": "never"}, (day(3, 31), day(4, 1))),
        ({}, JULY | {"TIME_RANGE": "1D"}, {}, IN_JULY),
        ({}, {"TIME_RANGE": "1D"}, JULY, (day(3, 31), day(4, 1))),
        ({}, {}, JULY | {"TIME_RANGE": "1D"}, IN_JULY),
        ({"START_TIME": "2026-07-01", "END_TIME": "2026-07-01"}, {}, {}, (day(7, 1), day(7, 1))),
    ],
)
def test_the_strongest_source_says_what_span_it_is(
    flags: dict[str, str], environment: dict[str, str], file: dict[str, str], expected: Any
) -> None:
    found = chosen(flags, environment, file)
    assert (found if found is None else tuple(found)) == expected


@pytest.mark.parametrize(
    "flags",
    [
        {"START_TIME": "2026-07-01"},
        {"END_TIME": "2026-07-01"},
        {"START_TIME": "2026-07-01", "TIME_RANGE": "1D"},
        {"START_TIME": "2026-07-02", "END_TIME": "2026-07-01"},
        {"START_TIME": "yesterday", "END_TIME": "2026-07-01"},
        {"START_TIME": "0001-01-01T00:00:00+14:00", "END_TIME": "2026-07-01"},
        {"TIME_RANGE": "7"},
        {"TIME_RANGE": "D7"},
        {"TIME_RANGE": "7 D"},
        {"TIME_RANGE": "9999Y"},
        {"TIME_RANGE": "every"},
    ],
)
def test_what_is_no_span_is_refused_wherever_it_comes_from(flags: dict[str, str]) -> None:
    for sources in ({"flags": flags}, {"environment": flags}, {"file": flags}):
        with pytest.raises(ValueError, match=r"START_TIME|TIME_RANGE"):
            chosen(**sources)


def test_half_a_span_by_flag_is_not_completed_by_the_environment() -> None:
    with pytest.raises(ValueError, match="go together"):
        chosen({"START_TIME": "2026-06-30"}, JULY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps("Perché?"), "Perché?"),
        (' "a\\ud83d\\ude00b"\n', "a😀b"),
        ('"12"', "12"),
        ("12", "12"),
        ("true", "true"),
        ("null", "null"),
        ('{"a": 1}', '{"a": 1}'),
        ('["a"]', '["a"]'),
        ('"a" and "b"', '"a" and "b"'),
        ('"', '"'),
        ('"half', '"half'),
        ("", ""),
        (":thumbsup: :+1:", "👍 👍"),
        (json.dumps(":books: é"), "📚 é"),
        ("at 12:30:45, :no_such_thing:", "at 12:30:45, :no_such_thing:"),
        (None, None),
        (12, 12),
        (True, True),
        ({"a": ":books:"}, {"a": ":books:"}),
    ],
)
def test_only_a_json_string_is_decoded(text: Any, expected: Any) -> None:
    assert repaired(text) == expected
    assert type(repaired(text)) is type(expected)


def test_only_the_texts_that_are_named_are_repaired() -> None:
    said = {"question": '"é"', "other": '"é"', "answer": 3}
    assert repair(said, "question", "answer", "missing") == {"question": "é", "other": '"é"', "answer": 3}
    assert repair(None, "question") is None


def written(*elements: Any) -> str:
    stream = io.StringIO()
    array = Array(stream)
    for element in elements:
        array.add(element)
    array.close()
    assert array.length == len(elements)
    return stream.getvalue()


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=20,
)


@given(some.lists(json_values))
def test_an_array_is_what_json_dump_writes(elements: list[Any]) -> None:
    assert written(*elements) == json.dumps(elements, ensure_ascii=False, indent=2)


@pytest.mark.parametrize("number", [5e-05, 1e-05, 1e16, 1e22, 1.5e300, 1e-7, -0.0, 0.1, 2**70, -(2**64), 1e15, -5e-5])
def test_numbers_are_spelled_as_python_does(number: float) -> None:
    value = {"a": [number], "b": number, "text": "5e-05"}
    assert written(value) == json.dumps([value], ensure_ascii=False, indent=2)


def test_an_array_keeps_what_json_can_hardly_say() -> None:
    deep: Any = "bottom"
    for _ in range(2000):
        deep = [deep]
    text = written({"number": Number("1e400"), "deep": deep})
    assert '"number": 1e400' in text
    assert "bottom" in text


def test_a_table_is_what_csv_writes(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["a,b", 'say "x"', "two\nlines", None, 5], ["tab\there", "", "=1+1"]]
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t"), (".CSV", ",")):
        expected, stream = io.StringIO(), io.StringIO()
        csv.writer(expected, delimiter=delimiter).writerows(rows)
        Sheet(Path(f"x{suffix}"), stream, UTC).rows(rows)
        assert stream.getvalue() == expected.getvalue()
        assert "\r\n" in stream.getvalue()


def test_dates_are_naive_in_the_zone() -> None:
    stream = io.StringIO()
    sheet = Sheet(Path("x.csv"), stream, ROME)
    sheet.head([("from", None), ("to", datetime(2026, 6, 30, 22, tzinfo=UTC))], ["a"])
    sheet.row(datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC))
    assert stream.getvalue() == "from,\r\nto,2026-07-01 00:00:00\r\n\r\na\r\n2026-01-01 13:00:00.000005\r\n"
    assert bounded(Bounds(None, day(7, 1))) == [("to", day(7, 1))]
    assert bounded(None) == []


def asked() -> dict[str, Any]:
    one = task("t", "app", "1", json.dumps("Perché :books:?"), 10)
    told = {"question": '"é"', "answer": '"ù"'}
    labels = ("QuestionToAnswerMessage", "AnsweredQuestionMessage", "AnsweredPickedMessage", "Other")
    callbacks = [callback("app", "2", label, **told) for label in labels]
    transact(one, "answerTransaction", "2", 11, {"answer": '"à"', "reason": '"è"'}, *callbacks)
    transact(one, "answerTransaction", "3", 12, {"answer": "plain"})
    transact(one, "bestAnswerTransaction", "1", 13, {"transactionId": "1", "reason": '"perché"', "answer": '"à"'})
    return one


def test_the_texts_of_people_in_a_task_are_repaired() -> None:
    found = exported(asked())
    assert found["goal"] == {"name": "Perché 📚?", "description": "", "keywords": []}
    _, answer, _, best = found["transactions"]
    assert answer["attributes"] == {"answer": "à", "reason": '"è"'}
    assert best["attributes"] == {"transactionId": "1", "reason": "perché", "answer": '"à"'}
    assert [message["attributes"] for message in answer["messages"]] == [
        {"question": "é", "answer": '"ù"'},
        {"question": "é", "answer": "ù"},
        {"question": "é", "answer": '"ù"'},
        {"question": '"é"', "answer": '"ù"'},
    ]


def test_a_task_has_its_fields_in_order_whatever_the_platform_adds_or_leaves_out() -> None:
    found = exported({"id": "t", "odd": 1, "goal": {"name": None}, "transactions": None})
    assert list(found) == [
        *("id", "_creationTs", "_lastUpdateTs", "taskTypeId", "requesterId", "appId", "goal", "norms"),
        *("attributes", "closeTs", "communityId", "transactions"),
    ]
    assert found["goal"] == {"name": None, "description": None, "keywords": []}
    assert found["transactions"] == []
    assert exported({"id": "t"})["goal"] is None


def test_the_best_answer_is_the_one_that_was_approved_last() -> None:
    one = asked()
    assert question_and_answer(one) == ("Perché 📚?", "à")
    transact(one, "bestAnswerTransaction", "1", 14, {"transactionId": "2"})
    assert question_and_answer(one)[1] == "plain"
    transact(one, "bestAnswerTransaction", "1", 15, {"transactionId": "99"})
    assert question_and_answer(one)[1] == "", "nowhere"
    transact(one, "bestAnswerTransaction", "1", 16, {})
    assert question_and_answer(one)[1] == ""
    assert question_and_answer(task("t", "app", "1", "?", 1)) == ("?", "")
    assert question_and_answer({"id": "t", "goal": None}) == (None, "")
