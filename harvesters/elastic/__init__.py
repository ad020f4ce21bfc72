"""Elasticsearch as the sinks, the stores and `search` all need it: one request, judged, and bulk requests."""
