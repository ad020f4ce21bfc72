"""Real servers, started on loopback: Redis, moto (S3 and SQS), ElasticMQ (SQS at speed) and Elasticsearch.

One implementation for the demo, for ``dev up --embedded`` and for the tests. Each file knows how one server is found,
started and asked whether it is up; ``base`` knows how a process is kept and ended. Importing any of them costs
nothing: no client library and no server is loaded before `start`.
"""
