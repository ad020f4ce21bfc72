"""What is missing is named at once, whichever command misses it, before anybody is asked for anything."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command

OPENCAST = {"MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS"}
ZOOM = {"ZOOM_ACCOUNT_ID", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET"}
FIREBASE = {"FIREBASE_ENDPOINT", "FIREBASE_CREDENTIALS", "FIREBASE_KEY"}
QUEUE = {"SQS_QUEUE_NAME"}
CASES: list[tuple[tuple[str, ...], set[str]]] = [
    (("useractions",), OPENCAST | QUEUE),
    (("useractions", "-o", "-"), OPENCAST),
    (("load_episodes",), OPENCAST | {"MATTERHORN_ADMIN_HOST"}),
    (("load_episodes", "--mpid", "m"), OPENCAST | {"MATTERHORN_ADMIN_HOST"}),
    (("zoom", "-o", "-"), ZOOM),
    (("zoom", "-o", "sqs"), ZOOM | QUEUE),
    (("zoom", "--live", "-o", "sqs"), ZOOM | QUEUE),
    (("zoom", "--plan", "-o", "sqs"), ZOOM),
    (("firebase", "export"), FIREBASE),
    (("firebase", "events", "-o", "-"), FIREBASE),
    (("firebase", "events", "-o", "sqs"), FIREBASE | QUEUE),
    (("firebase", "profiles", "-o", "sqs"), FIREBASE | QUEUE),
    (("firebase", "classes", "-o", "-"), FIREBASE),
    (("index",), QUEUE),
]
EVERY = OPENCAST | ZOOM | FIREBASE | QUEUE | {"MATTERHORN_ADMIN_HOST"}


def named(text: str) -> set[str]:
    return {name for name in EVERY if name in text}


@pytest.mark.parametrize(("words", "missing"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_all_that_is_missing_is_named(harvest: Command, words: tuple[str, ...], missing: set[str]) -> None:
    result = harvest(*words)
    assert result.code == 78
    last = result.err.splitlines()[-1]
    assert named(last) == missing
    assert result.out == ""


@pytest.mark.parametrize(("words", "missing"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_what_is_given_is_not_named(harvest: Command, words: tuple[str, ...], missing: set[str]) -> None:
    given = sorted(missing)[0]
    alone = {"FIREBASE_CREDENTIALS", "FIREBASE_KEY"} if given.startswith("FIREBASE_") else {given}
    if missing <= alone:
        return
    result = harvest(*words, env=dict.fromkeys(alone, "given"))
    assert result.code == 78
    assert named(result.err.splitlines()[-1]) == missing - alone


def test_an_old_zoom_app_misses_its_own(harvest: Command) -> None:
    result = harvest("zoom", "-o", "sqs", env={"ZOOM_KEY": "key"})
    assert result.code == 78
    assert "ZOOM_SECRET" in result.err
    assert "SQS_QUEUE_NAME" in result.err
    assert "ZOOM_ACCOUNT_ID" not in result.err
