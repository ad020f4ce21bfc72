"""Zoom's paging: ``next_page_token`` lives fifteen minutes and works only with the parameters it was made for."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harvesters.simulators.base import Request
from harvesters.simulators.zoom.errors import ZoomError, invalid

ENDLESS = ("", "round", "again", "empty")
DEFAULT_PAGE, MAX_PAGE = 30, 300


@dataclass(frozen=True)
class Page:
    """Some of the rows of a question, and what the answer says about paging."""

    rows: Sequence[Any]
    next_page_token: str
    page_size: int
    total: int
    page_number: int
    texts: bool = False

    def envelope(self) -> dict[str, Any]:
        """The paging fields of the answer; the last page has an empty token."""
        numbers = {
            "page_count": -(-self.total // self.page_size),
            "page_size": self.page_size,
            "total_records": self.total,
        }
        told = {name: str(number) for name, number in numbers.items()} if self.texts else numbers
        return {"next_page_token": self.next_page_token, **told}


@dataclass(frozen=True)
class _Bookmark:
    question: tuple[Any, ...]
    rows: Sequence[Any]
    offset: int
    number: int
    expires: float


class Pages:
    """Cuts rows into pages. The rows of a question are taken once, on its first page; a token may be used again.

    `cap` is what heavy endpoints give at most, whatever page size was asked for and is echoed. `endless` lists (those
    with `endless_path` in their path) have no end: tokens go ``round``, or new ones lead to the same rows ``again`` or
    to ``empty`` pages. `texts`: numbers around the list are texts.
    """

    def __init__(
        self, *, life: float, cap: int | None, now: Callable[[], float], endless: str = "", texts: bool = False
    ) -> None:
        if endless not in ENDLESS:
            raise ValueError(f"no such end of a list: {endless}")
        self.life = life
        self.endless = endless
        self.endless_path = ""
        self.texts = texts
        self.cap = cap
        self._now = now
        self._bookmarks: dict[str, _Bookmark] = {}
        self._lock = threading.Lock()

    def cut(self, request: Request, path: str, rows: Callable[[], Sequence[Any]], *, capped: bool) -> Page:
        """The page that `request` asks for; `rows` is called when it is the first."""
        size = self._size(request)
        question = (path, *sorted(pair for pair in request.query if pair[0] != "next_page_token" and pair[1]))
        token = request.param("next_page_token")
        mark = self._find(token, question) if token else _Bookmark(question, rows(), 0, 1, 0.0)
        end = mark.offset + (min(size, self.cap) if capped and self.cap else size)
        following = self._remember(mark, end) if end < len(mark.rows) else self._no_end(mark, token)
        return Page(mark.rows[mark.offset : end], following, size, len(mark.rows), mark.number, self.texts)

    def _no_end(self, mark: _Bookmark, token: str) -> str:
        """The token after the last page: "" where the list has an end."""
        if self.endless_path not in mark.question[0]:
            return ""
        if self.endless == "round":
            with self._lock:
                known = [key for key, old in self._bookmarks.items() if old.question == mark.question]
            return known[0] if known else self._remember(mark, 0)
        if self.endless == "again":
            return self._remember(mark, 0)
        return self._remember(mark, len(mark.rows)) if self.endless == "empty" else ""

    def _size(self, request: Request) -> int:
        text = request.param("page_size") or str(DEFAULT_PAGE)
        if not text.isdecimal() or int(text) < 1:
            raise invalid("page_size")
        return min(int(text), MAX_PAGE)

    def _find(self, token: str, question: tuple[Any, ...]) -> _Bookmark:
        with self._lock:
            mark = self._bookmarks.get(token)
        if mark is None or mark.expires <= self._now() or mark.question != question:
            raise ZoomError(400, 300, "The next page token is invalid or expired.")
        return mark

    def _remember(self, mark: _Bookmark, offset: int) -> str:
        token = secrets.token_urlsafe(24)
        now = self._now()
        with self._lock:
            self._bookmarks = {key: old for key, old in self._bookmarks.items() if old.expires > now}
            self._bookmarks[token] = _Bookmark(mark.question, mark.rows, offset, mark.number + 1, now + self.life)
        return token
