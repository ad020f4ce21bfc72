"""Documents that are hardly JSON, and numbers beyond 64 bits or a double: copied as they are."""

from __future__ import annotations

import orjson
import pytest

from harvesters import exact
from harvesters.migration.copying import converted
from harvesters.migration.odd import set_aside
from tests.migration.migrating import DAY, migrator, writable
from tests.nodes import Node

HUGE = b"123456789012345678901234567890"
HALF = b"\xed\xa0\xbd"


def put(node: Node, id: str, body: bytes) -> None:
    line = b'{"index":{"_index":"%b%b","_id":"%b"}}\n' % (node.prefix.encode(), DAY.encode(), id.encode())
    client = node.client()
    answer = client.attempt("POST", "/_bulk", line + body + b"\n", params={"refresh": "true"}, lines=True).body
    client.close()
    assert not answer["errors"], answer


def raw(node: Node, id: str) -> bytes:
    """The document as Elasticsearch keeps it."""
    client = node.client()
    path = f"/{node.prefix}{DAY}/_doc/{id}"
    body = client.attempt("GET", path, unread=True).raw  # a filter_path would have it written anew
    client.close()
    return body


@pytest.mark.parametrize(
    "body",
    [
        b'{"huid":"1","x":"\\ud83d"}',
        b'{"huid":"1","x":"%b"}' % HALF,
        b'{"huid":"1","x":1e400}',
        b'{"huid":"1","x":%b,"y":0.12345678901234567890123,"z":1E-400}' % HUGE,
    ],
)
@pytest.mark.parametrize("live", [b"true", b"1"])
def test_it_is_copied_as_it_is_and_holds_nothing_up(node: Node, body: bytes, live: bytes) -> None:
    node.ask("PUT", f"/{node.prefix}{DAY}", {"mappings": {"dynamic": False}})
    body = body.replace(b'{"huid"', b'{"is_live":%b,"huid"' % live)
    put(node, "odd", body)
    put(node, "good", b'{"is_live":1,"huid":"2"}')
    with migrator(node) as (it, _):
        assert it.run() == 1
    wanted = exact.loads(body) | {"is_live": True}
    assert exact.loads(raw(node, "odd"))["_source"] == wanted
    assert exact.loads(raw(node, "good"))["_source"]["is_live"] is True
    assert writable(node)


def same(body: dict[str, object]) -> dict[str, object]:
    return body


@pytest.mark.parametrize("body", [b'{"a": %b}' % HUGE, b'{"a":\n1.10}', b'{"a":"%b"}' % HALF])
def test_bytes_stay_where_nothing_changes(body: bytes) -> None:
    assert converted(body, same) == (body.replace(b"\n", b" "), False)


def test_numbers_keep_their_spelling_where_something_does() -> None:
    text, changed = converted(b'{"a":%b,"b":1e400,"c":1.5}' % HUGE, lambda body: {**body, "d": True})
    assert changed
    assert text == b'{"a":%b,"b":1e400,"c":1.5,"d":true}' % HUGE


@pytest.mark.parametrize("cut", [1, 10, 25])
def test_what_is_cut_off_is_no_json(cut: int) -> None:
    with pytest.raises(ValueError, match="char"):
        exact.loads(b'{"a":"\\ud83d","b":1e400}'[:-cut])


def test_exact_agrees_with_orjson_on_what_both_read() -> None:
    value = {"a": [1, -2.5, True, None, "ü\n"], "b": {"c": 2**63, "d": -(2**63)}}
    body = orjson.dumps(value)
    assert exact.loads(body) == value
    assert orjson.loads(exact.dumps(value)) == value


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("a", {"b": {"c": 1, "d": 2}, "odd": {"a": 0}}),
        ("b.c", {"a": 0, "b": {"d": 2}, "odd": {"b": {"c": 1}}}),
        ("a.x.y", {"b": {"c": 1, "d": 2}, "odd": {"a": 0}}),
        ("unheard", {"odd": {"a": 0, "b": {"c": 1, "d": 2}}}),
    ],
)
def test_what_fits_no_mapping_goes_aside(field: str, wanted: dict[str, object]) -> None:
    assert set_aside({"a": 0, "b": {"c": 1, "d": 2}}, field) == wanted


def test_what_is_aside_already_stays() -> None:
    assert set_aside({"a": 0, "b": 1, "odd": {"c": 2}}, "a") == {"b": 1, "odd": {"c": 2, "a": 0}}
    assert set_aside({"a": 0, "odd": 1}, "a") == {"odd": {"odd": 1, "a": 0}}
