"""The kinds of orders that a demo has besides, when the stock is in another system: trouble there.

An item whose SKU names a fault has it the first time that a call about it is made.
"""

from typing import Final

from deploy.demo.kinds import KINDS, Kind
from deploy.demo.stories import Cancel, End, Money, Story

INVENTORY_FAULTS: Final = (
    "RESET-BEFORE",
    "RESET-AFTER",
    "TIMEOUT-BEFORE",
    "TIMEOUT-AFTER",
    "500-AFTER",
    "503",
    "429",
    "HTML",
    "TRUNCATED",
    "GARBAGE",
    "MIXED-UP",
    "SLOW-3S",
)
OF_ALL_CALLS: Final = {
    "share": 0.02,
    "kinds": ["RESET-BEFORE", "RESET-AFTER", "500-AFTER", "503", "429", "HTML", "TRUNCATED", "GARBAGE"],
}
"""So large a share of all calls, whole batches among them, fails in one of these ways."""
_PAID = End(None, Money.TAKEN)
_REFUSED = End("capture_refused", Money.VOIDED)
_CANCELLED = End(None, Money.REFUNDED)


def _trouble(call: str, token: str, end: End, cancel: Cancel = Cancel.NEVER) -> tuple[Story, ...]:
    return tuple(
        Story((token,), (end,), slow=True, cancel=cancel, item=f"SKU-FAULT-{fault}-ON-{call}")
        for fault in INVENTORY_FAULTS
    )


_ELSEWHERE: Final = (
    Kind("inventory trouble while reserving", _trouble("RESERVE", "pm_card_visa", _PAID), 0.05, 24, shown=True),
    Kind("inventory trouble while extending a hold", _trouble("EXTEND", "pm_card_visa", _PAID), 0.05, 24),
    Kind("inventory trouble while selling", _trouble("CONFIRM", "pm_card_visa", _PAID), 0.05, 24),
    Kind("inventory trouble while releasing", _trouble("RELEASE", "pm_fault_capture_refused", _REFUSED), 0.05, 24),
    Kind(
        "inventory trouble while goods come back",
        _trouble("RESTOCK", "pm_card_visa", _CANCELLED, Cancel.WHEN_PAID),
        0.05,
        24,
        shown=True,
    ),
)


ORDERS_MIN_ELSEWHERE: Final = len(KINDS) + len(_ELSEWHERE)


def kinds_of(*, elsewhere: bool) -> tuple[Kind, ...]:
    """Return the kinds of a demo. elsewhere: the stock is in another system."""
    return (*KINDS, *_ELSEWHERE) if elsewhere else KINDS
