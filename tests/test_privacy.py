"""Secrets are masked in whatever spelling they turn up."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters import privacy
from harvesters.privacy import excerpt, protect, protect_basic, protect_token, redact

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=3, max_size=20)


@given(SECRETS, st.sampled_from(["plain", "url", "form", "json", "orjson", "repr", "bytes", "base64"]))
def test_a_known_secret_is_masked_in_every_spelling(secret: str, spelling: str) -> None:
    privacy._known.clear()
    protect([secret])
    written = {
        "plain": secret,
        "url": quote(secret, safe=""),
        "form": quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "orjson": orjson.dumps(secret).decode()[1:-1],
        "repr": repr(secret)[1:-1],
        "bytes": repr(secret.encode())[2:-1],
        "base64": base64.b64encode(secret.encode()).decode(),
    }[spelling]
    assert redact(f"(({written}))") == "((***))"


def test_the_longest_secret_is_masked_first() -> None:
    protect(["hush", "hush-hush-hush"])
    assert redact("a hush-hush-hush b") == "a *** b"


def test_too_short_a_secret_masks_nothing() -> None:
    protect(["", "a"])
    assert redact("a banana") == "a banana"


def test_basic_credentials_are_masked() -> None:
    protect_basic("user", "pass:word")
    credentials = base64.b64encode(b"user:pass:word").decode()
    assert redact(f"sent {credentials}") == "sent ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (
            "GET https://db.example/x.json?auth=s3cret&shallow=true",
            "GET https://db.example/x.json?auth=***&shallow=true",
        ),
        ("https://h/?access_token=abc", "https://h/?access_token=***"),
        ("https://h/?a=1&TOKEN=abc'", "https://h/?a=1&TOKEN=***'"),
        ("https://h/k?X-Amz-Credential=A&X-Amz-Signature=B", "https://h/k?X-Amz-Credential=***&X-Amz-Signature=***"),
        ("https://user:pw@host/path", "https://***@host/path"),
        ("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
        ("rediss://me:p%40ss@cache/0", "rediss://***@cache/0"),
        ("Authorization: Digest username=me, response=abc", "Authorization: ***"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': '***"),
        ("authorization=Basic dXNlcjpwdw==", "authorization=***"),
        (
            "posting to https://logs-01.loggly.com/inputs/TOKEN-1/tag/x/",
            "posting to https://logs-01.loggly.com/inputs/***/tag/x/",
        ),
        ("POST https://logs-01.loggly.com/bulk/TOKEN-1/tag/x/", "POST https://logs-01.loggly.com/bulk/***/tag/x/"),
    ],
)
def test_credentials_are_known_by_their_shape(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8443/usertracking/actions.json?limit=10&offset=0",
        "http://127.0.0.1:8080/search/episode.json?id=a@b",
        "s3://bucket/keys/of/mine",
        "2026-02-13T09:30:00Z INFO harvesting 2026-02-13T09:28:00Z/2026-02-13T09:30:00Z",
        "check MATTERHORN_REST_USER and MATTERHORN_REST_PASS",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert redact(text) == text


class TestTokens:
    def test_nothing_grows_while_tokens_are_replaced(self) -> None:
        protect(["the-password-of-the-settings"])
        for number in range(500):
            protect_token("zoom account", f"token-{number:06d}")
            protect(["the-password-of-the-settings"])
        assert privacy._pattern is not None
        assert len(privacy._pattern.pattern) < 2000
        assert sum(map(len, privacy._tokens.values())) + len(privacy._known) < 50

    def test_what_is_in_use_is_never_forgotten(self) -> None:
        protect(["the-password-of-the-settings"])
        protect_token("google", "the-token-of-another-owner")
        for number in range(200):
            protect_token("zoom account", f"token-{number:06d}")
            protect_token("zoom account", "one-that-is-used-again-and-again")
        text = "the-password-of-the-settings the-token-of-another-owner token-000199 one-that-is-used-again-and-again"
        assert redact(text) == "*** *** *** ***"

    def test_threads_may_add_some_while_others_mask(self) -> None:
        failures: list[BaseException] = []

        def work(name: str) -> None:
            try:
                for number in range(50):
                    protect([f"{name}-secret-{number % 20}"])
                    protect_token(name, f"{name}-token-{number}")
                    assert redact(f"x {name}-token-{number} x") == "x *** x"
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(f"thread-{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


class TestExcerpt:
    def test_it_is_at_most_500_characters_on_one_line(self) -> None:
        text = excerpt("first\nsecond\r\n\x1b[31m\tthird " + "word " * 100_000)
        assert text.startswith("first second [31m third word")
        assert len(text) <= 500
        assert text.endswith(" …")

    def test_short_words_are_left_as_they_are(self) -> None:
        assert excerpt("Größe: 5 µs") == "Größe: 5 µs"
        assert excerpt("Größe".encode()) == "Größe"
        assert excerpt(b"\xff\xfe") == "\N{REPLACEMENT CHARACTER}" * 2
        assert excerpt(None) == "None"

    @pytest.mark.parametrize("place", range(470, 512, 3))
    def test_no_half_of_a_secret_is_left_where_it_is_cut(self, place: int) -> None:
        protect(["hunter2-hunter2-hunter2"])
        text = excerpt("x" * place + "hunter2-hunter2-hunter2" + "y" * 1000)
        assert "hunter" not in text
        assert len(text) <= 500
