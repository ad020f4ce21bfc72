"""Java servers from Maven Central: jars fetched once, kept under ``$XDG_CACHE_HOME/harvest``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harvesters.standins.base import StandInMissing

_JDKS = Path("/usr/lib/jvm")
_OLDEST = 17  # what every JDK of today is; it need not say so
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>standin</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


@dataclass(frozen=True)
class Bundle:
    """The jars of one server: what Maven resolves from `coordinates` (``group:artifact:version``), under ``lib/``.

    `finish` is called with the new directory and lays out what else the server wants, compiled from `sources`; `java`
    is the oldest Java that runs it.
    """

    name: str
    coordinates: tuple[str, ...]
    sources: tuple[Path, ...] = ()
    finish: Callable[[Path], None] = lambda directory: None
    java: int = 17

    @property
    def location(self) -> Path:
        """Where it is, or will be: named after its contents too, so that a changed bundle is built anew."""
        digest = hashlib.sha256("\n".join(self.coordinates).encode())
        for source in self.sources:
            digest.update(source.read_bytes())
        return cache() / f"{self.name}-{digest.hexdigest()[:12]}"

    def installed(self) -> bool:
        """Whether the jars are here, and a Java to run them."""
        return _tool("java", self.java) is not None and self.location.is_dir()

    def install(self) -> Path:
        """Its directory, fetched first if need be, by one process at a time. Raises StandInMissing."""
        location = self.location
        if location.is_dir():
            return location
        location.parent.mkdir(parents=True, exist_ok=True)
        # One lock for all bundles: Maven's own cache is not made for two at a time.
        with (location.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not location.is_dir():
                self._build(location)
        return location

    def _build(self, location: Path) -> None:
        # Beside its place and then renamed: a build that was cut off is never taken for a whole one.
        with TemporaryDirectory(dir=location.parent, prefix="building-") as building:
            parts = Path(building) / "parts"
            _resolve(self.coordinates, parts / "lib")
            self.finish(parts)
            parts.rename(location)


SHORT_LIFE = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options with which a server is up a second sooner; it is none for peak loads."""


def cache() -> Path:
    """``$XDG_CACHE_HOME/harvest/standins``, by default under ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harvest" / "standins"


def java(heap: str, least: int = 17) -> list[str]:
    """The first words of a Java command line. Without performance data, which a killed JVM leaves in the temporary
    directory."""
    return [require("java", _jdk(least), least), f"-Xmx{heap}", "-XX:-UsePerfData"]


def compile_java(sources: tuple[Path, ...], lib: Path, into: Path, release: int, what: str) -> None:
    """Compile our classes against the jars of `lib`."""
    into.mkdir()
    run(
        [require("javac", _jdk(release), release), "--release", str(release), "-cp", f"{lib}/*", "-d", str(into)]
        + [str(source) for source in sources],
        f"the launcher of {what} does not compile",
        _jdk(release),
    )


def _jdk(least: int) -> str:
    return f"install a JDK, {least} or newer"


def require(name: str, remedy: str, least: int = 0) -> str:
    """The path of a program of Maven, or of the JDK (of a release that is new enough)."""
    found = _tool(name, least)
    if found is None:
        raise StandInMissing(f"there is no {name} here", remedy)
    return found


def run(command: list[str], reason: str, remedy: str) -> None:
    """Run one step of a build; its failure is a StandInMissing that quotes the end of what it printed."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        raise StandInMissing(f"{reason}: {done.stdout.strip()[-800:]}", remedy)


def _resolve(coordinates: tuple[str, ...], into: Path) -> None:
    maven = require("mvn", "install Maven, 3.6 or newer, to fetch the server once")
    into.mkdir(parents=True)
    pom = into.parent / "pom.xml"
    dependencies = "".join(_DEPENDENCY.format(*coordinate.split(":")) for coordinate in coordinates)
    pom.write_text(_POM.format(dependencies=dependencies))
    run(
        [maven, "-B", "-q", "-f", str(pom), _PLUGIN, "-DincludeScope=runtime", f"-DoutputDirectory={into}"],
        f"Maven could not fetch {', '.join(coordinates)}",
        "see that Maven Central or a mirror can be reached",
    )


def _tool(name: str, least: int = 0) -> str | None:
    """The program of ``JAVA_HOME``, else of the PATH; a newer JDK may be beside the system's own."""
    home = os.environ.get("JAVA_HOME")
    places = [str(Path(home) / "bin")] if home else []
    places += [os.environ.get("PATH", os.defpath), *(str(path) for path in sorted(_JDKS.glob("*/bin"), reverse=True))]
    found = [path for place in places if (path := shutil.which(name, path=place))]
    return next((path for path in found if least <= _OLDEST or _release(path) >= least), None)


def _release(program: str) -> int:
    """The Java release that a program belongs to, as the file beside it says; 0 where there is none."""
    try:
        text = (Path(program).resolve().parents[1] / "release").read_text()
    except OSError:
        return 0
    found = re.search(r'^JAVA_VERSION="(\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0
