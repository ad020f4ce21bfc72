"""A real Elasticsearch node: the core that Elastic publishes on Maven Central, with its HTTP module.

No scripts, no ``_reindex``, no ingest processors, no ILM, no security: those live in modules that are not published.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from harvesters.standins import maven
from harvesters.standins.base import HOST, StandIn, http_status

VERSION = "8.19.21"
_JAVA = Path(__file__).with_name("java")
_SOURCES = (_JAVA / "EsNode.java", _JAVA / "RootPlugin.java")
_DESCRIPTOR = """name={name}
description={name}
version={version}
elasticsearch.version={version}
java.version=17
classname={classname}
"""


class Elasticsearch(StandIn):
    """One node. `settings` are added to its ``elasticsearch.yml``, so to say; a changed one counts from the next start.

    Some that tests want: ``indexing_pressure.memory.limit=1kb`` (429 for every larger bulk),
    ``thread_pool.write.size`` and ``thread_pool.write.queue_size`` (429 for single items),
    ``http.max_content_length=1mb`` (413).
    """

    name = "elasticsearch"

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
        return JARS.installed()

    def command(self) -> list[str]:
        home = JARS.install()
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
            **self.settings,
        }
        return [
            *maven.java(self.heap),
            f"-Xms{self.heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # a second sooner up; no server for peak loads
            "-cp",
            f"{home}/lib/*:{home}/classes",
            "EsNode",
            *(f"{name}={value}" for name, value in settings.items()),
        ]

    def answers(self) -> bool:
        return http_status(self.port, "/_cluster/health?wait_for_status=yellow&timeout=1s") == 200

    def environment(self) -> dict[str, str]:
        return {"ES_HOST": self.url}


def _lay_out(home: Path) -> None:
    """Compile our two classes and put the modules where a node looks for them."""
    lib, classes = home / "lib", home / "classes"
    classes.mkdir()
    (home / "config").mkdir()
    maven.run(
        [maven.require("javac", "install a JDK, 17 or newer"), "--release", "17", "-cp", f"{lib}/*", "-d", str(classes)]
        + [str(source) for source in _SOURCES],
        "the launcher of Elasticsearch does not compile",
        "install a JDK, 17 or newer",
    )
    # A module's classes must not be on the class path too: the node calls that "jar hell" and refuses to start.
    netty = _module(home, "transport-netty4", "org.elasticsearch.transport.netty4.Netty4Plugin")
    for jar in [*lib.glob("netty-*.jar"), *lib.glob("transport-netty4-*.jar")]:
        jar.rename(netty / jar.name)
    root = _module(home, "rest-root", "RootPlugin")
    with zipfile.ZipFile(root / "rest-root.jar", "w") as archive:
        for compiled in classes.glob("RootPlugin*.class"):
            archive.write(compiled, compiled.name)
            compiled.unlink()


def _module(home: Path, name: str, classname: str) -> Path:
    directory = home / "modules" / name
    directory.mkdir(parents=True)
    descriptor = _DESCRIPTOR.format(name=name, version=VERSION, classname=classname)
    (directory / "plugin-descriptor.properties").write_text(descriptor)
    return directory


JARS = maven.Bundle(
    f"elasticsearch-{VERSION}",
    (f"org.elasticsearch:elasticsearch:{VERSION}", f"org.elasticsearch.plugin:transport-netty4:{VERSION}"),
    _SOURCES,
    _lay_out,
)
