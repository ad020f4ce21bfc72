"""Jettison's typing rule, on the literal cases of the fact sheet."""

from __future__ import annotations

import json
from typing import Any
from xml.etree.ElementTree import fromstring

import orjson
import pytest

from harvesters.simulators.opencast.jettison import document, java_double, primitive, through_gson


def as_json(value: Any) -> Any:
    return json.loads(orjson.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        "007",
        "5e3",
        "0123",
        "TRUE",
        "True",
        "",
        " 5",
        "+5",
        "-0",
        "1.50",
        "1_000",
        "NaN",
        "Infinity",
        "1e999",
        "١٢",
        "9223372036854775808",
        "0.0001",
        "1d",
        "-",
        "74b6c02f-afbb-42bc-8145-344153a1792e",
        "1234567890123456789012",
    ],
)
def test_what_does_not_print_as_itself_stays_a_string(text: str) -> None:
    assert as_json(primitive(text)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("20160213", "20160213"),
        ("-7", "-7"),
        ("0", "0"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("false", "false"),
        ("1.0", "1"),
        ("10.0", "10"),
        ("2.0160213001E10", "2.0160213001E10"),
        ("9223372036854775807",) * 2,
    ],
)
def test_numbers_and_booleans_are_written_bare(text: str, written: str) -> None:
    assert orjson.dumps(primitive(text)) == written.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4160.0, "4160.0"),
        (20160213001.0, "2.0160213001E10"),
        (49702744.0, "4.9702744E7"),
        (10000000.0, "1.0E7"),
        (0.0, "0.0"),
        (0.001, "0.001"),
        (0.00012, "1.2E-4"),
        (-1.5e22, "-1.5E22"),
        (9999999.5, "9999999.5"),
    ],
)
def test_doubles_print_as_in_java(value: float, text: str) -> None:
    assert java_double(value) == text


ROOT = """<w count="20" on="true"><empty/><one><x>a/b</x></one><two><x>1</x><x>007</x></two>
<mixed type="md5">0123</mixed><attr id="5"/></w>"""


def test_children_attributes_and_mixed_content() -> None:
    assert json.loads(document(fromstring(ROOT), version=8)) == {
        "w": {
            "count": 20,
            "on": True,
            "empty": "",
            "one": {"x": "a/b"},
            "two": {"x": [1, "007"]},
            "mixed": {"type": "md5", "$": "0123"},
            "attr": {"id": 5},
        }
    }


def test_up_to_seven_attributes_are_strings_and_slashes_escaped() -> None:
    old = document(fromstring(ROOT), version=7)
    assert rb'"a\/b"' in old
    value = json.loads(old)["w"]
    assert (value["count"], value["on"], value["attr"]) == ("20", "true", {"id": "5"})
    assert value["two"] == {"x": [1, "007"]}


def test_gson_makes_every_number_a_double() -> None:
    value = {"duration": 4160, "live": False, "series": 20160213001, "list": [1, "2"], "half": primitive("1.5")}
    assert orjson.dumps(through_gson(value)) == (
        b'{"duration":4160.0,"live":false,"series":2.0160213001E10,"list":[1.0,"2"],"half":1.5}'
    )
