"""What ``FIREBASE_CREDENTIALS`` may hold, and that nothing of it is shown."""

from __future__ import annotations

import base64
import json
import textwrap
from pathlib import Path

import pytest

from harvesters.errors import ConfigError
from harvesters.firebase.credentials import service_account
from harvesters.privacy import redact

KEY = f"-----BEGIN PRIVATE KEY-----\n{textwrap.fill('MIIEvQIBADANBgkqhkiG' * 20, 64)}\n-----END PRIVATE KEY-----\n"
ACCOUNT = {
    "type": "service_account",
    "private_key_id": "0123456789abcdef0123",
    "private_key": KEY,
    "client_email": "harvest@example.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
TEXT = json.dumps(ACCOUNT, indent=2)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        json.dumps(ACCOUNT),
        f"\ufeff  {TEXT}\n",
        TEXT.replace("\\n", "\n"),  # as some shells hand it on
        base64.b64encode(TEXT.encode()).decode(),
        base64.b64encode(TEXT.encode()).decode().rstrip("="),
        base64.encodebytes(TEXT.encode()).decode(),
        base64.urlsafe_b64encode(f"\ufeff{TEXT}".encode()).decode(),
    ],
)
def test_the_document_itself_or_its_base64(text: str) -> None:
    assert service_account(text)["private_key"] == KEY


@pytest.mark.parametrize("name", ["account.json", "account", "eyAccount"])
def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(TEXT)
    assert service_account(name) == ACCOUNT
    assert service_account(str(tmp_path / name)) == ACCOUNT


def test_what_was_read_is_masked() -> None:
    service_account(TEXT)
    line = KEY.splitlines()[2]
    for said in (KEY, TEXT, repr(TEXT), f"could not load {line!r}", json.dumps({"key": KEY}), str(Path(TEXT[:-1]))):
        assert "MIIEvQIB" not in redact(said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/nowhere/account.json", "/nowhere/account.json cannot be read: No such file"),
        (TEXT[:-9], "is no JSON"),
        (TEXT[:200], "is no JSON"),
        ("{}", "lacks client_email"),
        (json.dumps({**ACCOUNT, "private_key": 5}), "lacks private_key"),
        (json.dumps({**ACCOUNT, "token_uri": "oauth2.googleapis.com"}), "token_uri is no http"),
        (base64.b64encode(TEXT.encode()).decode()[:-80], "is no JSON"),
        (base64.b64encode(TEXT.encode()).decode()[1:], "cannot be read"),
        (KEY, "cannot be read"),
        (f"x{TEXT}", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("~nobody-of-this-name/x", "cannot be read"),
    ],
)
def test_what_is_none_of_them_is_not_shown(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        service_account(text)
    shown = str(raised.value)
    assert "FIREBASE_CREDENTIALS" in shown
    assert raised.value.__cause__ is None, "nor in the cause of it"
    for secret in ("MIIEvQIB", "PRIVATE KEY", "0123456789abcdef", "harvest@", "service_account", "oauth2"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("content", "message"), [("{", "no JSON"), ("[]", "lacks"), ('{"client_email": "x"}', "private_key")]
)
def test_a_file_that_is_no_service_account_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as raised:
        service_account(str(path))
    assert str(path) in str(raised.value)
