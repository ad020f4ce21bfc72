"""Jars are fetched once, whole or not at all, whoever else wants them at the same time."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from harvesters.standins import maven
from harvesters.standins.base import StandInMissing


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and in place of Java and Maven two scripts; this one counts how often Maven was called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = tmp_path / "calls"
    calls.touch()
    for name, script in (("java", ""), ("mvn", f"echo called >> {calls}\nexit ${{MAVEN_EXIT:-0}}")):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return calls


BUNDLE = maven.Bundle("server-1", ("org.example:server:1",))


def test_of_many_at_once_one_fetches_and_the_others_wait(tools: Path) -> None:
    together = Barrier(8)

    def install(_: int) -> Path:
        together.wait()
        return BUNDLE.install()

    assert not BUNDLE.installed()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(install, range(8))) == {BUNDLE.location}
    assert BUNDLE.installed()
    assert tools.read_text() == "called\n"


def test_a_failed_fetch_is_named_and_leaves_nothing_that_looks_whole(
    monkeypatch: pytest.MonkeyPatch, tools: Path
) -> None:
    monkeypatch.setenv("MAVEN_EXIT", "1")
    with pytest.raises(StandInMissing, match=r"Maven could not fetch org\.example:server:1"):
        BUNDLE.install()
    assert not BUNDLE.installed()
    assert [path.name for path in maven.cache().iterdir()] == ["lock"]
    monkeypatch.delenv("MAVEN_EXIT")
    assert (BUNDLE.install() / "lib").is_dir()


def test_a_failed_layout_leaves_nothing_that_looks_whole() -> None:
    def fail(directory: Path) -> None:
        raise StandInMissing("it does not compile", "install a compiler")

    bundle = maven.Bundle("server-1", BUNDLE.coordinates, finish=fail)
    with pytest.raises(StandInMissing, match="does not compile"):
        bundle.install()
    assert not bundle.installed()


def test_another_version_or_another_source_is_another_place(tmp_path: Path) -> None:
    source = tmp_path / "Node.java"
    places = {BUNDLE.location, maven.Bundle("server-1", ("org.example:server:2",)).location}
    for text in ("class Node {}", "class Node { }"):
        source.write_text(text)
        places.add(maven.Bundle("server-1", BUNDLE.coordinates, (source,)).location)
    assert len(places) == 4
