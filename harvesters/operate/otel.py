"""OpenTelemetry (extra ``otel``): a span a run with what it fetched, delivered and committed in it, and its metrics.

On when one of OpenTelemetry's own settings says where its collector is. Everything happens in a thread of its own,
importing the SDK too, for a collector that is away can hold its exporters up for a minute.
"""

from __future__ import annotations

import logging
import math
import socket
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from harvesters import __version__
from harvesters.errors import ConfigError
from harvesters.operate.aside import Aside, Complaint
from harvesters.operate.jobs import Job
from harvesters.operate.measures import GAUGES, measures
from harvesters.settings import Settings
from harvesters.telemetry import Report
from harvesters.watched import RunRecord, Step, Watched

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

SERVICE = "harvest"
TRACES, METRICS = "TRACES", "METRICS"

_TIMEOUT = 2.0  # seconds for spans, and as many for metrics
_WITHIN = 2000  # milliseconds, the same


class Exporter:
    """Sends the spans and metrics of a job's runs; a listener of `Watched`."""

    def __init__(self, job: Job, settings: Settings) -> None:
        self._job = job
        self._settings = settings
        self._complain = Complaint("OpenTelemetry's collector is not told of this run")
        self._trace = _Trace(job.name, settings, self._complain)
        self._aside = Aside("otel", self._complain)
        self._begun = False

    def began(self, run: Watched) -> None:
        """Begin the span."""
        self._anew()
        trace, started = self._trace, run.started
        self._begun = True
        self._aside.do(lambda: trace.begin(started))

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        """The span is as long as the run."""

    def stepped(self, run: Watched, step: Step) -> None:
        """A span within it."""
        trace = self._trace
        self._aside.do(lambda: trace.add(step))

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        """End the span, and send what is left."""
        trace, begun = self._trace, self._begun

        def end() -> None:
            if not begun:
                trace.begin(record.started)
            trace.end(record, measures(self._job, self._settings, record, report))

        self._aside.last(end)
        self._anew()

    def held(self, run: Watched) -> None:
        """Who did nothing is no run."""

    def _anew(self) -> None:
        self._begun = False
        self._trace = _Trace(self._job.name, self._settings, self._complain)
        self._aside = Aside("otel", self._complain)


class _Trace:
    """One run; all of it is called in one thread."""

    def __init__(self, job: str, settings: Settings, complain: Complaint) -> None:
        self._job = job
        self._settings = settings
        self._complain = complain
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._span: Span | None = None
        self._resource: Resource | None = None

    def begin(self, started: datetime) -> None:
        """Begin the span of the run.

        Raises:
            ConfigError: the extra is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigError("that needs an extra that is not installed: pip install 'harvest[otel]'") from error
        _listen(self._complain)
        told = Resource.create()  # by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, or a name that says nothing
        if str(told.attributes["service.name"]).startswith("unknown_service"):
            told = told.merge(Resource({"service.name": SERVICE}))
        self._resource = Resource({"service.version": __version__, "host.name": socket.gethostname()}).merge(told)
        if self._settings.otlp(TRACES):
            self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_TIMEOUT)))
            self._tracer = self._provider.get_tracer("harvesters", __version__)
            attributes = {"harvest.job": self._job}
            self._span = self._tracer.start_span(self._job, start_time=_ns(started), attributes=attributes)

    def add(self, step: Step) -> None:
        """A part of the run, which is over."""
        if self._tracer is None or self._span is None:
            return
        from opentelemetry.trace import StatusCode, set_span_in_context

        rows = {"harvest.rows": step.rows} if step.rows is not None else {}
        began = _ns(step.started)
        span = self._tracer.start_span(step.name, set_span_in_context(self._span), start_time=began, attributes=rows)
        if step.failed:
            span.set_status(StatusCode.ERROR)
        span.end(began + int(step.seconds * 1e9))

    def end(self, record: RunRecord, values: dict[str, float]) -> None:
        """End the span, and send everything."""
        if self._resource is None:  # it could not be begun, and that was said
            return
        if self._span is not None and self._provider is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attributes({f"harvest.{name}": count for name, count in record.counts.items()})
            self._span.set_attributes({"harvest.exit_code": record.exit_code or 0, "harvest.outcome": record.outcome})
            self._span.set_status(StatusCode.ERROR if record.exit_code else StatusCode.OK)
            self._span.end(_ns(record.ended or record.started))
        meters = self._measured(values) if self._settings.otlp(METRICS) else None
        for provider in (self._provider, meters):
            if provider is not None:
                with suppress(Exception):  # said by the exporter, which `_listen` hears
                    provider.force_flush(_WITHIN)
                provider.shutdown()

    def _measured(self, values: dict[str, float]) -> MeterProvider:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(timeout=_TIMEOUT), export_interval_millis=math.inf, export_timeout_millis=_WITHIN
        )
        assert self._resource is not None
        provider = MeterProvider([reader], resource=self._resource, shutdown_on_exit=False)
        meter = provider.get_meter("harvesters", __version__)
        for name, value in values.items():
            meter.create_gauge(name, description=GAUGES[name]).set(value, {"job": self._job})
        return provider


class _Heard(logging.Handler):
    """Makes a complaint of what the exporters say."""

    def __init__(self, complain: Complaint) -> None:
        super().__init__()
        self.complain = complain

    def emit(self, record: logging.LogRecord) -> None:
        """Complain, once."""
        self.complain(record.getMessage())


def _listen(complain: Complaint) -> None:
    """Have what OpenTelemetry logs be one warning of ours at most."""
    logger = logging.getLogger("opentelemetry")
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.handlers[:] = [_Heard(complain)]


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
