"""Kafka as a source of messages: a member of a consumer group. Unreadable data in one partition does not stop others.

What belongs here: aiokafka's options and its weaknesses, positions, and reading the wire where the client cannot.
What never will: what a message means, or a table of ours.
"""
