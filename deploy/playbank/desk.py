"""The bank, with our calls as input and our outcomes as answers."""

from consumers.adapters.gateway.stripe_codes import Refusal, failure_code
from consumers.adapters.gateway.stripe_currency import amount_max, amount_to_send
from deploy.playbank import bank, books
from deploy.playbank.bank import (
    ASKS_CUSTOMER,
    CANCELED,
    CAPTURED,
    DECLINED,
    KEY_TTL_S,
    PROCESSING,
    Bank,
    Intent,
    No,
)
from deploy.playbank.cards import CardDecline
from deploy.playbank.methods import Method, method_of
from deploy.playbank.readings import capture_outcome, moment, refund_outcome, void_outcome
from domain.failure_codes import FailureCode
from domain.ids import OperationId
from domain.news import RefundFailure, TransactionNews
from domain.operation import GatewayCall, OperationKind
from domain.outcome import (
    Approved,
    CustomerMustAct,
    Declined,
    GatewayOutcome,
    Lapsed,
    NotFound,
    Pending,
    ReturnedElsewhere,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.ports.gateway import LedgerEntry

ASKING_PAGE = "https://bank.example/confirm/"
"""Where customers would confirm payments. Nobody listens there: see act_for_customer."""
NOT_CONFIRMED = "payment_intent_authentication_failure"
SPOILT = Unknown("HTTP 500")
STORED_ERROR = Unknown("HTTP 500", replayed=True)
# What Stripe names when it refuses a refund: a code, a parameter, or nothing.
_NO_REFUND = {
    No.REFUNDED: No.REFUNDED.value,
    No.DISPUTED: No.DISPUTED.value,
    No.TOO_LARGE: "amount",
    No.UNEXPECTED_STATE: None,
    No.REFUSED: None,
}
_OTHER_PARAMETERS = Unknown("this key was used with other parameters", replayed=True)


class Desk:
    """Takes our calls to the bank. The answer of a key is kept for a day.

    now_s: the time at which calls are executed, in Unix seconds. The caller sets it first.
    """

    def __init__(self, pending_s: float) -> None:
        self.now_s = 0.0
        self._bank = Bank(lambda: self.now_s, pending_s, "simulated_")
        self._by_operation: dict[OperationId, str] = {}
        self._declined: dict[str, CardDecline] = {}
        self._authorize_keys: dict[str, str] = {}
        self._stored: dict[str, tuple[GatewayCall, GatewayOutcome, float]] = {}

    def involved(self, call: GatewayCall) -> tuple[Method | None, Intent | None]:
        """Return the test payment method of a call, and the transaction that it changes."""
        if call.kind is OperationKind.AUTHORIZE:
            return method_of(call.token or ""), None
        intent = self._bank.intent(call.transaction_id or "")
        return (intent.method, intent) if intent is not None else (None, None)

    def answer(self, call: GatewayCall, method: Method | None, intent: Intent | None) -> GatewayOutcome:
        """Execute a call, or repeat the answer of its key."""
        stored = self._stored.get(call.idempotency_key)
        if stored is not None and self.now_s < stored[2]:
            first, outcome, _ = stored
            return outcome if first is call or _asks(first) == _asks(call) else _OTHER_PARAMETERS
        if intent is None and call.kind is not OperationKind.AUTHORIZE:
            return TransactionMissing()
        refused = _refusal(call, method)
        if refused is not None:
            return refused
        outcome = self._authorize(call) if intent is None else self._change(call, intent)
        self._stored[call.idempotency_key] = (call, outcome, self.now_s + KEY_TTL_S)
        return outcome

    def spoil(self, call: GatewayCall, method: Method | None, intent: Intent | None) -> GatewayOutcome:
        """Execute a call, and store HTTP 500 as the answer of its key."""
        key = call.idempotency_key
        before = self._stored.get(key)
        answer = self.answer(call, method, intent)
        after = self._stored.get(key)
        if after is None or after is before:
            return answer
        self._stored[key] = (call, STORED_ERROR, after[2])
        return SPOILT

    def find(self, call: GatewayCall) -> GatewayOutcome:
        """Return the outcome of a call as the bank has it, whatever its key was answered."""
        if call.kind is OperationKind.AUTHORIZE:
            intent = self._bank.intent(self._by_operation.get(call.operation_id, ""))
            return NotFound() if intent is None else self._authorize_outcome(intent)
        intent = self._bank.intent(call.transaction_id or "")
        if intent is None:
            return TransactionMissing()
        if call.kind is OperationKind.REFUND:
            own = str(call.operation_id)
            made = [r for r in self._bank.refunds_of(intent) if str(r.metadata.get("operation_id")) == own]
            return refund_outcome(intent, made[-1]) if made else NotFound()
        if intent.status not in {CAPTURED, CANCELED, PROCESSING}:
            return NotFound()
        return capture_outcome(intent) if call.kind is OperationKind.CAPTURE else void_outcome(self._bank, intent)

    def entries(self) -> list[LedgerEntry]:
        """Return every transaction, the oldest first."""
        return books.entries(self._bank)

    def _authorize(self, call: GatewayCall) -> GatewayOutcome:
        metadata = {"order_id": call.order_id, "operation_id": call.operation_id}
        intent = self._bank.make_intent(
            call.amount_minor, call.currency, "manual", call.token, call.token, metadata=metadata
        )
        self._by_operation[call.operation_id] = intent.id
        self._authorize_keys[intent.id] = call.idempotency_key
        if intent.method.asks_customer and call.frozen is not None and call.frozen.return_url is not None:
            intent.status = ASKS_CUSTOMER
        else:
            self._note(intent, intent.confirm(call.idempotency_key, self.now_s))
        return self._authorize_outcome(intent)

    def act_for_customer(self, transaction_id: str, *, confirms: bool) -> bool:
        """Have the customer confirm a payment with their bank, or fail to; return whether they were asked."""
        intent = self._bank.intent(transaction_id)
        if intent is None or intent.status != ASKS_CUSTOMER:
            return False
        said = intent.authenticate(self._authorize_keys[intent.id], self.now_s, passed=confirms)
        self._note(intent, None if isinstance(said, No) else said)
        return True

    def _note(self, intent: Intent, decline: CardDecline | None) -> None:
        if decline is not None:
            self._declined[intent.id] = decline

    def _authorize_outcome(self, intent: Intent) -> GatewayOutcome:
        """Return the outcome of an authorization, from where the intent stands."""
        match intent.status:
            case bank.ASKS_CUSTOMER:
                return CustomerMustAct(intent.id, f"{ASKING_PAGE}{intent.id}")
            case bank.DECLINED:
                decline = self._declined.get(intent.id) or intent.method.later_decline
                assert decline is not None, "a payment without a method was declined"
                if decline.code == NOT_CONFIRMED:
                    return Undecided(intent.id, DECLINED, asks_customer=True)
                code = failure_code(decline.code, decline.decline_code, decline.advice_code)
                return Declined(code, decline.decline_code or decline.code, intent.id)
            case bank.PROCESSING:
                return Pending(transaction_id=intent.id)
            case bank.CANCELED:
                return Lapsed(intent.id)
            case bank.CAPTURED:
                return Approved(intent.id, amount_minor=intent.amount_received, captured=True)
            case _:
                expires_at = None if intent.capture_before is None else moment(intent.capture_before)
                return Approved(intent.id, amount_minor=intent.amount, expires_at=expires_at)

    def _change(self, call: GatewayCall, intent: Intent) -> GatewayOutcome:
        key, amount = call.idempotency_key, call.amount_minor
        match call.kind:
            case OperationKind.CAPTURE:
                no = intent.capture(key, self.now_s, amount)
                if no is None or no is No.UNEXPECTED_STATE:
                    return capture_outcome(intent)
                return Declined(FailureCode.CAPTURE_REFUSED, no.value)
            case OperationKind.VOID:
                intent.cancel(key, self.now_s)
                return void_outcome(self._bank, intent)
            case OperationKind.REFUND:
                made = self._bank.refund(intent, key, amount, metadata={"operation_id": call.operation_id})
                if isinstance(made, No):
                    return self._returned(call, intent) or Declined(FailureCode.GATEWAY_REFUSED, _NO_REFUND[made])
                return refund_outcome(intent, made)
            case _:
                raise ValueError(f"A gateway does not do {call.kind}: send it to the inventory.")

    def failed_refunds(self, since_s: float) -> list[RefundFailure]:
        """Return refunds that were made since then and have failed."""
        return books.failed_refunds(self._bank, since_s)

    def news_of(self, transaction_id: str) -> TransactionNews | None:
        """Return all that the books have of a transaction."""
        return books.news_of(self._bank, transaction_id)

    def _returned(self, call: GatewayCall, intent: Intent) -> ReturnedElsewhere | None:
        """Return what was given back before, if that is why a refund was refused."""
        counted = [r for r in self._bank.refunds_of(intent) if r.status in {"succeeded", "pending"}]
        if not counted or self._bank.left_of(intent) >= call.amount_minor:
            return None
        foreign = [r for r in counted if "operation_id" not in r.metadata]
        return ReturnedElsewhere(sum(refund.amount for refund in counted), (foreign or counted)[-1].id)


def _asks(call: GatewayCall) -> tuple[object, ...]:
    """Return the fields that a request of this kind sends. Two calls of one key must agree in them."""
    match call.kind:
        case OperationKind.VOID:
            return (call.kind, call.transaction_id)
        case OperationKind.CAPTURE:
            return (call.kind, call.transaction_id, call.amount_minor)
        case _:
            metadata = (call.operation_id, call.order_id, call.attempt)
            frozen = (call.request_format, call.frozen)
            return (call.kind, *metadata, call.amount_minor, call.currency, call.token, call.transaction_id, *frozen)


def _refusal(call: GatewayCall, method: Method | None) -> Declined | None:
    """Return why the call is invalid, or None. No key remembers such a refusal."""
    try:
        amount = amount_to_send(call)
    except Refusal as refusal:
        return Declined(refusal.code, refusal.gateway_code)
    if call.kind is OperationKind.AUTHORIZE:
        if amount > amount_max(call.currency):
            return Declined(FailureCode.AMOUNT_REFUSED, No.TOO_LARGE.value)
        return Declined(FailureCode.METHOD_INVALID, "resource_missing") if method is None else None
    code = FailureCode.CAPTURE_REFUSED if call.kind is OperationKind.CAPTURE else FailureCode.GATEWAY_REFUSED
    if call.kind is not OperationKind.VOID and amount < 1:
        return Declined(code, "parameter_invalid_integer")
    return None
