"""A blob in Elasticsearch: a document, replaced only under the sequence number that its reader saw."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import Answer, SearchClient
from harvesters.retry import RetryPolicy, Transient
from harvesters.stores.blob import Blob, Conflict, Version


@dataclass
class ElasticBlob(Blob):
    """The document `id` of `index`, which is made when first written to.

    Args:
        retry: instead of the client's.
    """

    client: SearchClient
    index: str
    id: str
    retry: RetryPolicy | None = None

    @property
    def name(self) -> str:
        """``index/id`` and where."""
        return f"{self.index}/{self.id} in {self.client.name}"

    def read(self) -> Version | None:
        """The document's content by id, which needs no refresh."""
        return self._policy.call(self._get, self.name)

    def write(self, content: bytes, etag: str | None) -> str:
        """Index it if it is still the version tagged `etag`; an answer that got lost is settled by reading again."""
        if etag is None:
            params: dict[str, Any] = {"op_type": "create"}
        else:
            number, _, term = etag.partition(".")
            params = {"if_seq_no": number, "if_primary_term": term}
        body = {"content": base64.b64encode(content).decode()}
        unsure = False

        def put() -> str:
            nonlocal unsure
            try:
                answer = self.client.attempt("PUT", self._path, body, params=params, accept=(404, 409))
            except Transient:
                unsure = True
                raise
            if answer.status not in (404, 409):
                return _tag(answer)
            now = self._get() if unsure else None
            if now is not None and now.content == content:
                return now.etag
            raise Conflict(self.name)

        return self._policy.call(put, self.name)

    @property
    def _policy(self) -> RetryPolicy:
        return self.retry if self.retry is not None else self.client.retry

    @property
    def _path(self) -> str:
        return f"/{paths.name(self.index)}/_doc/{paths.name(self.id)}"

    def _get(self) -> Version | None:
        answer = self.client.attempt("GET", self._path, accept=(404,))
        if not answer.found:
            return None
        return Version(base64.b64decode(answer.body["_source"]["content"]), _tag(answer))


def _tag(answer: Answer) -> str:
    return f"{answer.body['_seq_no']}.{answer.body['_primary_term']}"
