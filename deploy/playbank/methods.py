"""Test payment methods: what each token makes a play gateway do.

One table for the simulated gateway and the HTTP sandbox. Stripe's documented test methods keep Stripe's outcomes
(docs.stripe.com/testing); `pm_wallet_captured`, `pm_redirect...`, `pm_debit_days...` and `pm_fault_*` are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from deploy.playbank import cards, debits
from deploy.playbank.cards import Card, CardDecline, Case
from deploy.playbank.debits import TYPES, Account, MethodType
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
    in the customer's absence. in_days: it is processing before its bank decides; later_decline: what the bank says
    then (None: it pays); never_decided: it says nothing. disputes, fraud_warning: what follows the capture.
    """

    type: str = "card"
    captures_at_once: bool = False
    decline: CardDecline | None = None
    asks_customer: bool = False
    after_action: CardDecline | None = None
    off_session_passes: bool = False
    in_days: bool = False
    later_decline: CardDecline | None = None
    never_decided: bool = False
    disputes: tuple[Case, ...] = ()
    fraud_warning: bool = False
    card: Card = field(default_factory=Card)
    account: Account = field(default_factory=Account)
    capture_refused: bool = False
    void_finds_captured: bool = False
    refund: RefundPath = RefundPath.AT_ONCE
    fault: Fault | None = None
    fault_on: frozenset[OperationKind] = GATEWAY_KINDS
    always: bool = False

    @property
    def rules(self) -> MethodType:
        """What all methods of its type have in common."""
        return TYPES[self.type]

    def fault_for(self, kind: OperationKind, seen: int) -> Fault | None:
        """Return the fault of a request of this kind. seen: how often its key came before."""
        if self.fault is None or kind not in self.fault_on or (seen and not self.always):
            return None
        return self.fault


CAPTURE_REFUSED = CardDecline("card_declined", "generic_decline", "The issuer refused the capture.")
_AUTHENTICATION = CardDecline(
    "authentication_required", "authentication_required", "This payment needs the customer's authentication."
)


_DISPUTED = cards.DISPUTES.items()


def _disputed(cases: tuple[Case, ...]) -> Card:
    mastercard = cases[0].eligible_for == "mastercard_compliance"
    return Card("mastercard", last4="0002") if mastercard else Card()


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
    methods |= {f"pm_card_{name}": Method(disputes=cases, card=_disputed(cases)) for name, cases in _DISPUTED}
    methods |= {f"pm_card_{name}": Method(fraud_warning=True) for name in cards.EARLY_FRAUD_WARNINGS}
    methods["pm_card_pendingRefund"] = Method(refund=RefundPath.PENDING)
    methods["pm_card_refundFail"] = Method(refund=RefundPath.FAILS_LATER)
    methods["pm_wallet_captured"] = Method(captures_at_once=True)
    methods["pm_fault_capture_refused"] = Method(capture_refused=True)
    methods["pm_fault_void_refused_captured"] = Method(void_finds_captured=True)
    methods["pm_fault_refund_fails_later"] = Method(captures_at_once=True, refund=RefundPath.FAILS_LATER)
    methods["pm_fault_refund_pending"] = Method(captures_at_once=True, refund=RefundPath.PENDING)
    return methods | _of_banks()


def _of_banks() -> dict[str, Method]:
    redirect = Method(type="ideal", captures_at_once=True, decline=_AUTHENTICATION, asks_customer=True)
    methods = {f"pm_{name}": replace(redirect, after_action=after) for name, after in debits.REDIRECTS.items()}
    for name, debit in debits.debits():
        methods[f"pm_{name}"] = Method(
            type=debit.type,
            captures_at_once=True,
            in_days=True,
            later_decline=debit.decline,
            never_decided=debit.never_decided,
            disputes=debit.disputes,
            account=debit.account,
        )
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
