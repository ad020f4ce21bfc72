"""Kafka over confluent-kafka (librdkafka), an extra: consumers of a group, the producer of a process, topics.

The one room that knows the client. Nothing of it is imported before it is used.
"""
