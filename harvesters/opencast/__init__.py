"""Opencast as a source: its HTTP client, its two dialects, and the mapping of what it says to documents."""
