from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.messages.conftest import chats  # noqa: F401 - fixture
from tests.nodes import Node, node_for_a_test


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A corner of the test run's Elasticsearch."""
    with node_for_a_test(request) as node:
        yield node
