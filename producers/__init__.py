"""Whatever writes to Kafka: the idempotent publisher behind the outbox, topics, and the checkout stand-in.

What never belongs here: a decision about an order, a database, or settings (connection options are arguments).
"""
