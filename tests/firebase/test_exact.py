"""Numbers keep their spelling, whatever Python makes of them; in an event on its whole way, too."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.firebase import exact
from harvesters.retry import Transient

BEYOND = [
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "18446744073709551616",
    "-9223372036854775809",
    "1e400",
    "-1.5E+400",
    "1e-400",
    "1e-1000",
    "1e-0400",
    "1.23456789e-320",
    "1.23456789012345678",
    "-123456789.1234567891",
    "0.1234567890123456789",
    "12345678901234567890.5",
    "1" * 5000,
]
WITHIN = [
    "18446744073709551615",
    "-9223372036854775808",
    "1e308",
    "1.50",
    "0.30000000000000004",
    "5e-324",
    "-122.41941550000001",
    "2.2250738585072014e-308",
    "0e-999999999999999999999",
    "0e-400",
    "-0",
]


@pytest.mark.parametrize("spelled", BEYOND)
@pytest.mark.parametrize(
    "shape", ["%s", "[%s]", "[1, %s ,2]", '{"a":%s}', '{"a" : %s,\n "b":1}', '{"a":[1,{"b":[%s\n]}]}']
)
def test_what_python_would_change_is_written_as_it_was_read(spelled: str, shape: str) -> None:
    if shape == "%s" and "e400" not in spelled:
        return  # a bare number is a child of no node
    written = orjson.dumps(exact.loads((shape % spelled).encode())).decode()
    assert written.replace(" ", "") == (shape % spelled).replace(" ", "").replace("\n", "")


@pytest.mark.parametrize("spelled", WITHIN)
def test_other_numbers_are_numbers(spelled: str) -> None:
    read = exact.loads(f'{{"a":{spelled},"b":1e400}}'.encode())
    assert read["a"] == json.loads(spelled)
    assert isinstance(read["a"], int | float)


def test_what_looks_like_such_a_number_in_a_text_is_a_text() -> None:
    value = {"a": "1" * 30, "b": ":1234567890123456789", "c": "uuid 4e-400,", "d": [1.5, "x"]}
    assert exact.loads(orjson.dumps(value)) == value


def test_nan_is_a_text_and_halves_of_pairs_are_replaced() -> None:
    read = exact.loads(b'{"a":NaN,"b":[-Infinity],"c":"\\ud83d","d":{"\\ud83d":1},"\\ud83d":2,"e":"\xed\xa0\xbd"}')
    assert read["a"] == "NaN"
    assert read["b"] == ["-Infinity"]
    assert read["c"] == "\ufffd"
    assert read["d"] == {"\ufffd": 1}
    assert read["\ud83d"] == 2, "a key of the database has to be asked for as it is"
    assert "\ufffd" in read["e"]
    orjson.dumps({name: value for name, value in read.items() if name != "\ud83d"})


@pytest.mark.parametrize("body", [b"", b'{"a":', b"<html>", b"[" * 100_000])
def test_what_is_no_json_is_worth_another_try_and_not_shown(body: bytes) -> None:
    with pytest.raises(Transient, match="cannot be read") as raised:
        exact.parse(body)
    assert "html" not in str(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_any_json_comes_out_as_it_went_in(value: Any) -> None:
    text = json.dumps(value).encode("utf-8", "surrogatepass")
    read = exact.loads(text, keys=99)
    assert json.loads(json.dumps(read, default=lambda fragment: json.loads(orjson.dumps(fragment)))) == value
