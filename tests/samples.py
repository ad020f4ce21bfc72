"""Documents, and other small things that many tests need."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from harvesters.document import Document

WHEN = datetime(2026, 2, 13, 9, 0, tzinfo=UTC)


def document(id: str, **body: Any) -> Document:
    return Document(id, "useractions", WHEN, {"action_id": id, **body}, group="mp-1")


def documents(count: int, first: int = 0) -> list[Document]:
    return [document(str(number)) for number in range(first, first + count)]


def unencodable(id: str) -> Document:
    """Half of a surrogate pair, which UTF-8 cannot say."""
    return document(id, title="\ud83d")


@contextmanager
def logged(name: str = "harvesters", level: int = logging.DEBUG) -> Iterator[list[logging.LogRecord]]:
    """What is logged to `name` and below, whatever the root's handlers are."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, keeper = logging.getLogger(name), Keep(level)
    before = logger.level
    logger.addHandler(keeper)
    logger.setLevel(level)
    try:
        yield records
    finally:
        logger.setLevel(before)
        logger.removeHandler(keeper)
