"""The time in which the operations of one claim may be called."""

import asyncio
from collections.abc import Sequence

from consumers.runtime.bounds import Bounds
from domain.lease_margin import LEASE_MARGIN
from domain.operation import GatewayCall
from domain.ports.store import Claimed
from domain.rules import Rules
from domain.stock_calls import StockCall


class Lease:
    """Decides whether a call may begin: only if the lease covers all of it. Notes which calls have begun.

    It is asked right before a call is sent. A wait for locks, a queue or a frozen process may have taken long, and
    another process may hold the lease by then.
    """

    def __init__(self, claimed: Sequence[Claimed], rules: Rules, bounds: Bounds) -> None:
        self.ends_at = min(c.until for c in claimed) - rules.lease_s * LEASE_MARGIN
        self.last_call_at = self.ends_at - bounds.call_max_s
        """No call may begin after this time."""
        self._begun: set[int] = set()
        self._now = asyncio.get_running_loop().time
        self.taken_at = self._now()
        """When this process turned to these operations, by the clock of the loop: no call of them began before."""

    @property
    def is_too_late(self) -> bool:
        """Whether no call may begin any more."""
        return self._now() > self.last_call_at

    def begin(self, call: GatewayCall | StockCall) -> bool:
        """Whether this call may begin. If so, it counts as made."""
        if self.is_too_late:
            return False
        # The number of the id: a UUID is hashed in Python, which is slow.
        self._begun.add(call.operation_id.int)
        return True

    def note_no_trace(self, claimed: Claimed) -> None:
        """Note that a look-up found no trace: the call itself has not begun yet."""
        self._begun.discard(claimed.operation.operation_id.int)

    def has_begun(self, claimed: Claimed) -> bool:
        """Whether this operation was called: then its outcome is unknown until there is an answer."""
        return claimed.operation.operation_id.int in self._begun
