"""The time in which the operations of one claim may be called."""

import asyncio
from collections.abc import Sequence

from consumers.runtime.ports import Bounds
from domain.operation import GatewayCall
from domain.ports.store import Claimed
from domain.rules import LEASE_MARGIN, Rules


class Lease:
    """Says of each call whether it may begin: only where the lease covers all of it. Notes those that began.

    It is asked right before a call is sent. So neither a wait for locks, nor a queue, nor a process that was frozen for
    a while makes a call under a lease that another may hold by then.
    """

    def __init__(self, claimed: Sequence[Claimed], rules: Rules, bounds: Bounds) -> None:
        self.ends_at = min(c.until for c in claimed) - rules.lease_s * LEASE_MARGIN
        self._last_call_at = self.ends_at - bounds.call_max_s
        self._begun: set[int] = set()
        self._now = asyncio.get_running_loop().time

    def begin(self, call: GatewayCall) -> bool:
        """Whether this call may begin; if so it counts as made."""
        if self._now() > self._last_call_at:
            return False
        # By the number of the operation's id, for a UUID hashes in Python.
        self._begun.add(call.operation_id.int)
        return True

    def found_nothing(self, claimed: Claimed) -> None:
        """Note that a look-up left no trace: the call itself has still to begin."""
        self._begun.discard(claimed.operation.operation_id.int)

    def has_begun(self, claimed: Claimed) -> bool:
        """Whether a call of this operation was made, so that its outcome is unknown until there is an answer."""
        return claimed.operation.operation_id.int in self._begun
