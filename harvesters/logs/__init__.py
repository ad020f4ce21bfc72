"""Synthetic web-server logs: masks of times, events, and how they get into an index or onto a file."""
