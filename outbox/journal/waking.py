"""How who writes the journal wakes who sends it."""

from typing import Final

CHANNEL: Final = "payments_outbox"
"""The relay listens here. One notification a transaction, never one a message: NOTIFY takes a global lock."""
