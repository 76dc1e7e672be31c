"""The relay: sends what the outbox holds, in the order of its rows, and forgets it once all in-sync replicas have it.

What belongs here: the lease, the reading of rows, and what is held back. What never will: how Kafka is spoken to.
"""

from outbox.relay.run import Relay

__all__ = ["Relay"]
