"""A Firebase Realtime Database on loopback: the REST interface, its event streams, and the token endpoint.

Built from what the real system is known to do. What is not known of the real server, and chosen here:
the texts of some 400s (see `firebase_query`), `shallow` with limits (a switch), the query string kept in a redirect.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from random import Random
from threading import RLock
from typing import Any
from urllib.parse import unquote, urlencode

import orjson

from harvesters.firebase.pushid import PushIds
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.firebase.auth import Gate, ServiceAccount
from harvesters.simulators.firebase.query import (
    BOUNDS,
    LIMITS,
    BadQuery,
    Query,
    parse_query,
    parse_shallow,
    parse_timeout,
)
from harvesters.simulators.firebase.streams import Stream, Streams
from harvesters.simulators.firebase.tree import InvalidData, Node, Path, Tree, check_key, coerce, shape

MAX_RESPONSE = 256 * 1024 * 1024
RULES = {"/events": ["order", "type", "creator"]}
"""BuddyUp's own indices: `created_at` is not among them."""

TOO_BIG = "Data requested exceeds the maximum size that can be accessed with a single request."
NO_DATABASE = (
    "Firebase error. Please ensure that you have the URL of your Firebase Realtime Database instance "
    "configured correctly."
)
MIXED_ETAG = (
    "Mixing 'shallow', querying parameters or 'print=silent' and if-match or if-none-match requests is not supported"
)
_QUERY_PARAMS = ("orderBy", *BOUNDS, *LIMITS)
Parser = Callable[[Mapping[str, str]], Query | None]


class FirebaseSimulator(Simulator):
    """One database named `namespace`.

    secret: the legacy database secret. public: the rules let everyone in. emulator: ``Bearer owner`` is let in, as by
    Google's emulator. rules: ``.indexOn`` by path. max_response: bytes of the largest answer (streams: twice that).
    shallow_with_limits: whether `shallow` may be combined with a query, as Google's own CLI does against the
    documentation. token_life: seconds. read_rate: children per second that the database pretends to read, against
    which `timeout` is measured; None reads in no time. now: the server's clock, seconds since 1970; answers have it as
    ``Date`` while `tells_time`.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        secret: str = "legacy-database-secret",
        public: bool = False,
        emulator: bool = False,
        namespace: str = "buddyup",
        rules: Mapping[str, list[str]] | None = None,
        max_response: int = MAX_RESPONSE,
        shallow_with_limits: bool = True,
        token_life: int = 3599,
        read_rate: float | None = None,
        now: Callable[[], float] = time.time,
        latency: float = 0.0,
        journal: int = 100_000,
    ) -> None:
        super().__init__(port, latency=latency, journal=journal)
        self.secret = secret
        self.namespace = namespace
        self.rules: dict[str, list[str]] = dict(RULES if rules is None else rules)
        self.max_response = max_response
        self.shallow_with_limits = shallow_with_limits
        self.read_rate = read_rate
        self.redirects: list[str] = []
        self.tells_time = True
        self._now = now
        self._account = ServiceAccount(f"{self.url}/token", now, token_life)
        self._gate = Gate(secret, self._account, public=public, emulator=emulator)
        self._tree = Tree()
        self._tree_lock = RLock()
        self._streams = Streams()
        self._random = Random(20)
        self._push_ids = PushIds(Random(12))

    def service_account(self) -> dict[str, str]:
        """A service-account file (as a dict to be written as JSON) whose tokens open this database."""
        return self._account.info()

    def load(self, path: str, children: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Fill `path` with many valid children, quickly and unheard by streams."""
        pairs = children.items() if isinstance(children, Mapping) else children
        with self._tree_lock:
            self._tree.extend(_keys(path), pairs)

    def load_anew(self, path: str, children: Mapping[str, Any]) -> None:
        """Have `path` hold these children and no others, unheard by streams."""
        with self._tree_lock:
            self._tree.put(_keys(path), dict(children))

    def value(self, path: str = "/") -> Any:
        """What is at `path`, as JSON data that the caller must not change."""
        with self._tree_lock:
            return shape(self._tree.get(_keys(path)))

    def edit(self, path: str, value: Any = None, method: str = "PUT") -> str | None:
        """Edit as a client of the database would, and tell the open streams; returns the key that a POST made."""
        return self._edit(method, _keys(path), value)

    @property
    def open_streams(self) -> int:
        """How many clients listen."""
        return len(self._streams)

    def keep_alive(self) -> None:
        """Send what the real server sends every 30 seconds."""
        with self._tree_lock:
            self._streams.send("keep-alive", None)

    def send_raw(self, text: bytes) -> None:
        """Send these bytes to the open streams, such as an event that no `edit` makes."""
        with self._tree_lock:
            self._streams.send_raw(text)

    def cancel_streams(self) -> None:
        """Tell the streams that the rules no longer allow them to read, and end them."""
        with self._tree_lock:
            self._streams.send("cancel", None, last=True)

    def revoke(self) -> None:
        """Let every issued token expire: streams are told and ended. The legacy secret goes on to work."""
        with self._tree_lock:
            self._account.expire_tokens()
            self._streams.send("auth_revoked", "credential is no longer valid", last=True)

    def drop_streams(self) -> None:
        """Break the connections of all streams."""
        with self._tree_lock:
            self._streams.drop()

    def redirect_streams(self, times: int = 1, to: str | None = None) -> None:
        """Answer the next `times` requests for a stream with 307 to base URL `to`.

        Without `to` it is this server under another name (``localhost``), at which HTTP libraries drop Authorization,
        as they do when the real server sends them to a host of its own.
        """
        self.redirects += [to or f"http://localhost:{self.port}"] * times

    def stop(self) -> None:
        """Stop listening, end the streams and drop the connections."""
        with self._tree_lock:
            self._streams.end()
        super().stop()

    def handle(self, request: Request) -> Response:
        """Answer one request, with the server's time."""
        response = self._respond(request)
        response.headers["Date"] = formatdate(self._now(), usegmt=True) if self.tells_time else ""
        return response

    def _respond(self, request: Request) -> Response:
        if request.path == "/token" and request.method == "POST":
            return self._account.token(request)
        if not request.path.endswith(".json"):
            return _error(404, "404 Not Found")
        if request.param("ns", self.namespace) != self.namespace:
            return _error(404, NO_DATABASE)
        refused = self._gate.error(request)
        if refused is not None:
            return _error(401, refused)
        try:
            path = _decoded(request.path)
            if request.method not in ("GET", "HEAD"):
                return self._write(request, path)
            if "text/event-stream" in request.headers.get("accept", ""):
                return self._stream(request, path)
            return self._read(request, path)
        except (BadQuery, InvalidData) as refusal:
            return _error(400, str(refusal))

    def _read(self, request: Request, path: Path) -> Response:
        params = dict(request.query)
        shallow = params.get("shallow") == "true"
        if shallow and ("format" in params or (not self.shallow_with_limits and _has_query(params))):
            raise BadQuery("Mixing 'shallow' and querying parameters is not supported")
        query = self._query(params, path, parse_shallow if shallow else parse_query)
        seconds = parse_timeout(params.get("timeout", "15min"))
        tagged = _wants_etag(request)
        if tagged and (shallow or query is not None or params.get("print") == "silent"):
            raise BadQuery(MIXED_ETAG)
        with self._tree_lock:
            node = self._tree.get(path)
            keys = _selected(node, query)
            if self.read_rate is not None and not shallow and len(keys) / self.read_rate > seconds:
                raise BadQuery("The request took longer than its timeout")
            value = self._selection(node, keys, query, params)
            body = orjson.dumps(value, option=orjson.OPT_INDENT_2 if params.get("print") == "pretty" else None)
            headers = {"ETag": _etag(value)} if tagged else {}
        if len(body) > self.max_response:
            raise BadQuery(TOO_BIG)
        if tagged and request.headers.get("if-none-match") == headers["ETag"]:
            return Response(304, headers=headers)
        return _answer(body, params, headers)

    def _query(self, params: Mapping[str, str], path: Path, parse: Parser = parse_query) -> Query | None:
        query = parse(params)
        missing = query.index_missing(path, self.rules) if query is not None else None
        if missing is not None:
            raise BadQuery(missing)
        return query

    def _selection(self, node: Any, keys: list[str], query: Query | None, params: Mapping[str, str]) -> Any:
        """The JSON value of an answer; what a query selects is in no order, as in the real server's objects."""
        export = params.get("format") == "export"
        if query is not None and not isinstance(node, Node):
            return None
        if isinstance(node, Node) and params.get("shallow") == "true":
            return dict.fromkeys(self._shuffled(keys), True)
        if query is None:
            return shape(node, export=export)
        selected = {key: shape(node[key], export=export) for key in self._shuffled(keys)}
        return selected if export else coerce(selected)

    def _shuffled(self, keys: list[str]) -> list[str]:
        shuffled = self._random.sample(keys, len(keys))
        return shuffled if shuffled != keys else keys[::-1]

    def _stream(self, request: Request, path: Path) -> Response:
        if self.redirects:
            location = f"{self.redirects.pop(0)}{request.path}?{urlencode(request.query)}".rstrip("?")
            return Response(307, headers={"Location": location})
        query = self._query(dict(request.query), path)
        with self._tree_lock:
            stream = Stream(self._tree, path, query, limit=2 * self.max_response)
            chunks = self._streams.serve(stream)
        return Response(200, headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}, stream=chunks)

    def _write(self, request: Request, path: Path) -> Response:
        value = None if request.method == "DELETE" else _parsed(request.body)
        wanted = request.headers.get("if-match")
        if wanted is not None and request.method not in ("PUT", "DELETE"):
            raise BadQuery(MIXED_ETAG)
        with self._tree_lock:
            if wanted is not None and wanted != self._tag(path):
                current = orjson.dumps(shape(self._tree.get(path)))
                return _answer(current, {}, {"ETag": self._tag(path)}, status=412)
            name = self._edit(request.method, path, value)
            headers = {"ETag": self._tag(path)} if wanted is not None or _wants_etag(request) else {}
        body = orjson.dumps({"name": name} if name is not None else value)
        return _answer(body, dict(request.query), headers)

    def _tag(self, path: Path) -> str:
        return _etag(shape(self._tree.get(path)))

    def _edit(self, method: str, path: Path, value: Any) -> str | None:
        ms = int(self._now() * 1000)
        value = _with_time(value, ms)
        with self._tree_lock:
            if method == "PATCH":
                children = _named_children(value)
                self._tree.patch(path, children)
                self._streams.edited(path, list(children))
                return None
            if method not in ("PUT", "POST", "DELETE"):
                raise ValueError(f"no such method: {method}")
            name = self._push_ids.next(ms) if method == "POST" else None
            where = path if name is None else (*path, name)
            self._tree.put(where, None if method == "DELETE" else value)
            self._streams.edited(where)
            return name


def _keys(path: str) -> Path:
    """The keys of a plain path such as ``/events/abc``, checked."""
    keys = tuple(key for key in path.split("/") if key)
    for key in keys:
        check_key(key)
    return keys


def _named_children(value: Any) -> dict[Path, Any]:
    """What a PATCH with `value` replaces, by path below the node: a name may lead deeper, ``a/b``."""
    if not isinstance(value, dict):
        raise InvalidData("Invalid data; couldn't parse JSON object.")
    if any(not name.strip("/") for name in value):
        check_key("")
    return {_keys(name): child for name, child in value.items()}


def _decoded(path: str) -> Path:
    """The keys of a request's path, each segment percent-decoded by itself."""
    keys = tuple(unquote(segment) for segment in path.removesuffix(".json").split("/") if segment)
    try:
        for key in keys:
            check_key(key)
    except InvalidData:
        raise InvalidData("Invalid path: Invalid token in path") from None
    return keys


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise InvalidData("Invalid data; couldn't parse JSON object, array, or value.") from None


def _with_time(value: Any, ms: int) -> Any:
    """`value` with the server's time put in where it asks for it."""
    if value == {".sv": "timestamp"}:
        return ms
    if isinstance(value, dict):
        return {key: _with_time(item, ms) for key, item in value.items()}
    return [_with_time(item, ms) for item in value] if isinstance(value, list) else value


def _wants_etag(request: Request) -> bool:
    """Whether the answer carries an ETag. Raises `BadQuery` for a GET with if-match."""
    if request.method == "GET" and "if-match" in request.headers:
        raise BadQuery(MIXED_ETAG)
    return request.headers.get("x-firebase-etag", "").lower() == "true" or "if-none-match" in request.headers


def _selected(node: Any, query: Query | None) -> list[str]:
    if not isinstance(node, Node):
        return []
    return list(node) if query is None else query.keys(node)


def _etag(value: Any) -> str:
    return "null_etag" if value is None else hashlib.sha1(orjson.dumps(value), usedforsecurity=False).hexdigest()


def _has_query(params: Mapping[str, str]) -> bool:
    return any(name in params for name in _QUERY_PARAMS)


def _answer(body: bytes, params: Mapping[str, str], headers: Mapping[str, str], status: int = 200) -> Response:
    """`body` in the way that `print`, `callback` and `download` ask for."""
    sent = {"Cache-Control": "no-cache", **headers}
    if params.get("print") == "silent":
        return Response(204, headers=sent)
    if "download" in params:
        sent["Content-Disposition"] = f'attachment; filename="{params["download"]}"'
    if "callback" in params:
        sent["Content-Type"] = "application/javascript; charset=utf-8"
        return Response(status, b"/**/%s(%s);" % (params["callback"].encode(), body), sent)
    sent["Content-Type"] = "application/json; charset=utf-8"
    return Response(status, body, sent)


def _error(status: int, text: str) -> Response:
    return Response.json({"error": text}, status)
