"""Erasing a person: every message of one user, in whatever index it lies, and the logs that name him.

Each pass looks at what is there by then and deletes what it finds, until one finds nothing: what was posted meanwhile
goes too, and what a migration has put into another index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from harvesters.elastic import bulk, paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused
from harvesters.errors import Exit, HarvestError, ProtocolError, Unavailable
from harvesters.messages import names, searchable, stored
from harvesters.search import scan

_MOST_PASSES = 20
_LONGEST = 3000  # characters of the names of indices in one URL
_BLOCKS = ("write", "read_only", "read_only_allow_delete", "read")
_ITS_OWN = {Exit.TRY_LATER, Exit.CREDENTIALS, Exit.CONFIG}
_COPIES = "migrated-*-{0},reverted-*-{0}"  # of indices that a migration is copying, or was when it was killed


@dataclass(frozen=True)
class Erased:
    """How many documents went, or would go."""

    messages: int = 0
    logs: int = 0


class EraseFailed(HarvestError):
    """Something may be left; `erased` says what went before that."""

    def __init__(self, why: str, erased: Erased, code: Exit = Exit.UNAVAILABLE) -> None:
        super().__init__(
            f"{why.rstrip('.')}. Erased until then: {erased.messages} messages, {erased.logs} logs, "
            "and what was cut off. Some may be left: erase again when the cause is gone."
        )
        self.erased = erased
        self.code = code


@dataclass(frozen=True)
class _Kind:
    """Documents that may be a person's, and where they say so."""

    counted: str
    pattern: str
    template: str
    user: str
    ours: tuple[str, ...]  # where it is in indices of our template, whoever has written there


_MESSAGES = _Kind("messages", names.MESSAGES, "messages", "userId", ("userId",))
_LOGS = _Kind("logs", names.LOGS, "logging", "metadata.userId", ("metadata.userId", "harvest.user"))


@dataclass(frozen=True)
class _Only:
    """What narrows the erasure to some of the user's messages."""

    project: str | None = None
    message: str | None = None
    trace: str | None = None

    def __bool__(self) -> bool:
        return (self.project, self.message, self.trace) != (None, None, None)

    def takes(self, id: str, body: Any) -> bool:
        """Whether it is about this document."""
        told = ((self.project, "project"), (self.message, "messageId"))
        return self.trace in (None, id) and all(
            wanted is None or searchable.holds(body, name, wanted) for wanted, name in told
        )


@dataclass(frozen=True)
class _Place:
    """Indices that are asked together; without a `query` each document is looked at.

    `read`: whether they are what searches count, and no copy under way.
    """

    indices: tuple[str, ...]
    query: dict[str, Any] | None
    read: bool


def erase(
    client: SearchClient,
    user: str,
    *,
    project: str | None = None,
    message: str | None = None,
    trace: str | None = None,
    dry_run: bool = False,
) -> Erased:
    """Delete every message of `user`, and the logs whose ``metadata.userId`` it is; returns how many those were.

    What was acknowledged before the call is among them. `project`, `message` and `trace` narrow it: only messages that
    all of them are true of go then, and no logs. A document that somebody else deletes meanwhile is not counted.

    Raises:
        EraseFailed: something may be left.
    """
    only = _Only(project, message, trace)
    erasure = _Erasure(client, user, only, dry_run)
    try:
        for _ in range(_MOST_PASSES):
            found = sum([erasure.once(kind) for kind in ([_MESSAGES] if only else [_MESSAGES, _LOGS])])
            if dry_run or not found:
                erasure.judge()
                return erasure.erased
    except HarvestError as error:
        code = error.code if error.code in _ITS_OWN else Exit.UNAVAILABLE
        raise EraseFailed(str(error), erasure.erased, code) from error
    raise EraseFailed("documents of this user go on arriving", erasure.erased)


class _Erasure:
    """An erasure under way."""

    def __init__(self, client: SearchClient, user: str, only: _Only, dry_run: bool) -> None:
        self.client, self.user, self.only, self.dry_run = client, user, only, dry_run
        self.erased = Erased()
        self._closed: set[str] = set()
        self._seen: set[tuple[str, str]] = set()  # of a dry run: a search that is begun anew finds a document twice

    def once(self, kind: _Kind) -> int:
        """One pass over all documents of a kind; returns how many were found."""
        found = 0
        for place in self._places(kind):
            try:
                for hits in self._hits(kind, place):
                    found += len(hits)
                    self._delete(kind, place, hits)
            except Refused as error:
                if error.status != 404 or self.dry_run:
                    raise
                found += 1  # an index is gone, as after its migration: its documents may be in another one
        return found

    def judge(self) -> None:
        """See that every index could be looked at."""
        if self._closed:
            raise Unavailable(f"closed indices cannot be searched, so open them: {', '.join(sorted(self._closed))}")

    def _places(self, kind: _Kind) -> list[_Place]:
        """Where to look, what takes no writes for now at the end."""
        read = self._refreshed(kind.pattern)
        copies = self._refreshed(_COPIES.format(kind.pattern))
        kept: dict[tuple[str, bool, bool], _Place] = {}
        for name, (mappings, blocked) in {**copies, **read}.items():
            if name in self._closed:
                continue
            ours = mappings.get("_meta", {}).get("harvest") == kind.template
            query = searchable.query_for_any(mappings, kind.ours if ours else (kind.user,), self.user)
            if query == searchable.NOTHING:
                continue
            key = str(query), name in read, blocked
            place = kept.get(key, _Place((), query, name in read))
            kept[key] = replace(place, indices=(*place.indices, name))
        order = sorted(kept, key=lambda key: key[-1])
        return [part for key in order for part in _parts(kept[key], alone=key[-1])]

    def _refreshed(self, pattern: str) -> dict[str, tuple[dict[str, Any], bool]]:
        """Mappings of the open indices, and whether something blocks them; searches see all that is in them."""
        path, everything = f"/{paths.pattern(pattern)}", {"expand_wildcards": "all"}
        told = self.client.request("GET", path, params=everything).body
        found = {}
        for name, body in told.items():
            config = body["settings"]["index"]
            if config.get("verified_before_close") == "true":
                self._closed.add(name)
            blocks, mappings = config.get("blocks", {}), body["mappings"]
            if config.get("mapping", {}).get("total_fields", {}).get("ignore_dynamic_beyond_limit") == "true":
                mappings = {"dynamic": False, **mappings}  # what is not mapped may be there all the same
            found[name] = (mappings, any(str(blocks.get(block)) == "true" for block in _BLOCKS))
        answer = self.client.request("POST", f"{path}/_refresh", params={"expand_wildcards": "open,hidden"}).body
        if answer["_shards"]["failed"]:
            raise Unavailable(f"{self.client.name} did not refresh every shard of {pattern}")
        return found

    def _hits(self, kind: _Kind, place: _Place) -> Iterator[list[dict[str, Any]]]:
        wanted = [place.query] if place.query is not None else []
        wanted += [{"ids": {"values": [self.only.trace]}}] if self.only.trace is not None else []
        scanned = place.query is None
        source = [kind.user, "project", "messageId", "harvest.verbatim"] if scanned or self.only else False
        for hits in scan.pages(
            self.client, ",".join(place.indices), only={"bool": {"filter": wanted}}, source=source, ordered=False
        ):
            self.client.retry.clock.sleep(0)  # ends here when told to stop
            if source and any("_source" not in hit for hit in hits):
                raise ProtocolError(f"{place.indices[0]} keeps no _source, so nobody can tell whose documents it has")
            meant = [hit for hit in hits if self._is_meant(hit, kind.user if scanned else "")]
            if meant:
                yield meant

    def _is_meant(self, hit: dict[str, Any], path: str) -> bool:
        """Whether it goes: without a `path` it is known whose it is."""
        body = hit.get("_source")
        if path and not searchable.holds(_restored(body, path.split(".")[0]), path, self.user):
            return False
        return not self.only or self.only.takes(hit["_id"], body)

    def _delete(self, kind: _Kind, place: _Place, hits: Sequence[dict[str, Any]]) -> None:
        if self.dry_run:
            fresh = {(hit["_index"], hit["_id"]) for hit in hits} - self._seen
            self._seen |= fresh
            self._count(kind, place, len(fresh))
            return
        results: dict[int, str] = {}
        known: list[int] = []  # results, before each request
        lines = [bulk.delete(hit["_index"], hit["_id"], **_routing(hit)) for hit in hits]
        try:
            refused = bulk.deliver(
                self.client, lines, settled=(404,), results=results, before=lambda: known.append(len(results))
            )
        finally:
            # Asked again without having heard of any, we may have deleted ourselves what is not there any more.
            ours = {"deleted", "404"} if any(one == next for one, next in pairwise(known)) else {"deleted"}
            self._count(kind, place, sum(result in ours for result in results.values()))
        if refused:
            why = next(iter(refused.values())).reason
            raise Unavailable(f"{self.client.name} refused to delete {len(refused)} documents: {why}")

    def _count(self, kind: _Kind, place: _Place, more: int) -> None:
        """Count documents that went: of a copy under way the original counts."""
        if place.read:
            self.erased = replace(self.erased, **{kind.counted: getattr(self.erased, kind.counted) + more})


def _restored(body: Any, name: str) -> Any:
    """The document with `name` as it was posted, where the mapping would have refused that."""
    verbatim = body.get("harvest", {}).get("verbatim", {})
    return {**body, name: stored.loads(verbatim[name].encode())} if name in verbatim else body


def _routing(hit: dict[str, Any]) -> dict[str, str]:
    return {"routing": hit["_routing"]} if "_routing" in hit else {}


def _parts(place: _Place, alone: bool) -> Iterator[_Place]:
    """The same in parts whose names fit into a URL; each index `alone` where it may keep the others waiting."""
    part: tuple[str, ...] = ()
    for name in place.indices:
        if part and (alone or len(quote(",".join((*part, name)))) > _LONGEST):
            yield replace(place, indices=part)
            part = ()
        part = (*part, name)
    yield replace(place, indices=part)
