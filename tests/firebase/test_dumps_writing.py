from __future__ import annotations

import errno
import io
import itertools
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.errors import (
    BadInput,
    ConfigError,
    Interrupted,
    ProtocolError,
    ReaderGone,
    SinkUnavailable,
    TryLater,
    Unavailable,
)
from harvesters.firebase.dumps.file import ExportFile, ExportStdout
from harvesters.firebase.dumps.formats import Format, Lines, OneObject
from harvesters.firebase.dumps.writing import Export
from harvesters.firebase.keys import split_path
from harvesters.firebase.paging import PageSize
from harvesters.firebase.verbatim import parse_verbatim
from harvesters.firebase.walk import Walk
from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.clocks import FakeClock
from tests.firebase.conftest import Connect, queries

FORMATS: dict[str, type[Format]] = {"jsonl": Lines, "json": OneObject}


class Exporter:
    """Exports of one simulated database to one file."""

    def __init__(self, server: FirebaseSimulator, connect: Connect, file: Path) -> None:
        self.server = server
        self.connect = connect
        self.file = file

    def run(self, path: str = "", form: str = "jsonl", page: int = 50, **options: Any) -> Export:
        writer = ExportFile(self.file, FORMATS[form](), options.pop("restart", False))
        walk = Walk(self.connect(self.server, **options), split_path(path), PageSize(page), parse_verbatim)
        export = Export(walk, writer, FakeClock(), threading.Event())
        export.run()
        return export

    def content(self, form: str = "jsonl") -> Any:
        if form == "json":
            return json.loads(self.file.read_text())
        tree: dict[str, Any] = {}
        for line in self.lines():
            *above, key = line["key"].split("/")
            node = tree
            for step in above:
                node = node.setdefault(step, {})
            assert key not in node, f"{line['key']} was written twice"
            node[key] = line["value"]
        return tree

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def exporter(firebase: FirebaseSimulator, connect: Connect, tmp_path: Path) -> Exporter:
    return Exporter(firebase, connect, tmp_path / "export")


def test_a_node_is_written_as_it_is_in_key_order(exporter: Exporter, buddyup_database: dict[str, Any]) -> None:
    exporter.run("events")
    lines = exporter.lines()
    assert {line["key"]: line["value"] for line in lines} == buddyup_database["events"]
    keys = [line["key"] for line in lines]
    assert keys == sorted(keys)


@pytest.mark.parametrize("form", ["jsonl", "json"])
@pytest.mark.parametrize("limit", [3_000, 20_000, 10_000_000])
def test_the_whole_database_however_little_one_answer_holds(
    exporter: Exporter, buddyup_database: dict[str, Any], form: str, limit: int
) -> None:
    exporter.server.max_response = limit
    exporter.run(form=form)
    assert exporter.content(form) == exporter.server.value()


def test_integer_keys_come_first_and_lists_have_their_indices_as_keys(exporter: Exporter) -> None:
    exporter.server.load("/x", {**{str(number): {"n": number} for number in range(250)}, "a": [1, None, 3]})
    exporter.run("x", page=40)
    lines = exporter.lines()
    assert [line["key"] for line in lines] == [*map(str, range(250)), "a"]
    assert lines[-1]["value"] == [1, None, 3]


def test_pages_shrink_when_refused_and_grow_back(exporter: Exporter) -> None:
    big = {f"b{number:02}": "v" * 900 for number in range(20)}
    small = {f"c{number:04}": 1 for number in range(2000)}
    exporter.server.load("/x", {**big, **small})
    exporter.server.max_response = 5_000
    exporter.run("x", page=100)
    assert {line["key"] for line in exporter.lines()} == big.keys() | small.keys()
    limits = [int(query["limitToFirst"]) for query in queries(exporter.server)]
    assert min(limits) <= 5
    assert limits[-1] == 100
    refusals = sum(1 for before, after in itertools.pairwise(limits) if after < before)
    assert refusals < len(limits) / 3


@pytest.mark.parametrize(
    ("value", "lines"), [(None, []), (5, [{"key": "", "value": 5}]), ("t", [{"key": "", "value": "t"}])]
)
def test_a_node_without_children(exporter: Exporter, value: Any, lines: list[Any]) -> None:
    if value is not None:
        exporter.server.edit("/x", value)
    exporter.run("x")
    assert exporter.lines() == lines
    exporter.run("x")
    assert exporter.lines() == lines
    for _ in range(2):
        exporter.run("x", form="json", restart=True)
        assert exporter.content("json") == value


def test_a_single_value_that_is_never_sent_is_named(exporter: Exporter) -> None:
    exporter.server.max_response = 2_000
    exporter.server.load("/x", {"a": 1, "b": {"deep": "v" * 3000}})
    with pytest.raises(ProtocolError, match="/x/b/deep"):
        exporter.run("x")
    assert exporter.content() == {"a": 1}


def test_a_second_run_adds_what_is_new_and_asks_for_nothing_else(exporter: Exporter) -> None:
    exporter.server.load("/x", {f"k{number:03}": number for number in range(120)})
    exporter.run("x")
    exporter.server.load("/x", {"k120": 120})
    exporter.server.requests.clear()
    exporter.run("x")
    assert exporter.content() == {f"k{number:03}": number for number in range(121)}
    assert [query.get("startAfter") for query in queries(exporter.server)] == [None, '"k119"']
    assert queries(exporter.server)[0]["shallow"] == "true"


@pytest.mark.parametrize("form", ["jsonl", "json"])
@settings(max_examples=15)
@given(cut=st.floats(0, 1), limit=st.sampled_from([4_000, 50_000]))
def test_a_file_cut_off_anywhere_is_gone_on_with(
    exporter: Exporter, buddyup_database: dict[str, Any], form: str, cut: float, limit: int
) -> None:
    exporter.server.max_response = limit
    exporter.run(form=form, restart=True)
    whole = exporter.file.read_bytes()
    exporter.file.write_bytes(whole[: int(len(whole) * cut)])
    kept = whole[: int(len(whole) * cut)].count(b"\n")
    exporter.server.requests.clear()
    export = exporter.run(form=form)
    assert exporter.file.read_bytes() == whole
    if form == "jsonl":
        assert export.counts.children == whole.count(b"\n") - kept  # nothing that was there is written again


def test_a_source_that_fails_leaves_whole_pages_and_the_next_run_goes_on(exporter: Exporter) -> None:
    content = {f"k{number:03}": number for number in range(200)}
    exporter.server.load("/x", content)
    exporter.server.fail("status", after=2, times=10_000, response=Response(500))
    with pytest.raises(Unavailable):
        exporter.run("x")
    assert len(exporter.lines()) == 100
    exporter.server.faults.clear()
    exporter.run("x")
    assert exporter.content() == content


def test_a_stopped_export_says_how_to_go_on(exporter: Exporter) -> None:
    exporter.server.load("/x", {f"k{number:03}": number for number in range(200)})
    writer = ExportFile(exporter.file, Lines())
    stop = threading.Event()
    export = Export(Walk(exporter.connect(), ("x",), PageSize(50)), writer, FakeClock(), stop)
    with pytest.raises(Interrupted, match="same command"):
        export.run(lambda counts: stop.set())
    assert len(exporter.lines()) == 50


@pytest.mark.parametrize("form", ["jsonl", "json"])
@pytest.mark.parametrize(
    "content", ["hello\nworld\n", '{"a": 1}\n', "[1,\n2]\n", '{"key": 5, "value": 1}\n', "x", "{\nfoo\n"]
)
def test_a_file_that_is_no_export_is_left_alone(exporter: Exporter, form: str, content: str) -> None:
    exporter.server.load("/x", {"a": 1})
    exporter.file.write_text(content)
    with pytest.raises(BadInput, match="--restart"):
        exporter.run("x", form)
    assert exporter.file.read_text() == content
    exporter.run("x", form, restart=True)
    assert exporter.content(form) == {"a": 1}


def test_an_export_of_another_path_is_not_gone_on_with(exporter: Exporter, buddyup_database: dict[str, Any]) -> None:
    exporter.run("events")
    before = exporter.file.read_bytes()
    with pytest.raises(BadInput, match="another path"):
        exporter.run("users")
    assert exporter.file.read_bytes() == before


def test_two_exports_do_not_write_to_one_file(exporter: Exporter) -> None:
    first = ExportFile(exporter.file, Lines())
    first.resume()
    with pytest.raises(TryLater):
        exporter.run("x")
    first.close()
    exporter.run("x")


def test_a_file_that_cannot_be_written(exporter: Exporter, tmp_path: Path) -> None:
    exporter.file = tmp_path
    with pytest.raises(ConfigError, match="cannot be written"):
        exporter.run("x")


def test_a_full_disk_names_the_directory_and_loses_nothing(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter.server.load("/x", {f"k{number:03}": number for number in range(200)})
    really, room = os.write, [3000]

    def write(handle: int, data: Any) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(room[0], len(data))
        room[0] -= taken
        return really(handle, data[:taken])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(SinkUnavailable, match=re.escape(f"Make room in {exporter.file.parent}")):
            exporter.run("x")
    exporter.run("x")
    assert exporter.content() == {f"k{number:03}": number for number in range(200)}


def test_connections_are_closed_at_the_end(exporter: Exporter) -> None:
    exporter.server.load("/x", {"a": 1})
    export = exporter.run("x")
    manager: Any = vars(export.walk.client.http.session.get_adapter("http://"))["poolmanager"]
    assert len(manager.pools) == 0


def test_standard_output(exporter: Exporter) -> None:
    exporter.server.load("/x", {"a": {"é": "ü"}, "b": 2})
    stream = io.BytesIO()
    Export(Walk(exporter.connect(), ("x",)), ExportStdout(Lines(), stream), FakeClock(), threading.Event()).run()
    assert stream.getvalue().decode() == '{"key":"a","value":{"é":"ü"}}\n{"key":"b","value":2}\n'


def test_a_reader_that_leaves_ends_the_export_quietly(exporter: Exporter) -> None:
    class Closed(io.BytesIO):
        def write(self, data: Any) -> int:
            raise BrokenPipeError

    exporter.server.load("/x", {"a": 1})
    with pytest.raises(ReaderGone):
        Export(Walk(exporter.connect(), ("x",)), ExportStdout(Lines(), Closed()), FakeClock(), threading.Event()).run()


def test_secrets_of_the_database_are_exported_verbatim(exporter: Exporter) -> None:
    exporter.server.load("/x", {"a": {"password": "p", "key": "k"}})
    exporter.run("x")
    assert exporter.lines() == [{"key": "a", "value": {"password": "p", "key": "k"}}]
    assert exporter.file.stat().st_mode & 0o077 == 0


JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=".$#[]/\x7f"), min_size=1, max_size=5)
        | st.integers(0, 5).map(str),
        inner,
        min_size=1,
        max_size=4,
    ),
    max_leaves=20,
)


@settings(max_examples=60)
@given(
    content=st.dictionaries(st.sampled_from(["a", "b", "0", "1", "2", "é", "\U0001f600", "{:"]), JSON, min_size=1),
    page=st.integers(1, 3),
    limit=st.sampled_from([60, 200, 10_000]),
)
def test_whatever_a_database_holds_is_exported(exporter: Exporter, content: Any, page: int, limit: int) -> None:
    exporter.server.edit("/x", content)
    exporter.server.max_response = limit
    exporter.run("x", "json", page, restart=True)
    expected = exporter.server.value("/x")
    assert _objects(exporter.content("json")) == _objects(expected)


def _objects(value: Any) -> Any:
    """Lists as the objects with integer keys that they are."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value) if item is not None}
    return {key: _objects(item) for key, item in value.items()} if isinstance(value, dict) else value


_NESTED = '{"n":1e5,"s":"\\u00e9 \\/"}'


def _lines(**values: str) -> list[str]:
    return [f'{{"key":"{key}","value":{value}}}' for key, value in values.items()]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ('{"b":1e400,"a":1.0}', ['{"key":"a","value":1.0}', '{"key":"b","value":1e400}']),
        ('{"a":123456789012345678901234567890}', ['{"key":"a","value":123456789012345678901234567890}']),
        ('{"a":"\\ud83d"}', ['{"key":"a","value":"\\ud83d"}']),
        ('{\n  "a" : {\n    "b" : 1\n  }\n}', ['{"key":"a","value":{"b":1}}']),
        ('{"a":1.0,"b":{"n":1e5,"s":"\\u00e9 \\/"},"c":"\\ud83d"}\n', _lines(a="1.0", b=_NESTED, c='"\\ud83d"')),
        ('{\n  "a" : {\r\n\t"s" : "x \\" : y",\n "n" : 1.50\n  }\n}\n', _lines(a='{"s":"x \\" : y","n":1.50}')),
        (' [ 1e5 , null,\n"\\ud83d" ]', ['{"key":"0","value":1e5}', '{"key":"2","value":"\\ud83d"}']),
        ('[null,{"n":1},null,2]', ['{"key":"1","value":{"n":1}}', '{"key":"3","value":2}']),
    ],
)
def test_values_keep_their_spelling(exporter: Exporter, body: str, lines: list[str]) -> None:
    exporter.server.fail("status", response=Response(200, body.encode()))
    exporter.run("x")
    assert exporter.file.read_text().splitlines() == lines


@pytest.mark.parametrize("spelled", ["1e5", "1.50", "-0", "123456789012345678901234567890", '"\\u00e9"', '"\\ud83d"'])
@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_single_value_keeps_its_spelling(exporter: Exporter, form: str, spelled: str) -> None:
    exporter.server.fail("status", response=Response(200, b"null"))  # it has no children
    exporter.server.fail("status", response=Response(200, f"{spelled}\n".encode()))
    exporter.run("x", form)
    expected = spelled if form == "json" else f'{{"key":"","value":{spelled}}}'
    assert exporter.file.read_text() == f"{expected}\n"


def test_an_export_goes_on_behind_half_of_a_surrogate_pair(exporter: Exporter) -> None:
    exporter.server.load("x", {"a": 1, "b": 2})
    exporter.file.write_text('{"key":"a","value":"\\ud83d"}\n')
    exporter.run("x")
    assert [line["key"] for line in exporter.lines()] == ["a", "b"]


def test_a_child_that_is_too_big_among_too_many_keys_is_an_error_that_says_where(exporter: Exporter) -> None:
    exporter.server.load("x", {"a": 1, "big": "x" * 5000, **{f"key-{number}": 1 for number in range(200)}})
    exporter.server.max_response = 1000
    exporter.server.shallow_with_limits = False
    with pytest.raises(ProtocolError, match="a child of /x behind a is more than"):
        exporter.run("x")


def test_a_line_of_text_is_no_finished_export_of_a_single_value(exporter: Exporter) -> None:
    exporter.server.load("x", {"a": 1})
    exporter.file.write_text("hello\n")
    with pytest.raises(BadInput, match="begins with something else"):
        exporter.run("x", "json")
    assert exporter.file.read_text() == "hello\n"
