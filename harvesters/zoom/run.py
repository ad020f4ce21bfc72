"""Runs of the harvest of one Zoom account: which windows, from which state, and what is kept for the next one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from harvesters.assembly import Assembly
from harvesters.cursor import TimeCursor, Times
from harvesters.errors import HarvestError, Interrupted, RateLimited, ReaderGone, TryLater
from harvesters.runs import HarvestRun, OnPlan, Place
from harvesters.sinks.base import Sink
from harvesters.spans import Span
from harvesters.timespan import Window, floor_second
from harvesters.zoom.auth import Auth, Jwt, OAuth
from harvesters.zoom.client import DEFAULT, ZoomClient
from harvesters.zoom.harvest import ZoomHarvest
from harvesters.zoom.limits import Budgets
from harvesters.zoom.notebook import Notebook
from harvesters.zoom.routes import Routes
from harvesters.zoom.state import RunState, RunStates

log = logging.getLogger(__name__)

_SAVE_EVERY = 10.0  # seconds
_OAUTH = ("ZOOM_ACCOUNT_ID", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET")
_JWT = ("ZOOM_KEY", "ZOOM_SECRET")
_GOES_ON = (RateLimited, Interrupted)  # ends after which standard output, too, goes on meeting by meeting


def open_client(assembly: Assembly, max_wait: float, needs: Sequence[str] = ()) -> tuple[ZoomClient, str]:
    """The client of the account that the settings name, and what tells the account apart.

    Args:
        max_wait: seconds that a single wait for a rate limit may last.
        needs: settings that the command needs beside ours; what is missing is named at once.

    Raises:
        ConfigError: something is missing, or cannot be read.
    """
    auth, account = _auth(assembly, needs)
    url = assembly.settings.url("ZOOM_API_URL")
    name = hashlib.blake2b(f"{url}\n{account}".encode(), digest_size=6).hexdigest()
    budgets = Budgets(assembly.slots, assembly.clock, name, max_wait)
    client = ZoomClient("" if url == DEFAULT else url, auth, budgets, assembly.retry, assembly.timeout)
    return client, account


def open_sink(assembly: Assembly, output: str) -> Sink:
    """The sink of ``--output``; in Elasticsearch each meeting stands on one day alone."""
    from harvesters.sinks.elastic import ElasticSink
    from harvesters.zoom.moving import MovingSink

    sink = assembly.sink(output, fresh_pattern="meetings-*")
    return MovingSink(sink) if isinstance(sink, ElasticSink) else sink


def _auth(assembly: Assembly, needs: Sequence[str]) -> tuple[Auth, str]:
    """How to log in, and what tells the account apart: OAuth, unless only a JWT pair is given."""
    settings = assembly.settings
    have = [bool(settings.get(name)) for name in _OAUTH]
    pair = [settings.get(name) for name in _JWT]
    by_flags = any(name in settings.flags for name in _JWT) and not any(name in settings.flags for name in _OAUTH)
    if all(pair) and (by_flags or not all(have)):
        settings.require_all(*needs)
        return Jwt(pair[0], pair[1], assembly.clock), f"key {pair[0]}"
    if any(pair) and not all(pair) and (by_flags or not any(have)):
        settings.require_all(*needs, *_JWT)
    settings.require_all(*needs, *_OAUTH)
    account, client, secret = (settings.get(name) for name in _OAUTH)
    return OAuth(account, client, secret, settings.url("ZOOM_OAUTH_URL"), assembly.retry, assembly.timeout), account


@dataclass
class ZoomRun:
    """Runs harvests and keeps their states.

    Args:
        account: what tells the account apart.
        sink: makes the sink of one harvest.
        command: what makes two commands the same, beside account and output.
        claim: for `live`: move the checkpoint although it belongs to another output.
        update: for `live`: whether the checkpoint may move.
    """

    assembly: Assembly
    client: ZoomClient
    account: str
    sink: Callable[[], Sink]
    on_plan: OnPlan
    command: Sequence[str]
    update: bool = True
    claim: bool = False

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
            self._harvest(Kept(self.assembly, states, run, state), span)
            states.drop(run)

    def live(self) -> None:
        """What ended since the checkpoint, and what appeared late."""
        settings = self.assembly.settings
        states = self._states()
        run, fresh = self._run_key("live")
        place = self.assembly.place(self._checkpoint, Times(settings.timezone("ZOOM_TIMEZONE")))
        before = _moment(place)
        state = RunState() if fresh or before is None or not self._remembers(place) else states.load(run)
        if before is not None and state.since is not None and before < floor_second(state.since):
            state = RunState()  # somebody has set the checkpoint back, to have it harvested again
        lookback = timedelta(seconds=settings.number("ZOOM_LOOKBACK"))
        now = self.assembly.clock.now()
        state.forget((before or now) - lookback - timedelta(days=2))
        span = Span(None, None, interval=lookback, lookback=lookback, update=self.update)
        self._harvest(Kept(self.assembly, states, run, state), span, place)
        if self._remembers(place):
            state.since = _moment(place)
            states.save(run, state)

    def _remembers(self, place: Place) -> bool:
        """Whether what this output got counts in later runs.

        Of standard output only what the checkpoint has passed: whoever looks, or had a commit fail, gets it again.
        """
        with closing(self.sink()) as sink:
            return sink.durable or (self.update and place.owner.load() == sink.address)

    def _harvest(self, kept: Kept, span: Span, place: Place | None = None) -> None:
        """Run one harvest; by hand (no `place`) it begins where the state says that an earlier run got to."""
        resumes, state = place is None, kept.state
        state.outbound = self.assembly.outbound
        notebook = Notebook(self.client.clock.now)
        if resumes:
            notebook.load(state.listing)
            state.listing = {}
        sink = self.sink()
        if sink.durable:
            kept.begin()
        pool = ThreadPoolExecutor(self.client.workers, "zoom")
        routes = Routes(self.client, notebook, pool)
        source = f"Zoom account {self.account}"
        geoip = where_is(self.assembly)
        harvest = ZoomHarvest(self.client, routes, state, source, pool, geoip, resumes, kept.save_now_and_then)
        run = HarvestRun(
            "zoom", self.assembly.parts, span, harvest, sink, place, claim=self.claim, on_plan=self.on_plan
        )
        try:
            run.run()
        except ReaderGone:
            raise
        except HarvestError as error:
            if resumes and isinstance(error, TryLater):
                state.listing = notebook.encode()
            if sink.durable or isinstance(error, _GOES_ON):
                kept.save_beside_an_error(sink)
            raise

    def _states(self) -> RunStates:
        return RunStates(self.assembly.blob(f"{self._checkpoint}.runs"), self.assembly.clock)

    @property
    def _checkpoint(self) -> str:
        return self.assembly.settings.get("ZOOM_LAST_END_TS_KEY")

    def _run_key(self, mode: str) -> tuple[str, bool]:
        """The name of this run's state, and whether the output is empty, so that no earlier run counts."""
        sink = self.sink()
        try:
            identity, fresh = sink.identity()
        finally:
            sink.close()
        url = self.assembly.settings.get("ZOOM_API_URL")
        parts = [mode, self.account, url, identity, *(self.command if mode != "live" else [])]
        return f"{mode} {hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]}", fresh


@dataclass
class Kept:
    """The state of one run, and where it is kept."""

    assembly: Assembly
    states: RunStates
    run: str
    state: RunState
    _saved: float | None = None

    def begin(self) -> None:
        """From now on `save_now_and_then` saves."""
        self._saved = self.assembly.clock.monotonic()

    def save_now_and_then(self) -> None:
        """Save, if the last time is some seconds ago."""
        now = self.assembly.clock.monotonic()
        if self._saved is not None and now - self._saved > _SAVE_EVERY:
            self.states.save(self.run, self.state)
            self._saved = now

    def save_beside_an_error(self, sink: Sink) -> None:
        """Save how far the run got, while another error is on its way."""
        try:
            if not sink.durable:
                sink.finish()  # whoever read the output has to be there still
            self.states.save(self.run, replace(self.state))
        except HarvestError as error:
            log.warning("how far the run got cannot be kept, so the next one begins again: %s", error)


def where_is(assembly: Assembly) -> Callable[[str], Mapping[str, Any] | None]:
    """What is known of an address (``GEOLITE_PATH``)."""
    return assembly.geoip.look_up if assembly.geoip is not None else _nowhere


def _moment(place: Place) -> datetime | None:
    cursor, _ = place.checkpoint.load()
    return cursor.moment if isinstance(cursor, TimeCursor) else None


def _nowhere(address: str) -> None:
    """Without ``GEOLITE_PATH`` no place of an address is known."""
