"""The relay: sends what the outbox holds, in the order of its rows, and deletes it once all in-sync replicas have it.

What belongs here: the lease, the reading of rows, and which messages are held. Never here: Kafka's protocol.
"""

from outbox.relay.run import Relay

__all__ = ["Relay"]
