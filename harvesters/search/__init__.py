"""Elasticsearch: the client, names of indices, templates, reading at any size, migrations, and the indexer."""
