"""One invocation of ``harvest.py zoom``: which windows, from which state, and what is kept for the next one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from harvesters import settings
from harvesters.cli.runtime import Runtime
from harvesters.errors import HarvestError, ReaderGone, TryLater
from harvesters.live import LiveHarvest, Plan, Span, WindowError
from harvesters.pipeline import Counts
from harvesters.sinks.base import Sink
from harvesters.timespan import Window, floor_second
from harvesters.zoom.harvest import ZoomHarvest
from harvesters.zoom.listing import Notebook
from harvesters.zoom.routes import Routes
from harvesters.zoom.state import RunState, RunStates

if TYPE_CHECKING:
    from harvesters.zoom.client import ZoomClient

log = logging.getLogger(__name__)

OnPlan = Callable[[Plan], Callable[[Counts], None]]
_SAVE_EVERY = 10.0  # seconds


@dataclass
class ZoomRun:
    """Runs harvests and keeps their states.

    Args:
        account: what tells the account apart.
        sink: makes the sink of one harvest.
        command: what makes two commands the same, beside account and output.
    """

    runtime: Runtime
    client: ZoomClient
    account: str
    sink: Callable[[], Sink]
    on_plan: OnPlan
    command: list[str]

    def by_hand(self, wanted: Window) -> None:
        """The window `wanted`; but first what an earlier run of the same command had to leave.

        A run of "yesterday" that had to stop is continued after midnight as well, when yesterday is another day;
        that day, and what lies between, follow.
        """
        states = self._states()
        run, fresh = self._run_key("by hand")
        state = states.load(run)
        if fresh:  # what is listed is listed, but an empty output has nothing of what is done
            state = RunState(state.window, listing=state.listing)
        windows = [wanted]
        if state.window is not None:
            log.info("continuing an unfinished run of %s (%d meetings of it are done)", state.window, len(state.done))
            windows = [state.window]
            if wanted.end > state.window.end:
                windows.append(Window(max(state.window.end, wanted.start), wanted.end))
            if state.window.end < wanted.start:
                windows[1:] = [Window(state.window.end, wanted.end)]
        for window in windows:
            state = state if state.window == window else RunState(window)
            span = Span(window.start, window.end, update=False)
            self._harvest(states, run, state, span, resumes=True)
            states.drop(run)

    def live(self) -> None:
        """What ended since the checkpoint, and what appeared late."""
        states = self._states()
        run, fresh = self._run_key("live")
        live = self._live()
        before, _ = live.checkpoint.load()
        state = RunState() if fresh or before is None else states.load(run)
        if before is not None and state.since is not None and before < floor_second(state.since):
            state = RunState()  # somebody has set the checkpoint back, to have it harvested again
        lookback = timedelta(seconds=settings.number("ZOOM_LOOKBACK"))
        now = self.runtime.clock.now()
        state.forget((before or now) - lookback - timedelta(days=2))
        span = Span(None, None, interval=lookback, lookback=lookback)
        self._harvest(states, run, state, span, resumes=False, live=live)
        state.since, _ = live.checkpoint.load()
        states.save(run, state)

    def _harvest(
        self,
        states: RunStates,
        run: str,
        state: RunState,
        span: Span,
        resumes: bool,
        live: LiveHarvest | None = None,
    ) -> None:
        notebook = Notebook(self.client.clock.now)
        if resumes:
            notebook.load(state.listing)
            state.listing = {}
        harvest = self._zoom(state, notebook, resumes)
        sink = self.sink()
        saved = self.client.clock.monotonic()

        def on_plan(planned: Plan) -> Callable[[Counts], None]:
            show = self.on_plan(planned)

            def watch(counts: Counts) -> None:
                nonlocal saved
                harvest.delivered()
                now = self.client.clock.monotonic()
                if sink.durable and now - saved > _SAVE_EVERY:
                    states.save(run, state)
                    saved = now
                show(counts)

            return watch

        try:
            (live or self._live()).run(span, harvest, sink, on_plan)
        except WindowError as error:
            raise click.UsageError(str(error)) from error
        except ReaderGone:
            raise
        except HarvestError as error:
            if resumes and isinstance(error, TryLater):
                state.listing = notebook.encode()
            self._keep(states, run, state, sink)
            raise

    def _keep(self, states: RunStates, run: str, state: RunState, sink: Sink) -> None:
        """Save how far the run got, while another error is on its way."""
        try:
            if not sink.durable:
                sink.finish()  # whoever read the output has to be there still
            states.save(run, replace(state))
        except HarvestError as error:
            log.warning("how far the run got cannot be kept, so the next one begins again: %s", error)

    def _zoom(self, state: RunState, notebook: Notebook, resumes: bool) -> ZoomHarvest:
        harvest: ZoomHarvest
        routes = Routes(self.client, notebook, lambda: harvest.pool)
        harvest = ZoomHarvest(self.client, routes, state, self._source, self._geoip, resumes)
        return harvest

    @cached_property
    def _geoip(self) -> Callable[[str], dict[str, Any] | None]:
        path = settings.get("GEOLITE_PATH")
        if not path:
            return lambda address: None
        from harvesters.geoip import GeoIP

        return GeoIP(Path(path).expanduser()).look_up

    @property
    def _source(self) -> str:
        return f"Zoom account {self.account}"

    def _live(self) -> LiveHarvest:
        return self.runtime.live_harvest("zoom", self._checkpoint, "ZOOM_TIMEZONE", guarded=False)

    def _states(self) -> RunStates:
        return RunStates(self.runtime.blob(f"{self._checkpoint}.runs"), self.runtime.clock)

    @property
    def _checkpoint(self) -> str:
        return settings.get("ZOOM_LAST_END_TS_KEY")

    def _run_key(self, mode: str) -> tuple[str, bool]:
        """The name of this run's state, and whether the output is empty, so that no earlier run counts."""
        sink = self.sink()
        try:
            identity, fresh = sink.identity()
        finally:
            sink.close()
        parts = [mode, self.account, settings.get("ZOOM_API_URL"), identity, *(self.command if mode != "live" else [])]
        return f"{mode} {hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]}", fresh
