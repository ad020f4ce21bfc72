from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.errors import BadInput, ConfigError
from harvesters.firebase.dumps import reading
from harvesters.firebase.dumps.reading import Dump

CONTENT: dict[str, Any] = {f"-K{number:03}": {"n": number, "text": "é☕" * number, "x": 1.5} for number in range(50)}


def lines(content: dict[str, Any]) -> str:
    return "".join(json.dumps({"key": key, "value": value}) + "\n" for key, value in content.items())


def shapes(content: dict[str, Any]) -> dict[str, str]:
    return {
        "object": json.dumps(content),
        "pretty": json.dumps(content, indent=2, ensure_ascii=False),
        "lines": lines(content),
        "blanks": f"\ufeff \n\t{json.dumps(content)}\n\n ",
    }


def read(path: Path, *inside: str) -> dict[str, Any]:
    dump = Dump(path, inside)
    dump.check()
    return dict(dump.pairs())


@pytest.mark.parametrize("shape", ["object", "pretty", "lines", "blanks"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_shape_is_read(tmp_path: Path, shape: str, packed: bool) -> None:
    path = tmp_path / "dump"
    text = shapes(CONTENT)[shape].encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    assert read(path) == CONTENT


@pytest.mark.parametrize("packed", [False, True])
def test_a_single_line_behind_a_byte_order_mark_is_read(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "dump"
    text = f"\ufeff{lines({'k': {'n': 1}})}".encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    assert read(path) == {"k": {"n": 1}}


def test_an_array_has_its_indices_as_keys(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text('[null, {"n": 1}, null, {"n": 3}]')
    assert read(path) == {"1": {"n": 1}, "3": {"n": 3}}
    path.write_text('{"events": [{"n": 0}, null, {"n": 2}]}')
    assert read(path, "events") == {"0": {"n": 0}, "2": {"n": 2}}


@pytest.mark.parametrize("shape", ["object", "pretty", "lines", "blanks"])
def test_a_part_of_a_whole_database_is_read(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "dump"
    path.write_text(shapes({"classes": {"x": 1}, "events": CONTENT, "users": {"y": 2}})[shape])
    assert read(path, "events") == CONTENT


def test_entries_that_an_export_descended_into_are_found(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text(lines({"classes/x": 1, **{f"events/{key}": value for key, value in CONTENT.items()}, "users": {}}))
    assert read(path, "events") == CONTENT


@pytest.mark.parametrize("text", ["{}", "[]", "{ }\n", "[null]"])
def test_nothing_is_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dump"
    path.write_text(text)
    assert read(path) == {}


@pytest.mark.parametrize("text", ["", "  \n", "null", "null\n", "5", '"text"', "true", "<html>", "-1.5"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_holds_no_children_is_refused(tmp_path: Path, text: str, packed: bool) -> None:
    path = tmp_path / "dump"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(BadInput, match=str(path)):
        Dump(path).check()


@pytest.mark.parametrize("shape", ["object", "lines"])
@pytest.mark.parametrize("packed", [False, True])
@settings(max_examples=60)
@given(cut=st.floats(0.001, 0.999))
def test_a_file_cut_off_is_never_taken_for_a_whole_one(tmp_path: Path, shape: str, packed: bool, cut: float) -> None:
    path = tmp_path / "dump"
    text = shapes(CONTENT)[shape].encode()
    whole = gzip.compress(text, mtime=0) if packed else text
    part = whole[: int(len(whole) * cut)]
    path.write_bytes(part)
    if not packed and shape == "lines" and (part.endswith(b"\n") or whole[len(part) :][:1] == b"\n"):
        return  # a whole number of lines is a whole file of them
    with pytest.raises(BadInput, match=str(path)):
        read(path)


def test_a_cut_is_found_before_anything_is_yielded(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text(json.dumps(CONTENT)[:-1])
    assert Dump(path).pairs()
    path.write_text(json.dumps(CONTENT)[:-30])
    with pytest.raises(BadInput, match="cut off"):
        Dump(path).check()


def test_a_fault_in_the_middle_says_how_far_it_came(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    text = json.dumps(CONTENT)
    path.write_text(text[:1500] + "%" + text[1500:])
    dump = Dump(path)
    dump.check()
    with pytest.raises(BadInput, match=r"after \d+ children"):
        list(dump.pairs())
    assert dump.children > 5
    path.write_text(lines(CONTENT) + "{}\n" + lines(CONTENT))
    dump = Dump(path)
    dump.check()
    with pytest.raises(BadInput, match="line 51"):
        list(dump.pairs())


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Dump(tmp_path / "none").check()
    with pytest.raises(ConfigError, match="cannot be read"):
        Dump(tmp_path).check()
    path = tmp_path / "dump"
    path.write_text('{"events": 5, "users": {}}')
    for inside, message in (("nothing", "has nothing at /nothing"), ("events", "single value at /events")):
        with pytest.raises(BadInput, match=message):
            Dump(path, (inside,)).check()


def test_a_child_called_key_makes_no_export_of_a_dump(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text('{"key": {"n": 1}, "value": {"n": 2}}')
    assert read(path) == {"key": {"n": 1}, "value": {"n": 2}}


def test_the_fraction_grows_to_one(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text(json.dumps({str(number): "x" * 100 for number in range(5000)}))
    dump = Dump(path)
    seen = [dump.fraction for _ in dump.pairs()]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


BIG = '{"a": {"n": 1.5}, ".priority": 1, "b": null, "c": {"n": %s, "f": [2.5, {"g": 1e3}]}, "d": {"n": 7}}'


BEYOND = [
    "9223372036854775808",
    "123456789012345678901234567890",
    "1e400",
    "-1e999",
    "1e-400",
    "1.234567890123456789",
]


@pytest.mark.parametrize("number", BEYOND)
@pytest.mark.parametrize("inside", [(), ("events",)])
def test_a_number_of_any_size_does_not_end_a_load(tmp_path: Path, number: str, inside: tuple[str, ...]) -> None:
    path = tmp_path / "dump"
    text = BIG % number
    path.write_text(f'{{"users": [{number}], "events": {text}}}' if inside else text)
    expected = {"a": {"n": 1.5}, "c": {"n": json.loads(number), "f": [2.5, {"g": 1e3}]}, "d": {"n": 7}}
    written = orjson.dumps(read(path, *inside))
    assert json.loads(written) == expected
    assert f'"n":{number}' in written.decode().replace("E+", "e").replace("E", "e")
    path.write_text(f'[{{"n": 1}}, null, {{"n": {number}}}]')
    assert json.loads(orjson.dumps(read(path))) == {"0": {"n": 1}, "2": {"n": json.loads(number)}}


@pytest.mark.parametrize("size", [1, 2, 7, 30, 65_536])
def test_a_number_is_kept_wherever_a_block_of_the_file_ends(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dump"
    path.write_text('{"a": {"n": 1.5}, "b": {"n": 1e-400}, "c": {"n": 0.12345678901234567890}}')
    really = reading._Watched.read
    monkeypatch.setattr(reading._Watched, "read", lambda self, wanted=-1: really(self, min(size, wanted)))
    assert b'"n":1e-400},"c":{"n":0.12345678901234567890}' in orjson.dumps(read(path))


@pytest.mark.parametrize("inside", [(), ("events",)])
@pytest.mark.parametrize("number", ["1e99999999999999999999", "1" * 5000])
def test_a_number_that_nothing_here_reads_is_named_as_the_fault(
    tmp_path: Path, number: str, inside: tuple[str, ...]
) -> None:
    path = tmp_path / "dump"
    text = f'{{"a": {{"n": {number}}}}}'
    path.write_text(f'{{"users": {text}, "events": {text}}}' if inside else text)
    with pytest.raises(BadInput, match="damaged"):
        read(path, *inside)


def test_a_dump_with_a_large_number_that_is_cut_off_is_damaged_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text('{"a": {"n": 1}, "b": {"n": 123456789012345678901234567890}, "c": {"n": {}}')
    found = []
    with pytest.raises(BadInput, match="damaged after 2 children"):
        found += [key for key, _ in Dump(path).pairs()]


def test_half_of_a_surrogate_pair_does_not_end_a_load(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_text('{"key":"a","value":{"s":"\\ud83d"}}\n{"key":"b","value":{"s":"\\ud83d"}}\n')
    assert list(read(path)) == ["a", "b"]
    path.write_text('{"a": {"s": "\\ud83d"}, "b": {"n": 1}}')
    assert read(path)["b"] == {"n": 1}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 65_536])
def test_half_of_a_surrogate_pair_as_bytes_does_not_end_a_load(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b'{"a": {"n": 1}, "b": {"s": "x\xed\xa0\xbdy \xed\x95\x9c"}, "c": {"n": 2}}')
    really = reading._Mended.read
    monkeypatch.setattr(reading._Mended, "read", lambda self, wanted=-1: really(self, min(size, wanted)))
    assert read(path) == {"a": {"n": 1}, "b": {"s": "x\ufffdy \ud55c"}, "c": {"n": 2}}


def test_what_a_damaged_dump_holds_is_not_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b'{"a": {"password": "hunter2", "name": "J\xf6rg"}, "b": 1}')
    with pytest.raises(BadInput, match="invalid bytes") as raised:
        list(Dump(path).pairs())
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("shape", ["object", "lines"])
def test_a_path_that_is_not_in_the_dump_is_an_error_in_every_shape(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "dump"
    path.write_text(shapes({"events": {"a": 1}})[shape])
    with pytest.raises(BadInput, match="has nothing at /nowhere"):
        read(path, "nowhere")
