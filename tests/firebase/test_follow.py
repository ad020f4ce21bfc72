"""``firebase events --follow``: what a listener gets of a database that is edited, and of connections that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.clock import SystemClock
from harvesters.errors import CredentialsRefused, ProtocolError, Unavailable
from harvesters.firebase.auth import Auth, LegacySecret, ServiceAccount
from harvesters.firebase.client import FirebaseClient
from harvesters.firebase.cursor import EventKeys, SinceKey
from harvesters.firebase.documents import EventMapper, Row
from harvesters.firebase.follow import FollowedEvents
from harvesters.firebase.paging import PageSize
from harvesters.firebase.pushid import push_floor, push_ms
from harvesters.firebase.run import harvest_events
from harvesters.firebase.sse import EventParser, ServerEvent
from harvesters.firebase.stream import EventStream
from harvesters.http import HttpSource
from harvesters.retry import RetryPolicy
from harvesters.runs import Parts, Place
from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.sinks.jsonl import FileSink
from harvesters.stores.cache import RedisCache
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from tests.crash.crashing import read_lines

KEYS = [f"-KaBcDeFgHiJkLmNo{number:03}" for number in range(100)]
EVENT = {"type": "heart", "created_at": 1_456_000_000_000}


class Listener:
    """One run of ``--follow``, in a thread."""

    def __init__(self, server: FirebaseSimulator, redis_url: str, directory: Path, account: bool = False) -> None:
        self.server = server
        self.directory = directory
        self.output = directory / "events.jsonl"
        self.stop = threading.Event()
        self.clock = SystemClock(self.stop)
        http = HttpSource("Firebase", RetryPolicy(self.clock, 2, first=0.01, cap=0.05), 5)
        auth: Auth = ServiceAccount(dict(server.service_account()), http) if account else LegacySecret(server.secret)
        self.harvest = FollowedEvents(
            FirebaseClient(server.url, auth, http), ("events",), EventMapper(ZoneInfo("UTC")), size=PageSize(10)
        )
        self.cache = RedisCache(redis_url)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        dead = DirectoryDeadLetters(self.directory / "dead", self.clock)
        parts = Parts(self.clock, self.cache, dead, ErrorBudget(0.01, 10), self.stop)
        lease = Lease(FileBlob(self.directory / "lease"), self.clock)
        checkpoint = Checkpoint(FileBlob(self.directory / "checkpoint"), EventKeys())
        place = Place(
            checkpoint,
            Owner(FileBlob(self.directory / "owner")),
            Beginning(FileBlob(self.directory / "begun"), EventKeys()),
            lease,
        )
        try:
            harvest_events(parts, place, self.harvest, FileSink(self.output), SinceKey(), lambda counts: None)
        except BaseException as error:
            self.error = error

    @property
    def lines(self) -> list[dict[str, Any]]:
        return read_lines(self.output) if self.output.exists() else []

    @property
    def keys(self) -> list[str]:
        return [line["id"] for line in self.lines]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until `condition` holds; the test fails when it does not within ten seconds."""
        end = time.monotonic() + 10
        while not condition():
            assert self.error is None or not self.thread.is_alive(), self.error
            assert time.monotonic() < end, f"not in time; the output has {self.keys}"
            self.stop.wait(0.01)

    def until_listening(self) -> None:
        self.wait(lambda: self.server.open_streams == 1)

    def end(self) -> None:
        self.stop.set()
        self.server.drop_streams()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def listening(server: FirebaseSimulator, redis_url: str, directory: Path, account: bool = False) -> Iterator[Listener]:
    listener = Listener(server, redis_url, directory, account)
    listener.thread.start()
    try:
        listener.until_listening()
        yield listener
    finally:
        listener.end()


def test_events_are_delivered_as_they_happen(firebase: FirebaseSimulator, redis_url: str, tmp_path: Path) -> None:
    firebase.load("/events", {KEYS[0]: EVENT})
    with listening(firebase, redis_url, tmp_path) as listener:
        listener.wait(lambda: listener.keys == [KEYS[0]])
        firebase.edit(f"/events/{KEYS[1]}", EVENT)
        firebase.edit("/events", {KEYS[2]: EVENT, KEYS[3]: EVENT}, "PATCH")
        pushed = str(firebase.edit("/events", EVENT, "POST"))
        listener.wait(lambda: len(listener.keys) == 5)
        assert set(listener.keys) == {*KEYS[:4], pushed}
    assert listener.error is None, "SIGTERM ends it well"
    assert (tmp_path / "checkpoint").read_text() == pushed


def test_a_part_that_changes_makes_the_whole_event_come_again(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    firebase.load("/events", {KEYS[0]: EVENT})
    with listening(firebase, redis_url, tmp_path) as listener:
        firebase.edit(f"/events/{KEYS[0]}/data/on", True)
        listener.wait(lambda: len(listener.lines) == 2)
        firebase.edit(f"/events/{KEYS[0]}", {"app": "buddyup"}, "PATCH")
        listener.wait(lambda: len(listener.lines) == 3)
        firebase.edit("/events", {f"{KEYS[0]}/data/off": 1}, "PATCH")
        listener.wait(lambda: len(listener.lines) == 4)
        last = listener.lines[-1]
        assert (last["type"], last["app"], last["data"]) == ("heart", "buddyup", {"on": True, "off": 1})


def test_a_removed_event_is_told_of(firebase: FirebaseSimulator, redis_url: str, tmp_path: Path) -> None:
    firebase.load("/events", {KEYS[0]: EVENT, KEYS[1]: EVENT})
    with listening(firebase, redis_url, tmp_path) as listener:
        firebase.edit(f"/events/{KEYS[0]}")
        firebase.edit("/events", {KEYS[1]: None}, "PATCH")
        listener.wait(lambda: len(listener.lines) == 4)
        assert listener.lines[2:] == [{"id": KEYS[0], "deleted": True}, {"id": KEYS[1], "deleted": True}]
        firebase.edit(f"/events/{KEYS[0]}", EVENT)
        listener.wait(lambda: len(listener.lines) == 5)


@pytest.mark.parametrize("how", ["drop_streams", "cancel_streams"])
def test_what_happens_while_the_connection_is_broken_is_not_lost(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path, how: str
) -> None:
    firebase.load("/events", {KEYS[0]: EVENT})
    with listening(firebase, redis_url, tmp_path) as listener:
        for number in range(1, 6):
            getattr(firebase, how)()
            firebase.edit(f"/events/{KEYS[number]}", EVENT)
            listener.wait(lambda number=number: KEYS[number] in listener.keys)  # type: ignore[misc]
            listener.until_listening()
        assert listener.keys == KEYS[:6], "each once"


@pytest.mark.parametrize("number", [3, 80])
@pytest.mark.parametrize("how", ["drop_streams", "cancel_streams", "put", "null"])
def test_what_was_deleted_while_nobody_listened_is_removed(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path, how: str, number: int
) -> None:
    firebase.load("/events", dict.fromkeys(KEYS, EVENT))
    kept = {} if how == "null" else dict.fromkeys(KEYS[number:], EVENT)
    gone = set(KEYS) if how == "null" else set(KEYS[:number])
    with listening(firebase, redis_url, tmp_path) as listener:
        listener.wait(lambda: set(listener.keys) == set(KEYS))
        if how in ("put", "null"):
            firebase.edit("/events", kept or None)
        else:
            firebase.load_anew("/events", kept)
            getattr(firebase, how)()
        told = [{"id": key, "deleted": True} for key in sorted(gone)]
        listener.wait(lambda: len(listener.lines) == len(KEYS) + len(told))
        assert sorted(listener.lines[len(KEYS) :], key=lambda line: line["id"]) == told
        firebase.edit(f"/events/{KEYS[0]}", EVENT)
        listener.wait(lambda: listener.keys[-1] == KEYS[0])


@pytest.mark.parametrize("how", ["drop_streams", "cancel_streams", "put"])
def test_all_of_the_look_back_is_removed_without_a_request_for_each(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path, how: str
) -> None:
    """Older ones remain, so that the database is not null, and yet shows nothing of the range that is read again."""
    older = {f"{push_floor(push_ms(KEYS[0]) - 3_600_000)[:-2]}{number:02}": EVENT for number in range(3)}
    firebase.load("/events", older | dict.fromkeys(KEYS, EVENT))
    with listening(firebase, redis_url, tmp_path) as listener:
        listener.wait(lambda: len(listener.keys) == 103)
        before = len(firebase.requests)
        if how == "put":
            firebase.edit("/events", older)
        else:
            firebase.load_anew("/events", older)
            getattr(firebase, how)()
        listener.wait(lambda: len(listener.lines) == 203)
        assert {line["id"] for line in listener.lines[103:] if line["deleted"]} == set(KEYS)
        assert len(firebase.requests) - before < 20


@pytest.mark.parametrize("created", [None, 1_456_000_000_000])
def test_a_key_that_is_no_push_id_is_removed_whatever_time_it_tells(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path, created: int | None
) -> None:
    event = {"type": "heart", "created_at": created}
    firebase.load("/events", {KEYS[0]: EVENT, "zebra": event, "zoo": event})
    with listening(firebase, redis_url, tmp_path) as listener:
        listener.wait(lambda: len(listener.keys) == 3)
        firebase.load_anew("/events", {KEYS[0]: EVENT, "zoo": event})
        firebase.drop_streams()
        listener.wait(lambda: listener.lines[3:] == [{"id": "zebra", "deleted": True}])


@pytest.mark.parametrize("empty", [b"null", b"{}", b"[]"])
def test_an_empty_snapshot_that_is_not_true_removes_nothing(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path, empty: bytes
) -> None:
    firebase.load("/events", dict.fromkeys(KEYS, EVENT))
    with listening(firebase, redis_url, tmp_path) as listener:
        listener.wait(lambda: len(listener.keys) == len(KEYS))
        firebase.fail("status", times=3 if empty == b"{}" else 0, response=Response(200, b"{}"))
        firebase.send_raw(b'event: put\ndata: {"path":"/","data":%b}\n\n' % empty)
        firebase.edit("/events/-KaBcDeFgHiJkLmNo999", EVENT)
        listener.wait(lambda: listener.keys[-1] == "-KaBcDeFgHiJkLmNo999")
        assert not [line for line in listener.lines if "deleted" in line]
        assert listener.harvest.removed == 0


class _Index:
    """An index that holds some keys."""

    def __init__(self, *keys: str, **created: int) -> None:
        self.rows = [{"key": key, "value": {}} for key in keys]
        self.rows += [{"key": key, "value": {"created_at": ms}} for key, ms in created.items()]

    def keys_since(self, first: str) -> Iterator[list[Row]]:
        yield self.rows


def test_what_the_index_holds_of_the_look_back_is_compared_with_the_database(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    """As after a time in which no process ran: nothing is remembered, and the index has what was deleted."""
    ms = push_ms(KEYS[0])
    firebase.load("/events", {KEYS[5]: EVENT, KEYS[6]: EVENT})
    FileBlob(tmp_path / "checkpoint").write(KEYS[7].encode(), None)
    old, reminder, old_reminder = push_floor(ms - 61_000), f"group-reminder-a-{ms}", f"group-reminder-a-{ms - 61_000}"
    listener = Listener(firebase, redis_url, tmp_path)
    listener.harvest.index = _Index(
        *(KEYS[5], KEYS[6], KEYS[7], KEYS[8], old, reminder, old_reminder, "zebra", "12"), new=ms, aged=ms - 61_000
    )
    listener.thread.start()
    try:
        listener.until_listening()
        listener.wait(lambda: len(listener.lines) == 7)
        assert listener.keys[:2] == KEYS[5:7]
        assert {line["id"] for line in listener.lines if "deleted" in line} == {*KEYS[7:9], reminder, "zebra", "new"}
    finally:
        listener.end()


def test_nothing_goes_on_listening_when_the_run_has_ended(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    listener = Listener(firebase, redis_url, tmp_path)
    before = set(threading.enumerate())
    listener.thread.start()
    listener.until_listening()
    fetching = [thread for thread in set(threading.enumerate()) - before if thread.name == "fetch"]
    assert fetching
    listener.stop.set()
    listener.thread.join(10)
    for thread in fetching:
        thread.join(10)
        assert not thread.is_alive()
    assert listener.error is None


def test_a_revoked_token_is_renewed(firebase: FirebaseSimulator, redis_url: str, tmp_path: Path) -> None:
    with listening(firebase, redis_url, tmp_path, account=True) as listener:
        firebase.revoke()
        firebase.edit(f"/events/{KEYS[0]}", EVENT)
        listener.wait(lambda: listener.keys == KEYS[:1])
        listener.until_listening()
    assert sum(1 for request in firebase.requests if request.path == "/token") == 2


def test_a_token_that_is_refused_when_a_stream_is_asked_for_is_renewed(firebase: FirebaseSimulator) -> None:
    http = HttpSource("Firebase", RetryPolicy(SystemClock(threading.Event()), 2, first=0.01), 5)
    client = FirebaseClient(firebase.url, ServiceAccount(dict(firebase.service_account()), http), http)
    client.get(("events",))
    firebase.revoke()
    with EventStream(client, ("events",), {}) as stream:
        assert next(iter(stream.edits()))[0].whole
    firebase.fail("status", path="/events", times=2, response=Response.json({"error": "Permission denied"}, 401))
    with pytest.raises(CredentialsRefused), EventStream(client, ("events",), {}):
        pass
    client.close()


def test_a_redirect_is_followed_with_our_credentials(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    for account in (False, True):
        firebase.redirect_streams(2)
        with listening(firebase, redis_url, tmp_path, account):
            assert not firebase.redirects


def test_keep_alives_make_it_look_where_the_stream_does_not(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    firebase.load("/events", {KEYS[0]: EVENT})
    with listening(firebase, redis_url, tmp_path) as listener:
        firebase.edit("/events/12", EVENT)
        firebase.keep_alive()
        listener.wait(lambda: listener.keys == [KEYS[0], "12"])


def test_odd_texts_and_numbers_do_not_end_the_stream(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    event = b'{"type":"heart","data":{"n":1e400,"i":123456789012345678901234567890,"s":"\\ud83d"}}'
    with listening(firebase, redis_url, tmp_path) as listener:
        for number, path in ((0, "/%b"), (1, "/")):
            key = KEYS[number].encode()
            data = event if path != "/" else b'{"%b":%b}' % (key, event)
            where = path.encode() % key if path != "/" else b"/"
            firebase.send_raw(b'event: put\ndata: {"path":"%b","data":%b}\n\n' % (where, data))
            listener.wait(lambda number=number: KEYS[number] in listener.keys)  # type: ignore[misc]
        assert listener.harvest.reconnects == 0
        assert b'"n":1e400,"i":123456789012345678901234567890' in listener.output.read_bytes()


def test_an_empty_database_is_listened_to(firebase: FirebaseSimulator, redis_url: str, tmp_path: Path) -> None:
    with listening(firebase, redis_url, tmp_path) as listener:
        firebase.edit(f"/events/{KEYS[0]}", EVENT)
        listener.wait(lambda: listener.keys == KEYS[:1])


def test_a_database_that_refuses_us_ends_it(firebase: FirebaseSimulator, redis_url: str, tmp_path: Path) -> None:
    with listening(firebase, redis_url, tmp_path) as listener:
        firebase.fail("status", times=10_000, response=Response.json({"error": "Permission denied"}, 401))
        firebase.cancel_streams()
        listener.thread.join(10)
        assert isinstance(listener.error, CredentialsRefused)


def test_a_database_that_is_down_for_too_long_ends_it(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    with listening(firebase, redis_url, tmp_path) as listener:
        firebase.fail("status", times=10_000, response=Response(503))
        firebase.drop_streams()
        listener.thread.join(10)
        assert isinstance(listener.error, Unavailable)


def test_a_redirect_that_gives_secrets_away_is_not_followed(
    firebase: FirebaseSimulator, redis_url: str, tmp_path: Path
) -> None:
    firebase.redirects += ["ftp://elsewhere.example.org"]
    listener = Listener(firebase, redis_url, tmp_path)
    listener.thread.start()
    listener.thread.join(10)
    assert isinstance(listener.error, ProtocolError)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "patch", "keep-alive"]), st.text(st.characters(exclude_characters="\r\n"), max_size=20)
    ),
    max_size=8,
)


@given(EVENTS, st.lists(st.integers(1, 30), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_events_are_cut_out_of_any_chunks(events: list[tuple[str, str]], sizes: list[int], newline: str) -> None:
    text = "".join(
        f": comment{newline}event: {name}{newline}data: {data}{newline}{newline}" for name, data in events
    ).encode("utf-8", "surrogatepass")
    parser, found, at = EventParser(), [], 0
    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        found += list(parser.feed(text[at : at + size]))
        at += size
    expected = [
        ServerEvent(name, data.encode("utf-8", "surrogatepass").decode("utf-8", "replace")) for name, data in events
    ]
    assert found == expected


def test_data_of_several_lines_is_one_event() -> None:
    assert list(EventParser().feed(b"event: put\ndata: {\ndata:}\n\ndata: x\n\n")) == [
        ServerEvent("put", "{\n}"),
        ServerEvent("message", "x"),
    ]
