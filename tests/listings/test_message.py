"""What a message may say, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from harvesters.errors import BadInput
from harvesters.listings.message import View, parse_key, parse_listing, parse_view


def document(value: bytes) -> dict:
    listing = parse_listing(value)
    found: dict = json.loads(listing.document(b'{"offset":7}', listing.created or "now"))
    if found["created"] == "now":
        del found["created"]
    return found


def test_a_listing_keeps_what_it_said_and_nothing_of_ours() -> None:
    value = b'{"id": 42, "title": "Desk",\n "description": "oak", "price": 12.50, "visits": 9, "hot": 1, "origin": 5}'
    assert document(value) == {
        "id": 42,
        "title": "Desk",
        "description": "oak",
        "price": 12.5,
        "origin": {"offset": 7},
    }
    assert parse_listing(value).id == "42"


def test_numbers_of_any_size_and_odd_texts_come_through() -> None:
    value = '{"id":"a","n":123456789012345678901234567890.125,"t":"\\ud83d\\ude00 é","v.x":{"visits":1}}'.encode()
    written = parse_listing(value).document(b"{}", "now")
    assert b"123456789012345678901234567890.125" in written
    assert json.loads(written) == {**json.loads(value), "origin": {}, "created": "now"}


def test_a_document_is_one_line() -> None:
    assert b"\n" not in parse_listing(b'{\r\n"id": 1,\n"a": {\n"b": [1,\n2]}\n}').document(b"{}", "")


def test_what_looks_like_ours_with_dots_is_ours() -> None:
    assert document(b'{"id":1,"visits.x":1,"origin.offset":9,"hotel":2}') == {
        "id": 1,
        "hotel": 2,
        "origin": {"offset": 7},
    }


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05.123456+05:30", "2026-01-02T03:04:05.123456+05:30"),
        ("20260102T030405+0530", "2026-01-01T21:34:05Z"),
        ("2026-01-02 03:04", "2026-01-02T03:04:00"),
        ("2026-W01-1", "2025-12-29T00:00:00"),
    ],
)
def test_created_is_a_time_that_elasticsearch_reads(text: str, created: str) -> None:
    assert parse_listing(json.dumps({"id": 1, "created": text}).encode()).created == created


def test_created_may_be_missing() -> None:
    assert parse_listing(b'{"id":1}').created == ""
    assert parse_listing(b'{"id":1,"created":null,"title":null}').created == ""


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no json",
        b"[1]",
        b"null",
        b'{"title":"x"}',
        b'{"id":1.5}',
        b'{"id":true}',
        b'{"id":null}',
        b'{"id":""}',
        b'{"id":{"a":1}}',
        b'{"id":"a\\tb"}',
        b'{"id":"a\\u0085b"}',
        b'{"id":"%b"}' % (b"x" * 513),
        '{"id":"%s"}'.replace("%s", "é" * 257).encode(),
        b'{"id":"\\ud800"}',
        b'{"id":1,"title":5}',
        b'{"id":1,"description":["a"]}',
        b'{"id":1,"created":"yesterday"}',
        b'{"id":1,"created":1700000000}',
        b'{"id":1,"created":"2026-02-30"}',
        b'{"id":1,"other":"\xff"}',
        b'{"id":1} {"id":2}',
        b'{"id":1,"n":NaN}',
        b'{"id":1,"n":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda value: value[:30].decode("utf-8", "replace"),
)
def test_what_is_no_listing_is_refused_with_a_reason(value: bytes) -> None:
    with pytest.raises(BadInput, match=r"\w{2}"):
        parse_listing(value)


def test_ids_of_512_bytes_and_of_any_number_are_fine() -> None:
    assert parse_listing(b'{"id":"%b"}' % (b"x" * 512)).id == "x" * 512
    assert parse_listing(b'{"id":-123456789012345678901234567890}').id == "-123456789012345678901234567890"
    assert parse_listing(b'{"id":" /a?b#c "}').id == " /a?b#c "


def test_a_view_is_two_ids() -> None:
    assert parse_view(b'{"user_id": 7, "item_id": "42"}') == View("7", "42")


@pytest.mark.parametrize(
    "value",
    [b"7 42", b'{"user_id":7}', b'{"item_id":7}', b'{"user_id":1,"item_id":"a\\nb"}', b'{"user_id":"\\t","item_id":1}'],
)
def test_what_is_no_view_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput):
        parse_view(value)


def test_a_key_names_the_listing_that_is_deleted() -> None:
    assert parse_key(b"42") == "42"
    for key in (b"", b"\xff", b"a\tb", b"x" * 513):
        with pytest.raises(BadInput):
            parse_key(key)
