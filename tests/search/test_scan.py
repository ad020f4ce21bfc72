"""Documents as an index keeps them."""

from __future__ import annotations

import pytest

from harvesters.search import scan
from tests.nodes import Node

DOCUMENTS = {
    "spaced": b'{ "b": 1.0,  "a": [ ] }',
    "endless": b'{"n":%b}' % (b"9" * 400),
    "deep": b'{"in":%b1%b}' % (b'{"a":' * 900, b"}" * 900),
}


def test_documents_come_byte_for_byte(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are not read on the way, which would take a hundred times as long."""

    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("a page was read as a whole")

    node.ask("PUT", f"/{node.prefix}x", {"mappings": {"enabled": False}})
    for name, text in DOCUMENTS.items():
        node.ask("PUT", f"/{node.prefix}x/_doc/{name}", text, params={"refresh": "true"})
    client = node.client()
    with monkeypatch.context() as patched:
        patched.setattr(scan, "read_json", read)
        found = {hit.id: bytes(hit.source) for hits in scan.verbatim(client, f"{node.prefix}x") for hit in hits}
    client.close()
    assert found == DOCUMENTS


def test_a_document_that_is_not_kept_is_empty(node: Node) -> None:
    node.ask("PUT", f"/{node.prefix}x", {"mappings": {"_source": {"enabled": False}}})
    node.ask("PUT", f"/{node.prefix}x/_doc/1", {"n": 1}, params={"refresh": "true"})
    client = node.client()
    (hits,) = scan.verbatim(client, f"{node.prefix}x")
    client.close()
    assert [bool(hit.source) for hit in hits] == [False]
