"""Where messages to customers wait, who sends them, and who knows the customers' addresses."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from domain.messages import Delivery, Message, Settled


class Messages(Protocol):
    """The table of messages. All methods raise Transient if the database does not answer."""

    async def claim(self, limit: int, lease_s: float) -> Sequence[Message]:
        """Claim messages that are due, the one that waits longest first; skip those that others are claiming."""
        ...

    async def settle(self, settled: Sequence[Settled]) -> int:
        """Write what became of claimed messages; return for how many it was new.

        One that was sent is sent, whoever has claimed it meanwhile. Any other word counts only under its own lease.
        """
        ...

    async def give_back(self, messages: Sequence[Message]) -> None:
        """End the leases of claimed messages that were not sent: whoever looks next may claim them."""
        ...

    async def forget_old(self, limit: int) -> int:
        """Delete messages that were sent or stale longer ago than the inbox remembers; return how many."""
        ...


class Messenger(Protocol):
    """Sends messages to customers, outside of any transaction."""

    async def send(self, message: Message) -> Delivery:
        """Send one message. The same one may come again: its key tells repetitions, where the receiver looks at it.

        Raises nothing that it can foresee: what goes wrong outside is a value.
        """
        ...

    async def close(self) -> None:
        """Close connections that are kept."""
        ...


class Customer(NamedTuple):
    """Where to write to a customer, and in which language: as `de` or `de-AT`; None: the shop's own."""

    email: str
    language: str | None = None


class CustomerDirectory(Protocol):
    """Knows the customers' addresses. They are held in memory for a short time, and never stored or logged."""

    async def customer(self, customer_id: str) -> Customer | None:
        """Return where to write to this customer; None if there is no address.

        Raises Transient if that cannot be said now; its text has no address.
        """
        ...

    async def close(self) -> None:
        """Close connections that are kept."""
        ...
