"""Names in paths of requests. Elasticsearch decodes a path first, so that ``x-%2a`` sent bare would mean ``x-*``."""

from __future__ import annotations

from urllib.parse import quote


def name(text: str) -> str:
    """One name (of an index, an alias, a document, a template), as it is."""
    return quote(text, safe="", errors="surrogateescape")


def pattern(text: str) -> str:
    """Names and patterns with commas between."""
    return quote(text, safe="*,-+._:", errors="surrogateescape")
