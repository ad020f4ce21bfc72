"""A real Elasticsearch node: the core that Elastic publishes on Maven Central, with its HTTP module.

No scripts, no ``_reindex``, no ingest processors, no ILM, no security: those live in modules that are not published.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from harvesters.standins import maven
from harvesters.standins.base import HOST, StandIn, StandInMissing, http_status

_JAVA = Path(__file__).with_name("java")
_DESCRIPTOR = """name={name}
description={name}
version={version}
elasticsearch.version={version}
java.version={java}
classname={classname}
"""


class Elasticsearch(StandIn):
    """One node. `settings` are added to its ``elasticsearch.yml``, so to say; a changed one counts from the next start.

    Some that tests want: ``indexing_pressure.memory.limit=1kb`` (429 for every larger bulk),
    ``thread_pool.write.size`` and ``thread_pool.write.queue_size`` (429 for single items),
    ``http.max_content_length=1mb`` (413).
    """

    name = "elasticsearch"
    jars: ClassVar[maven.Bundle]
    java: ClassVar[int] = 17
    """The oldest Java that it runs on."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        heap: str = "512m",
        port: int = 0,
        directory: Path | None = None,
        detached: bool = False,
    ) -> None:
        super().__init__(port=port, directory=directory, detached=detached)
        self.settings = dict(settings or {})
        self.heap = heap

    @classmethod
    def installed(cls) -> bool:
        return cls.jars.installed()

    def command(self) -> list[str]:
        home = self.jars.install()
        settings = {
            "path.home": home,
            "path.data": self.directory / "data",
            "path.logs": self.directory / "logs",
            "cluster.name": "standin",
            "discovery.type": "single-node",
            "network.host": HOST,
            "http.port": self.port,
            "transport.port": 0,
            "cluster.routing.allocation.disk.threshold_enabled": "false",  # development disks are often nearly full
            "gateway.write_dangling_indices_info": "false",  # nobody recovers indices of a node that lost its state
            **self.settings,
        }
        return [
            *maven.java(self.heap, self.java),
            f"-Xms{self.heap}",
            *maven.SHORT_LIFE,
            *self.options(home),
            "-cp",
            f"{home}/lib/*:{home}/classes",
            "EsNode",
            *(f"{name}={value}" for name, value in settings.items()),
        ]

    def options(self, home: Path) -> list[str]:
        """Further words for the JVM."""
        return []

    def answers(self) -> bool:
        return http_status(self.port, "/_cluster/health?wait_for_status=yellow&timeout=1s") == 200

    def environment(self) -> dict[str, str]:
        return {"ES_HOST": self.url}


class Elasticsearch9(Elasticsearch):
    """One node of Elasticsearch 9."""

    java = 21

    def options(self, home: Path) -> list[str]:
        # Its zstd, which best_compression needs, is a native library that is not on Maven Central: the system's does.
        native = home / "native"
        return [
            f"-Des.nativelibs.path={native}",
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
            "--enable-native-access=ALL-UNNAMED",
        ]


def _bundle(version: str, java: int) -> maven.Bundle:
    sources = [_JAVA / "elasticsearch", _JAVA / f"elasticsearch{version.partition('.')[0]}"]
    files = tuple(file for folder in sources for file in sorted(folder.glob("*.java")))
    return maven.Bundle(
        f"elasticsearch-{version}",
        (f"org.elasticsearch:elasticsearch:{version}", f"org.elasticsearch.plugin:transport-netty4:{version}"),
        files,
        partial(_lay_out, version=version, java=java, sources=files),
        java,
    )


def _lay_out(home: Path, version: str, java: int, sources: tuple[Path, ...]) -> None:
    """Compile our classes and put the modules where a node looks for them."""
    lib, classes = home / "lib", home / "classes"
    (home / "config").mkdir()
    maven.compile_java(sources, lib, classes, java, "Elasticsearch")
    # A module's classes must not be on the class path too: the node calls that "jar hell" and refuses to start.
    module = partial(_module, home, version=version, java=java)
    netty = module("transport-netty4", "org.elasticsearch.transport.netty4.Netty4Plugin")
    for jar in [*lib.glob("netty-*.jar"), *lib.glob("transport-netty4-*.jar")]:
        jar.rename(netty / jar.name)
    root = module("rest-root", "RootPlugin")
    with zipfile.ZipFile(root / "rest-root.jar", "w") as archive:
        for compiled in classes.glob("Root*.class"):
            archive.write(compiled, compiled.name)
            compiled.unlink()
    if java > Elasticsearch.java:
        _lay_out_zstd(home / "native")


def _module(home: Path, name: str, classname: str, version: str, java: int) -> Path:
    directory = home / "modules" / name
    directory.mkdir(parents=True)
    descriptor = _DESCRIPTOR.format(name=name, version=version, java=java, classname=classname)
    (directory / "plugin-descriptor.properties").write_text(descriptor)
    return directory


def _lay_out_zstd(directory: Path) -> None:
    directory.mkdir()
    found = next((file for folder in _LIBRARIES for file in sorted(folder.glob("libzstd.so.1"))), None)
    if found is None:
        raise StandInMissing("there is no libzstd here, which Elasticsearch 9 compresses with", "install libzstd1")
    shutil.copyfile(found, directory / "libzstd.so")


_LIBRARIES = [Path("/usr/lib"), Path("/usr/lib64"), Path("/lib"), *sorted(Path("/usr/lib").glob("*-linux-gnu"))]
Elasticsearch.jars = JARS = _bundle("8.19.21", Elasticsearch.java)
Elasticsearch9.jars = _bundle("9.5.3", Elasticsearch9.java)
