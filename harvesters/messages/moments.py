"""Timestamps of messages and bounds of questions, in ISO 8601; without an offset they are UTC, as in the cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

YEARS = (1970, 2261)
"""The first and the last year of a timestamp: what the cluster's nanoseconds hold."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse(text: str) -> datetime:
    """The time that `text` writes, with its offset if it has one.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text)


def micros(moment: datetime) -> int:
    """The instant as microseconds since 1970, which no zone and no rounding change."""
    return (aware(moment) - EPOCH) // _MICROSECOND


def aware(moment: datetime) -> datetime:
    """`moment` with an offset."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def of_micros(number: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + number * _MICROSECOND
