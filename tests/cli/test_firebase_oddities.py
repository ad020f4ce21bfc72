"""Values as no BuddyUp should have them, through every command that reads them: each is kept, or dead with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvesters import exact
from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.cli.conftest import Command, Result
from tests.nodes import Node

VALUES = (
    "true",
    "0",
    "-0",
    "1.5",
    "1e400",
    "-1e-400",
    "123456789012345678901234567890",
    '""',
    '" "',
    '"\\ud83d"',
    '"\\u0000"',
    '"2016-02-30"',
    '"NaN"',
    "[]",
    '[null,1,{"a":[[]]},"x"]',
    "{}",
    '{"_id":1,"a.b":{"":2}," ":[3]}',
    '{"a":' * 25 + "1" + "}" * 25,
    f'"{"x" * 40_000}"',
)
EVENT = ("type", "created_at", "data", "involved", "order", "id", "creator", "hour", "raw", "deleted")
PROFILE = (
    "name",
    "created_at",
    "schools",
    "classes",
    "groups",
    "buddies",
    "buddies-outgoing",
    "id",
    "school_ids",
    "raw",
)


def children(fields: tuple[str, ...]) -> dict[str, str]:
    """Each value by itself and as each of the fields, as JSON; by keys in the order of the database."""
    spelled = list(VALUES)
    spelled += [f'{{"{field}":{value},"kind":"odd"}}' for field in fields for value in VALUES]
    return {f"-KaBcDeFgHiJkLmNo{number:03}": value for number, value in enumerate(spelled)}


def answer(found: dict[str, str]) -> Response:
    return Response(200, "{{{}}}".format(",".join(f'"{key}":{value}' for key, value in found.items())).encode())


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[FirebaseSimulator]:
    with FirebaseSimulator(secret="legacy-s3cret-of-the-database") as simulator:
        monkeypatch.setenv("FIREBASE_ENDPOINT", simulator.url)
        monkeypatch.setenv("FIREBASE_KEY", simulator.secret)
        monkeypatch.setenv("HARVEST_ERROR_BUDGET", "50")
        yield simulator


def dead(state: Path) -> set[str]:
    files = (state / "dead-letters").glob("*.jsonl")
    return {json.loads(line)["id"] for file in files for line in file.read_text().splitlines()}


def no_objects(found: dict[str, str]) -> set[str]:
    return {key for key, value in found.items() if not value.startswith("{")}


def check(result: Result) -> None:
    assert result.code == 0, result.err[-2000:]
    assert "Traceback" not in result.err
    assert max(map(len, result.err.splitlines())) < 2000


@pytest.mark.parametrize(
    ("command", "path", "fields"),
    [
        (["events", "--no-update-checkpoint", "--page-size", "1000"], "/events.json", EVENT),
        (["profiles"], "/users.json", PROFILE),
        (["classes"], "/classes.json", (*PROFILE, "students", "code")),
    ],
    ids=["events", "profiles", "classes"],
)
@pytest.mark.parametrize("output", ["-", "es"])
def test_each_is_a_document_or_a_dead_letter(
    harvest: Command,
    database: FirebaseSimulator,
    request: pytest.FixtureRequest,
    state: Path,
    command: list[str],
    path: str,
    fields: tuple[str, ...],
    output: str,
) -> None:
    found = children(fields)
    database.fail("status", times=1, path=path, response=answer(found))
    node = Node(request.getfixturevalue("elasticsearch_url")) if output == "es" else None
    env = {"ES_HOST": node.url, "FIREBASE_INDEX_PREFIX": node.prefix} if node is not None else {}
    try:
        result = harvest("firebase", *command, "-o", output, env=env)
        check(result)
        documents = [hit["_source"] for hit in node.hits()] if node is not None else result.documents
    finally:
        if node is not None:
            node.clean()
    assert sorted(document["id"] for document in documents) == sorted(found.keys() - no_objects(found))
    assert dead(state) == no_objects(found)


def test_an_export_has_each_as_it_was(harvest: Command, database: FirebaseSimulator) -> None:
    found = children(EVENT)
    database.fail("status", times=1, path="/events.json", response=answer(found))
    result = harvest("firebase", "export", "events")
    check(result)

    def spelled(text: str) -> Any:
        # Half of a surrogate pair, which no file in UTF-8 holds, is replaced.
        return exact.loads(text.replace("\\ud83d", "\N{REPLACEMENT CHARACTER}").encode())

    lines = [spelled(line) for line in result.out.splitlines()]
    assert {line["key"]: line["value"] for line in lines} == {key: spelled(value) for key, value in found.items()}
