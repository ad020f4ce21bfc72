"""The floors of docs/architecture.md: a room imports nothing from above, not even inside a function."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.cli import dev

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "harvesters"
FLOORS = (
    {
        "timespan",
        "spans",
        "cursor",
        "document",
        "settings",
        "addresses",
        "errors",
        "clock",
        "canonical",
        "privacy",
        "intervals",
    }
    | {"exact", "settingtable", "loopclock", "pseudonyms", "rownames"},
    {
        "http",
        "retry",
        "rate",
        "aws",
        "redis_client",
        "geoip",
        "telemetry",
        "collector",
        "files",
        "process",
        "sourceclock",
        "tokens",
        "patience",
        "useragents",
        "sentry",
        "elastic",
    },
    {"stores", "sinks", "search", "kafka"},
    {"pipeline", "runs", "harvest", "progress", "prefetch", "watched", "outbound"},
    {"assembly"},
    {"opencast", "zoom", "firebase", "indexing", "tables", "insights", "migration", "profiles", "listings", "dev"}
    | {"logs", "messages"},
    {"operate", "tasks"},
    {"cli", "web"},
)
BESIDE = {"simulators", "standins"}  # servers for people and tests to try things on: only `cli` and `dev` start them
LEVEL = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def rooms() -> set[str]:
    names = {path.name.removesuffix(".py") for path in HOUSE.iterdir() if path.suffix == ".py" or path.is_dir()}
    return {name for name in names if not name.startswith("__")}


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """The rooms that a file imports from."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "harvesters" else [module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("harvesters."))


def test_every_room_has_its_floor() -> None:
    assert rooms() == {*LEVEL, *BESIDE}


@pytest.mark.parametrize("room", sorted(LEVEL))
def test_a_room_imports_nothing_from_above(room: str) -> None:
    place = HOUSE / room
    for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        for other in imported(path):
            if other in BESIDE:
                assert room in {"cli", "dev"}, f"{path} starts servers ({other})"
            elif other in LEVEL:
                assert LEVEL[other] <= LEVEL[room], f"{path} imports {other}, which is above it"


def test_nothing_but_the_dev_commands_imports_simulators_and_standins() -> None:
    """The production image leaves them out."""
    commands = {module for module, _, _ in dev._COMMANDS.values()}
    for path in HOUSE.rglob("*.py"):
        room = path.relative_to(HOUSE).parts[0]
        if (
            room != "dev"
            and room not in BESIDE
            and ".".join(path.relative_to(ROOT).with_suffix("").parts) not in commands
        ):
            assert BESIDE.isdisjoint(imported(path)), path


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Imports inside functions count too."""
    knows = {room: set() for room in rooms()}  # type: dict[str, set[str]]
    for room in knows:
        place = HOUSE / room
        for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
            knows[room] |= set(imported(path)) & knows.keys() - {room}
    while leaves := [room for room, others in knows.items() if not others]:
        for leaf in leaves:
            del knows[leaf]
        for others in knows.values():
            others.difference_update(leaves)
    assert knows == {}, "these know each other"


def test_settings_are_read_where_a_process_begins_and_nowhere_else() -> None:
    """`dev` and the stand-ins make the environments of the processes that they start."""
    for path in HOUSE.rglob("*.py"):
        if path.relative_to(HOUSE).parts[0] not in {"settings.py", "cli", "dev", "standins"}:
            text = path.read_text()
            assert "environ" not in text.replace("environment", ""), path
            assert "getenv" not in text, path


def test_the_page_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert [room for room in sorted(rooms()) if room not in page] == []
