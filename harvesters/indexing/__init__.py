"""From a queue into Elasticsearch: ``harvest.py index``."""
