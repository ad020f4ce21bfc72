"""Kafka over confluent-kafka (librdkafka), an extra: the producer of a process, and topics.

The one room that knows the client. Nothing of it is imported before it is used.
"""
