"""What reaches Kafka: the idempotent publisher behind the outbox, topics, and the checkout stand-in.

What belongs here: everything that writes to Kafka. What never will: a decision about an order, a database, or settings
(connection options come in as arguments).
"""
