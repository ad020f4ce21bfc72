"""A market place's listings and page views: from Kafka into Elasticsearch, an access log and a ranking.

A web tier needs two functions, `send_listing` and `send_view`. Each returns when the broker has acknowledged, and may
be called from any thread. The settings are those of this process: the environment, and `.env`.
"""

from __future__ import annotations

from typing import Any

from harvesters.kafka.sent import Sent

__all__ = ["Sent", "send_listing", "send_view"]


def send_listing(listing: dict[str, Any]) -> Sent:
    """Send a new listing, or a new version of one; where it is in Kafka.

    Raises:
        BadInput: it is no listing, or too large; the message says why.
        SinkUnavailable: Kafka did not acknowledge it within ``HARVEST_RETRY_BUDGET``.
        CredentialsRefused, ConfigError: Kafka does not take us, or a setting is wrong.
    """
    from harvesters.listings.send import of_process

    return of_process().listing(listing)


def send_view(user_id: int | str, item_id: int | str) -> Sent:
    """Send that a user looked at a listing; where it is in Kafka. Errors are those of `send_listing`."""
    from harvesters.listings.send import of_process

    return of_process().view(user_id, item_id)
