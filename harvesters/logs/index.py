"""The index of log events: made, filled, asked. Making it anew deletes it, so whose it is comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.answers import WHOLE, Answer
from harvesters.elastic.asyncclient import AsyncSearchClient
from harvesters.elastic.bulk import IndexMissing, may_pass
from harvesters.elastic.errors import Refused, error_type, index_of
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, SinkUnavailable, TryLater, Unavailable
from harvesters.logs.events import FIELDS
from harvesters.logs.names import SETTING, TEMPLATE
from harvesters.retry import Transient
from harvesters.search import templates

_LOCATION = {"location.lat", "location.lon"}  # of an index whose mapping was guessed
_TRIES = 3
_TAKEN = ("created", "updated")


@dataclass(frozen=True)
class LogIndex:
    """The index called `name`."""

    client: AsyncSearchClient
    name: str

    async def documents(self) -> int | None:
        """How many documents it holds; None where there is no such index.

        Raises:
            ConfigError: it is an alias, a data stream or closed, or its mapping says that it is not for log events.
            Unavailable: not all of it answers.
        """
        if not await self._is_an_index():
            return None
        found = await self.client.request("GET", self._path, accept=(404,))
        if not found.found:
            return None
        with _making_sense():
            fields = set(_fields(_at(found.body, self.name, "mappings")))
        others = sorted(fields - {*FIELDS, *_LOCATION})
        if others:
            raise self._not_ours(f"its mapping has {', '.join(others[:3])}")
        count = await self._count()
        if count and not fields:
            raise self._not_ours("it holds documents, and none of their fields is mapped")
        return count

    async def make(self, most: float) -> Answer:
        """Delete it, if it holds at most so many documents, and make it anew; returns the answer to the latter.

        Raises:
            TryLater: it holds more, for somebody fills it at this moment, and was left alone; or nothing says that it
                is made.
            ConfigError, Unavailable: as `documents`.
        """
        for _ in range(_TRIES):
            count = await self.documents()
            if count is not None and count > most:
                raise TryLater(
                    f"{self.name} of {self.client.name} has got {count} documents meanwhile, so it was left alone. "
                    "Run again when nobody fills it."
                )
            if count is not None:
                await self.client.request("DELETE", self._path, accept=(404,))
            try:
                made = await self.client.request("PUT", self._path, _body())
                if made.body.get("acknowledged") is True:  # false where a node is late; a proxy says neither
                    return made
            except Refused as error:
                # Somebody else has made it this moment, or we have, and the answer got lost.
                if error_type(error.body) != "resource_already_exists_exception":
                    raise ConfigError(f"{self.name} cannot be made: {error.reason}. See {SETTING}.") from error
        raise TryLater(
            f"{self.client.name} does not say that it made {self.name}; it may be that others make it at the "
            "same time. Run again."
        )

    async def identity(self) -> frozenset[str]:
        """What tells it from one of the same name that is made later.

        Raises:
            ConfigError: there is none.
        """
        found = await self.client.request("GET", f"{self._path}/_settings", accept=(404,))
        if not found.found:
            raise self.missing(found.body)
        identity = frozenset(str(_at(body, "settings", "index", "uuid")) for body in found.body.values())
        if not identity:
            raise _senseless()
        return identity

    async def search(self, body: bytes) -> Answer:
        """The answer to a search, 200, or 400 where the cluster does not understand it.

        It is about all that was put into the index until now, which a search sees a second later by itself.

        Raises:
            ConfigError: there is no such index, or it is closed.
        """
        with suppress(Refused, CredentialsRefused):  # some have the right to read alone
            await self._refresh()
        answer = await self.client.request("POST", f"{self._path}/_search", body, params=WHOLE, accept=(400, 404))
        if not answer.found:
            raise self.missing(answer.body)
        if error_type(answer.body) == "index_closed_exception":
            raise self._closed()
        if not isinstance(answer.body, Mapping):
            raise ProtocolError(f"{self.client.name} refused the search: {answer.body}. Check what stands before it.")
        return answer

    async def put(self, id: str, body: bytes) -> None:
        """Have it take one document.

        Raises:
            Refused: it never will.
            SinkUnavailable, RateLimited: the cluster did not take it within the retry budget.
            IndexMissing: it was removed, and the cluster makes none by itself.
        """

        async def attempt() -> None:
            try:  # POST, for what is idempotent aiohttp sends again by itself
                answer = await self.client.attempt("POST", f"{self._path}/_doc/{paths.name(id)}", body, accept=(404,))
            except Refused as error:
                if may_pass(error.status, error.body):
                    raise Transient(f"answered {error.status} {error.reason}") from error
                raise
            if not answer.found:
                raise self.missing(answer.body)
            if answer.body is None or answer.body.get("result") not in _TAKEN:  # such as what a proxy says by itself
                raise Transient("did not say that it took the document")

        await self.client.retry.call_in_loop(attempt, self.client.sleep, self.client.name, SinkUnavailable)

    async def is_still(self, identity: frozenset[str]) -> bool:
        """Whether it is the one that had this `identity`."""
        try:
            return await self.identity() == identity
        except ConfigError:
            return False

    def missing(self, body: Any) -> IndexMissing:
        """The error where an answer's `body` says that there is no such index."""
        which = index_of(body) or self.name
        asked = f" (of the query to {self.name!r})" if which != self.name else ""
        return IndexMissing(
            f"{self.client.name} has no index {which!r}{asked}. Make one with harvest.py logs init, or give "
            f"--index or {SETTING} another."
        )

    @property
    def _path(self) -> str:
        return f"/{paths.name(self.name)}"

    async def _is_an_index(self) -> bool:
        path, every = f"/_resolve/index/{paths.name(self.name)}", {"expand_wildcards": "all"}
        found = await self.client.request("GET", path, params=every, accept=(404,))
        if not found.found:
            return False
        with _making_sense():
            return self._is_one(found.body)

    def _is_one(self, said: Mapping[str, Any]) -> bool:
        for kind in ("aliases", "data_streams"):
            if said.get(kind):
                what = "an alias" if kind == "aliases" else "a data stream"
                raise ConfigError(
                    f"{self.name!r} is {what} of {self.client.name}, and no index: it is not deleted. Give --index or "
                    f"{SETTING} another name."
                )
        for index in said.get("indices", ()):
            if index["name"] != self.name or "data_stream" in index:
                raise self._not_ours("it belongs to a data stream")
            if "closed" in index.get("attributes", ()):
                raise self._closed()
        return bool(said.get("indices"))

    async def _count(self) -> int:
        await self._refresh()
        answer = (await self.client.request("GET", f"{self._path}/_count")).body
        if _at(answer, "_shards", "successful") != _at(answer, "_shards", "total"):
            raise Unavailable(f"not all shards of {self.name} of {self.client.name} answer. Run again when they do.")
        with _making_sense():
            return int(answer["count"])

    async def _refresh(self) -> None:
        answer = await self.client.request("POST", f"{self._path}/_refresh")
        if _at(answer.body, "_shards", "failed"):
            raise Unavailable(f"not all shards of {self.name} of {self.client.name} answer. Run again when they do.")

    def _not_ours(self, why: str) -> ConfigError:
        return ConfigError(
            f"the index {self.name!r} of {self.client.name} is not for log events: {why}. It is not deleted. Give "
            f"--index or {SETTING} another name, or delete it by hand if you are sure."
        )

    def _closed(self) -> ConfigError:
        return ConfigError(
            f"the index {self.name!r} of {self.client.name} is closed: open it (POST /{self.name}/_open), or name "
            "another."
        )


def _senseless() -> ProtocolError:
    return ProtocolError("an answer of Elasticsearch makes no sense. Check ES_HOST, and what stands before it.")


@contextmanager
def _making_sense() -> Iterator[None]:
    """What is read in the block is an answer; where it is made otherwise than one of Elasticsearch's, it says so."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _senseless() from error


def _at(said: Any, *names: str) -> Any:
    """What a cluster said under these names, one within the other."""
    for name in names:
        if not isinstance(said, Mapping) or name not in said:
            raise ProtocolError(
                f"an answer of Elasticsearch holds no {'.'.join(names)!r}. Check ES_HOST, and what stands before it."
            )
        said = said[name]
    return said


def _body() -> dict[str, Any]:
    template = templates.find(TEMPLATE)
    return {"settings": template.settings, "mappings": template.mappings}


def _fields(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every field of a mapping, with dots, those that are computed at search too; of an object its fields."""
    yield from (f"{prefix}{name}" for name in mapping.get("runtime", ()))
    for name, field in mapping.get("properties", {}).items():
        if "properties" in field:
            yield from _fields(field, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
