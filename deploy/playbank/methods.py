"""Test payment methods: what each token makes a play gateway do.

One table for the simulated gateway and the HTTP sandbox. Stripe's documented test methods keep Stripe's outcomes
(docs.stripe.com/testing); `pm_wallet_captured` and `pm_fault_*` are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from deploy.playbank import cards
from deploy.playbank.cards import Card, CardDecline
from domain.operation import GATEWAY_KINDS, OperationKind

SLOW_S = 3.0


class Fault(StrEnum):
    """What goes wrong between us and the gateway. `after`: the call is executed, its answer is lost or damaged."""

    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_AFTER = "500_after"
    RATE_LIMITED = "429"
    HTML = "html"
    TRUNCATED = "truncated"
    SLOW = "slow_3s"


NOT_EXECUTED = frozenset({Fault.RESET_BEFORE, Fault.TIMEOUT_BEFORE, Fault.RATE_LIMITED, Fault.HTML})


class RefundPath(StrEnum):
    """How a refund ends: at once, later, or with a failure after it had succeeded."""

    AT_ONCE = "at_once"
    PENDING = "pending"
    FAILS_LATER = "fails_later"


@dataclass(frozen=True, slots=True)
class Method:
    """Everything a test payment method does. A fault affects only the first request of a key, unless `always`.

    decline: the issuer's answer as long as the customer does nothing. asks_customer: the customer may prove who they
    are, and after_action is what the issuer says then (None: it approves). off_session_passes: set up for payments
    in the customer's absence. dispute: the reason of the dispute that follows the capture.
    """

    captures_at_once: bool = False
    decline: CardDecline | None = None
    asks_customer: bool = False
    after_action: CardDecline | None = None
    off_session_passes: bool = False
    dispute: str | None = None
    card: Card = field(default_factory=Card)
    capture_refused: bool = False
    void_finds_captured: bool = False
    refund: RefundPath = RefundPath.AT_ONCE
    fault: Fault | None = None
    fault_on: frozenset[OperationKind] = GATEWAY_KINDS
    always: bool = False

    def fault_for(self, kind: OperationKind, seen: int) -> Fault | None:
        """Return the fault of a request of this kind. seen: how often its key came before."""
        if self.fault is None or kind not in self.fault_on or (seen and not self.always):
            return None
        return self.fault


CAPTURE_REFUSED = CardDecline("card_declined", "generic_decline", "The issuer refused the capture.")
_AUTHENTICATION = CardDecline(
    "authentication_required", "authentication_required", "This payment needs the customer's authentication."
)


def _table() -> dict[str, Method]:
    methods = {f"pm_card_{name}": Method(card=card) for name, card in cards.good_cards()}
    for name, codes in cards.DECLINES.items():
        methods[f"pm_card_{name}"] = methods[f"pm_card_visa_{name}"] = Method(decline=cards.declined(*codes))
    for name, after in cards.ASKS_CUSTOMER.items():
        methods[f"pm_card_{name}"] = Method(
            decline=_AUTHENTICATION,
            asks_customer=True,
            after_action=None if after is None else cards.declined(*after),
            off_session_passes=name == cards.SET_UP_FOR_OFF_SESSION,
        )
    methods |= {f"pm_card_{name}": Method(dispute=reason) for name, reason in cards.DISPUTES.items()}
    methods |= {f"pm_card_{name}": Method() for name in cards.EARLY_FRAUD_WARNINGS}
    methods["pm_card_pendingRefund"] = Method(refund=RefundPath.PENDING)
    methods["pm_card_refundFail"] = Method(refund=RefundPath.FAILS_LATER)
    methods["pm_wallet_captured"] = Method(captures_at_once=True)
    methods["pm_fault_capture_refused"] = Method(capture_refused=True)
    methods["pm_fault_void_refused_captured"] = Method(void_finds_captured=True)
    methods["pm_fault_refund_fails_later"] = Method(captures_at_once=True, refund=RefundPath.FAILS_LATER)
    methods["pm_fault_refund_pending"] = Method(captures_at_once=True, refund=RefundPath.PENDING)
    return methods


METHODS: Mapping[str, Method] = MappingProxyType(_table())

_FAULT = re.compile(
    rf"pm_fault_(?P<fault>{'|'.join(Fault)})(?:_on_(?P<on>{'|'.join(sorted(GATEWAY_KINDS))}))?"
    r"(?P<captured>_captured)?(?P<always>_always)?"
)


@lru_cache(maxsize=4096)
def method_of(token: str) -> Method | None:
    """Return what this token does, or None when there is no such payment method."""
    known = METHODS.get(token)
    if known is not None:
        return known
    match = _FAULT.fullmatch(token)
    if match is None:
        return None
    method = Method(
        captures_at_once=match["captured"] is not None,
        fault=Fault(match["fault"]),
        always=match["always"] is not None,
    )
    return replace(method, fault_on=frozenset({OperationKind(match["on"])})) if match["on"] else method
