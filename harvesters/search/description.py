"""A cluster in one line, for who looks after it."""

from __future__ import annotations

from harvesters.elastic.client import SearchClient
from harvesters.search.ilm import has_ilm
from harvesters.search.ism import has_ism

_TOLD = ("point_in_time", "flattened", "flat_object")


def describe(client: SearchClient) -> str:
    """What it is, what it has of what matters to us, and how we sign in.

    Such as ``opensearch 3.8.0; point_in_time, flat_object; no ism; aws (es, eu-central-1)``.

    Raises:
        Unavailable, CredentialsRefused, ProtocolError, ConfigError: it does not say, or it is not supported.
    """
    cluster = client.cluster
    features = ", ".join(name for name in _TOLD if name in cluster.features)
    if "flat_object" in cluster.features:
        lifecycle = "ism" if has_ism(client) else "no ism"
    else:
        lifecycle = "ilm" if has_ilm(client) else "no ilm"
    return f"{cluster}; {features}; {lifecycle}; {_signed_in(client)}"


def _signed_in(client: SearchClient) -> str:
    if client.aws is not None:
        return str(client.aws)
    return "api key" if client.api_key else f"user {client.user}" if client.user else "no credentials"
