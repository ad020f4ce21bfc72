"""Digest authentication that the threads of a run share."""

from __future__ import annotations

import threading
from typing import Any

from requests.auth import HTTPDigestAuth


class SharedDigest(HTTPDigestAuth):
    """As requests has it, but only the first request of all threads is refused, and not the first of each.

    No count of a nonce is sent twice: some servers take the second for a replay.
    """

    _thread_local: Any  # requests' own state of a thread

    def __init__(self, user: str, password: str) -> None:
        super().__init__(user, password)
        self._lock = threading.Lock()
        self._challenge: dict[str, str] = {}
        self._count = 0

    def init_per_thread_state(self) -> None:
        """Begin with what the server asked of another thread."""
        known = hasattr(self._thread_local, "init")
        super().init_per_thread_state()
        if not known and self._challenge:
            self._thread_local.chal = self._challenge
            self._thread_local.last_nonce = self._challenge["nonce"]

    def build_digest_header(self, method: str, url: str) -> str | None:
        """The header of one request."""
        state = self._thread_local
        with self._lock:
            if self._challenge.get("nonce") != state.chal["nonce"]:
                self._challenge, self._count = state.chal, 0
            state.last_nonce, state.nonce_count = state.chal["nonce"], self._count
            self._count += 1
        header: str | None = super().build_digest_header(method, url)  # type: ignore[no-untyped-call]
        return header
