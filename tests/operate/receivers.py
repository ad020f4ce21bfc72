"""Those who are told of runs: a server of pings, and a collector of OpenTelemetry that reads what it is sent."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harvesters.simulators.base import Request, Response, Simulator

KEY = "5cf4a5d1-0815-4711-9d3b-ping-credential"


@dataclass(frozen=True)
class Ping:
    """One ping: `what` is what stands behind the address."""

    what: str
    rid: str
    query: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class PingServer(Simulator):
    """Takes pings as healthchecks.io does."""

    answer = b"OK"

    def handle(self, request: Request) -> Response:
        return Response(200, self.answer)

    @property
    def address(self) -> str:
        return f"{self.url}/{KEY}"

    @property
    def pings(self) -> list[Ping]:
        return [
            Ping(each.path.removeprefix(f"/{KEY}"), each.param("rid"), each.query, each.body)
            for each in self.requests
            if each.method == "POST"
        ]

    @property
    def told(self) -> list[str]:
        return [ping.what for ping in self.pings]


@dataclass(frozen=True)
class Span:
    """A span as it came in; times are nanoseconds."""

    name: str
    id: bytes
    parent: bytes
    trace: bytes
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]


class Collector(Simulator):
    """Decodes what an OTLP exporter sends over HTTP."""

    def handle(self, request: Request) -> Response:
        return Response(200, b"", {"Content-Type": "application/x-protobuf"})

    def _bodies(self, path: str) -> Iterator[bytes]:
        for request in self.requests:
            if request.path == path:
                assert request.headers["content-type"] == "application/x-protobuf"
                packed = request.headers.get("content-encoding") == "gzip"
                yield gzip.decompress(request.body) if packed else request.body

    @property
    def services(self) -> set[str]:
        found = [resource for body in self._bodies("/v1/traces") for resource in _traces(body).resource_spans]
        more = [resource for body in self._bodies("/v1/metrics") for resource in _metrics(body).resource_metrics]
        return {str(_plain(one.resource.attributes)["service.name"]) for one in (*found, *more)}

    @property
    def spans(self) -> list[Span]:
        return [
            Span(
                span.name,
                span.span_id,
                span.parent_span_id,
                span.trace_id,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                span.status.code == span.status.STATUS_CODE_ERROR,
                _plain(span.attributes),
            )
            for body in self._bodies("/v1/traces")
            for resource in _traces(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def parts(self) -> set[str]:
        """The names of the spans in the one span of a run."""
        (whole,) = [span for span in self.spans if not span.parent]
        return {span.name for span in self.spans if span.parent == whole.id}

    @property
    def gauges(self) -> dict[tuple[str, str], float]:
        """By name and job."""
        return {
            (metric.name, _plain(point.attributes)["job"]): point.as_double or float(point.as_int)
            for body in self._bodies("/v1/metrics")
            for resource in _metrics(body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.gauge.data_points
        }


def _traces(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return request


def _metrics(body: bytes) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    request.ParseFromString(body)
    return request


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collecting(patch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector to which the settings point."""
    with Collector() as server, patch.context() as patched:
        patched.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
