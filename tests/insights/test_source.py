"""Events from files of every kind, and from our index."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvesters.errors import BadInput
from harvesters.insights.events import Reading, Row
from harvesters.insights.source import File, file_rows
from tests.insights.made import by_key, event

EVENTS = by_key(
    event("signed_up", "ana", "2016-01-01T10:00:00", school_id="osu_edu"),
    event("heart", "zoë", "2016-01-01T10:00:00"),
    "no object",
)
ROWS = [Reading().event(key, value) for key, value in EVENTS.items()]
DOCUMENTS = [{"app": "buddyup", **value, "id": key} for key, value in EVENTS.items() if isinstance(value, dict)]


def read(path: Path, inside: tuple[str, ...] = ()) -> list[Row]:
    return [*file_rows([File(path, inside)], Reading())]


def lines(values: list[Any]) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


ENTRIES = lines([{"key": key, "value": value} for key, value in EVENTS.items()])


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "content",
    [orjson.dumps(EVENTS), json.dumps(EVENTS, indent=1).encode(), ENTRIES, b"\xef\xbb\xbf" + ENTRIES, b"\n" + ENTRIES],
    ids=["object", "printed", "lines", "mark", "blank"],
)
def test_dumps(tmp_path: Path, content: bytes, packed: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(packed(content))
    assert read(path) == ROWS


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_documents(tmp_path: Path, packed: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(packed(lines(DOCUMENTS)))
    assert read(path) == read(path, ("events",)) == ROWS[:2]


def test_documents_behind_a_blank_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf\n\n" + lines(DOCUMENTS))
    assert read(path) == ROWS[:2]


def test_a_dump_in_one_line_may_have_a_text_called_id(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(orjson.dumps({"id": "a text", **EVENTS}))
    assert read(path) == [Reading().event("id", "a text"), *ROWS]
    path.write_bytes(lines([{"id": "k1"}, {"id": "k2", "app": "buddyup"}]))
    assert read(path) == [Reading().event("k1", {}), Reading().event("k2", {})]


def test_a_part_of_a_dump(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(orjson.dumps({"events": EVENTS, "id": "a text", "users": {}}))
    assert read(path, ("events",)) == ROWS
    path.write_bytes(lines([{"key": f"events/{key}", "value": value} for key, value in EVENTS.items()]))
    assert read(path, ("events",)) == ROWS


def test_an_array_has_its_places_for_keys(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(orjson.dumps([None, EVENTS["k000"]]))
    assert read(path) == [Reading().event("1", EVENTS["k000"])]


def test_a_number_beyond_64_bits_is_the_same_from_every_file(tmp_path: Path) -> None:
    made = b'{"type":"added_class","created_at":1451642400000,"data":{"course_id":123456789012345678901}}'
    path = tmp_path / "file"
    found = set()
    for content in (b'{"k":%b}' % made, b'{"key":"k","value":%b}\n' % made, made[:-1] + b',"id":"k"}\n'):
        path.write_bytes(content)
        found.update(read(path))
    assert {row.class_ for row in found} == {str(int(123456789012345678901.0))}
    assert len(found) == 1


def test_halves_of_surrogate_pairs_and_endless_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"key":"k","value":{"type":"\\ud83d","created_at":1451642400000,"data":{"class_id":1e400}}}\n')
    assert [row.at for row in read(path)] == [1451642400000]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "empty"),
        (b"null", "null"),
        (b"5", "single value"),
        (orjson.dumps(EVENTS)[:-1], "cut off"),
        (ENTRIES[:-5], "cut off"),
        (ENTRIES + b'{"id": "k"}\n' + ENTRIES, "line 4"),
        (lines(DOCUMENTS) + b"[]\n", "line 3"),
        (lines(DOCUMENTS) + b'{"id": 5}\n', "line 3"),
        (lines(DOCUMENTS)[:-9], "line 2"),
        (gzip.compress(ENTRIES * 9000)[:-400], "children"),
        (gzip.compress(lines(DOCUMENTS))[:-4], "line 3"),
    ],
)
def test_what_is_damaged_is_named_with_its_place(tmp_path: Path, content: bytes, place: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"{path}.*{place}"):
        read(path)
