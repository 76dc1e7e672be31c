"""The unit of work: what consumers and the sweep read and write, one transaction for a batch.

What belongs here: everything in a transaction that may change an order. Never here: a rule of payment, a query of
operators alone, what is sent to Kafka.
"""

from outbox.store.postgres import PostgresStore

__all__ = ["PostgresStore"]
