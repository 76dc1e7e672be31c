"""The unit of work: what consumers and sweep read and write, a transaction for a batch.

What belongs here: whatever happens in a transaction that may change an order. Never here: a rule of payment, what only
an operator asks, what is sent to Kafka.
"""

from outbox.store.postgres import PostgresStore

__all__ = ["PostgresStore"]
