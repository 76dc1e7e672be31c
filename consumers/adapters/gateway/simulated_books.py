"""The simulated gateway's books: transactions, refunds and what may follow what. Amounts are ISO 4217 minor units."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consumers.adapters.gateway.methods import CAPTURE_REFUSED, CardDecline, Method, RefundPath
from consumers.adapters.gateway.stripe_codes import Refusal, failure_code
from consumers.adapters.gateway.stripe_currency import amount_max, to_stripe
from domain.failure_codes import FailureCode
from domain.ids import OperationId, OrderId
from domain.operation import GatewayCall, OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    GatewayOutcome,
    Lapsed,
    NotFound,
    Pending,
    Unknown,
)
from domain.ports.gateway import Effect, LedgerEntry

AUTHORIZATION_TTL = timedelta(days=7)  # Stripe's time for most cards
LAPSE_KEY = "lapsed"  # the gateway cancels by itself, under no key of ours
ELSEWHERE_KEY = "captured_elsewhere"  # as if somebody had captured in the gateway's own dashboard

_HELD, _CAPTURED, _CANCELED, _FAILED = "requires_capture", "succeeded", "canceled", "requires_payment_method"


@dataclass(slots=True, eq=False)
class Refund:
    """One refund; `decided_at` is when a pending one succeeds, or one that fails later fails."""

    reference: str
    operation_id: OperationId
    key: str
    amount_minor: int
    status: str
    decided_at: datetime | None


@dataclass(slots=True, eq=False)
class Transaction:
    """What Stripe calls a PaymentIntent."""

    transaction_id: str
    order_id: OrderId
    operation_id: OperationId
    currency: str
    amount_minor: int
    method: Method
    status: str
    expires_at: datetime | None
    decline: Declined | None = None
    captured_minor: int = 0
    effects: list[Effect] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    def refunded_minor(self, *, with_pending: bool) -> int:
        """Return what went back to the customer, with what is promised to go or without."""
        counted = ("succeeded", "pending") if with_pending else ("succeeded",)
        return sum(refund.amount_minor for refund in self.refunds if refund.status in counted)


class Books:
    """Every transaction ever, and the only code that changes one."""

    def __init__(self, clock: Callable[[], datetime], pending: timedelta, authorization_ttl: timedelta) -> None:
        self._clock = clock
        self._pending = pending
        self._ttl = authorization_ttl
        self._transactions: dict[str, Transaction] = {}
        self._by_operation: dict[OperationId, Transaction] = {}
        self._refunds = 0

    def transaction(self, transaction_id: str | None) -> Transaction | None:
        """Return the transaction as it is now: authorizations lapse and refunds are decided by time alone."""
        transaction = self._transactions.get(transaction_id or "")
        if transaction is not None:
            self._pass_time(transaction, self._clock())
        return transaction

    def refusal(self, call: GatewayCall, method: Method | None, transaction: Transaction | None) -> Declined | None:
        """Return why the call is invalid, or None. Such a refusal is remembered by no key."""
        try:
            amount = to_stripe(call.amount_minor, call.currency)
        except Refusal as refusal:
            return Declined(refusal.code, refusal.gateway_code)
        if call.kind is OperationKind.AUTHORIZE:
            if amount < 1:
                return Declined(FailureCode.AMOUNT_REFUSED, "parameter_invalid_integer")
            if amount > amount_max(call.currency):
                return Declined(FailureCode.AMOUNT_REFUSED, "amount_too_large")
            return Declined(FailureCode.METHOD_INVALID, "resource_missing") if method is None else None
        code = FailureCode.CAPTURE_REFUSED if call.kind is OperationKind.CAPTURE else FailureCode.GATEWAY_REFUSED
        if transaction is None:
            return Declined(code, "resource_missing")
        if call.kind is not OperationKind.VOID and amount < 1:
            return Declined(code, "parameter_invalid_integer")
        return None

    def execute(self, call: GatewayCall, method: Method, transaction: Transaction | None) -> GatewayOutcome:
        """Do what a valid call asks and return what became of it."""
        now = self._clock()
        if transaction is None:
            return self._authorize(call, method, now)
        match call.kind:
            case OperationKind.CAPTURE:
                return self._capture(call, transaction, now)
            case OperationKind.VOID:
                return self._void(call, transaction, now)
            case OperationKind.REFUND:
                return self._refund(call, transaction, now)
            case _:
                raise ValueError(f"A gateway does not do {call.kind}: send it to the inventory.")

    def find(self, call: GatewayCall) -> GatewayOutcome:
        """Return what the books say of the call, whatever its key remembers."""
        if call.kind is OperationKind.AUTHORIZE:
            made = self._by_operation.get(call.operation_id)
            transaction = self.transaction(made.transaction_id) if made is not None else None
        else:
            transaction = self.transaction(call.transaction_id)
        if transaction is None:
            return NotFound()
        if call.kind is OperationKind.AUTHORIZE:
            return _authorize_outcome(transaction)
        if call.kind is OperationKind.REFUND:
            found = [r for r in transaction.refunds if r.operation_id == call.operation_id]
            return _refund_outcome(transaction, found[-1]) if found else NotFound()
        if transaction.status not in {_CAPTURED, _CANCELED}:
            return NotFound()
        return (
            _capture_conflict(call, transaction) if call.kind is OperationKind.CAPTURE else _void_conflict(transaction)
        )

    def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction, in the order of their making."""
        now = self._clock()
        for transaction in self._transactions.values():
            self._pass_time(transaction, now)
        return [_entry(transaction) for transaction in self._transactions.values()]

    def _authorize(self, call: GatewayCall, method: Method, now: datetime) -> GatewayOutcome:
        transaction = Transaction(
            f"pi_simulated_{len(self._transactions) + 1}",
            call.order_id,
            call.operation_id,
            call.currency,
            call.amount_minor,
            method,
            _HELD,
            now + self._ttl,
        )
        self._transactions[transaction.transaction_id] = transaction
        self._by_operation[call.operation_id] = transaction
        if method.decline is not None:
            transaction.status, transaction.expires_at = _FAILED, None
            transaction.decline = _declined(method.decline, transaction.transaction_id)
            return transaction.decline
        transaction.effects.append(Effect("authorize", call.idempotency_key, now, call.amount_minor))
        if method.captures_at_once:
            _take(transaction, call.idempotency_key, now, call.amount_minor)
        return _authorize_outcome(transaction)

    def _capture(self, call: GatewayCall, transaction: Transaction, now: datetime) -> GatewayOutcome:
        if transaction.status != _HELD:
            return _capture_conflict(call, transaction)
        if call.amount_minor > transaction.amount_minor:
            return Declined(FailureCode.CAPTURE_REFUSED, "amount_too_large")
        if transaction.method.capture_refused:
            return Declined(FailureCode.CAPTURE_REFUSED, CAPTURE_REFUSED.decline_code)
        _take(transaction, call.idempotency_key, now, call.amount_minor)
        return _captured(transaction)

    def _void(self, call: GatewayCall, transaction: Transaction, now: datetime) -> GatewayOutcome:
        if transaction.status == _HELD and transaction.method.void_finds_captured:
            _take(transaction, ELSEWHERE_KEY, now, transaction.amount_minor)
        if transaction.status in {_HELD, _FAILED}:
            _cancel(transaction, call.idempotency_key, now)
        return _void_conflict(transaction)

    def _refund(self, call: GatewayCall, transaction: Transaction, now: datetime) -> GatewayOutcome:
        if transaction.status != _CAPTURED:
            return Declined(FailureCode.GATEWAY_REFUSED, "payment_intent_unexpected_state")
        left = transaction.captured_minor - transaction.refunded_minor(with_pending=True)
        if left == 0:
            return Declined(FailureCode.GATEWAY_REFUSED, "charge_already_refunded")
        if call.amount_minor > left:
            return Declined(FailureCode.GATEWAY_REFUSED, "amount_too_large")
        self._refunds += 1
        path = transaction.method.refund
        refund = Refund(
            f"re_simulated_{self._refunds}",
            call.operation_id,
            call.idempotency_key,
            call.amount_minor,
            "pending" if path is RefundPath.PENDING else "succeeded",
            None if path is RefundPath.AT_ONCE else now + self._pending,
        )
        transaction.refunds.append(refund)
        if refund.status == "succeeded":
            transaction.effects.append(Effect("refund", call.idempotency_key, now, call.amount_minor))
        return _refund_outcome(transaction, refund)

    def _pass_time(self, transaction: Transaction, now: datetime) -> None:
        expires_at = transaction.expires_at
        if transaction.status == _HELD and expires_at is not None and now >= expires_at:
            _cancel(transaction, LAPSE_KEY, expires_at)
        for refund in transaction.refunds:
            if refund.decided_at is None or now < refund.decided_at:
                continue
            if refund.status == "pending":
                refund.status = "succeeded"
                transaction.effects.append(Effect("refund", refund.key, refund.decided_at, refund.amount_minor))
            else:
                refund.status = "failed"
            refund.decided_at = None


def _take(transaction: Transaction, key: str, now: datetime, amount_minor: int) -> None:
    transaction.status, transaction.captured_minor = _CAPTURED, amount_minor
    transaction.effects.append(Effect("capture", key, now, amount_minor))


def _cancel(transaction: Transaction, key: str, now: datetime) -> None:
    held = transaction.amount_minor if transaction.status == _HELD else 0
    transaction.status = _CANCELED
    transaction.effects.append(Effect("cancel", key, now, held))


def _declined(decline: CardDecline, transaction_id: str) -> Declined:
    code = failure_code(decline.code, decline.decline_code, decline.advice_code)
    return Declined(code, decline.decline_code, transaction_id)


def _authorize_outcome(transaction: Transaction) -> GatewayOutcome:
    if transaction.decline is not None:
        return transaction.decline
    if transaction.status == _CANCELED:
        return Lapsed()
    captured = transaction.status == _CAPTURED
    return Approved(
        transaction.transaction_id,
        amount_minor=transaction.captured_minor if captured else transaction.amount_minor,
        captured=captured,
        expires_at=None if captured else transaction.expires_at,
    )


def _captured(transaction: Transaction) -> Approved:
    return Approved(transaction.transaction_id, amount_minor=transaction.captured_minor, captured=True)


def _capture_conflict(call: GatewayCall, transaction: Transaction) -> GatewayOutcome:
    if transaction.status == _CANCELED:
        return Lapsed()
    if transaction.status != _CAPTURED:
        return Declined(FailureCode.CAPTURE_REFUSED, "payment_intent_unexpected_state")
    if transaction.captured_minor != call.amount_minor:
        return Unknown("captured with another amount", replayed=True)
    return _captured(transaction)


def _void_conflict(transaction: Transaction) -> GatewayOutcome:
    if transaction.status == _CAPTURED:
        return AlreadyCaptured(transaction.transaction_id, transaction.captured_minor)
    return Approved(transaction.transaction_id, amount_minor=transaction.amount_minor)


def _refund_outcome(transaction: Transaction, refund: Refund) -> GatewayOutcome:
    match refund.status:
        case "succeeded":
            return Approved(transaction.transaction_id, refund.reference, refund.amount_minor)
        case "pending":
            return Pending(refund.reference, transaction.transaction_id)
        case _:
            return Declined(FailureCode.GATEWAY_REFUSED, "refund_failed", transaction.transaction_id)


def _entry(transaction: Transaction) -> LedgerEntry:
    return LedgerEntry(
        transaction.transaction_id,
        transaction.order_id,
        str(transaction.operation_id),
        transaction.status,
        transaction.currency,
        transaction.amount_minor,
        transaction.captured_minor,
        transaction.refunded_minor(with_pending=False),
        tuple(transaction.effects),
    )
