"""Kafka as a source of messages: a member of a consumer group that reads on whatever stands in one of its partitions.

What belongs here: aiokafka's options and its weaknesses, positions, and reading the wire where the client cannot.
What never will: what a message means, or a table of ours.
"""
