from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.messages.chats import Chats, chats_of_a_test


@pytest.fixture
def chats(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chats]:
    """The test run's cluster without messages, analytics and logs of other tests; ES_HOST points at it."""
    with chats_of_a_test(request) as found:
        monkeypatch.setenv("ES_HOST", found.url)
        yield found
