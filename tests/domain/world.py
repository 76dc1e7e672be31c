"""What truly happened: the gateway's books by idempotency key, and the shelf, both blind to what we believe."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from domain.failure_codes import FailureCode
from domain.operation import GatewayCall, OperationKind
from domain.order import HoldState, OrderLine
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    GatewayOutcome,
    Lapsed,
    Missing,
    NotFound,
    Outcome,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
    Undecided,
    Unknown,
)
from domain.ports.inventory import InventoryCall
from domain.values import replace
from tests.domain.builders import AT, TOTAL

K = OperationKind
REMEMBERS: Final = timedelta(hours=24)
"""After this the gateway executes a known key anew."""


@dataclass
class Account:
    """One attempt's money. doom: what its capture or refund will come to.

    waits: what an authorization that is neither approved nor over waits for: its customer (asks, or once they failed to
    confirm it: not_confirmed), or its bank (processing). asked: the customer was asked.
    """

    doom: str
    refund_doom: str
    waits: str = ""
    asked: bool = False
    authorized: bool = False
    captured: bool = False
    voided: bool = False
    lapsed: bool = False
    refund: str = ""

    @property
    def held(self) -> bool:
        return self.authorized and not (self.captured or self.voided or self.lapsed)

    @property
    def kept(self) -> bool:
        return self.captured and self.refund != "succeeded"


@dataclass
class Gateway:
    """Executes each key once for as long as it remembers it, whatever arrives how often and how late."""

    rng: Random
    at: datetime
    accounts: dict[int, Account] = field(default_factory=dict)
    effects: Counter[tuple[int, OperationKind]] = field(default_factory=Counter)
    _stored: dict[str, tuple[datetime, GatewayOutcome]] = field(default_factory=dict)
    _calls: dict[str, GatewayCall] = field(default_factory=dict)

    def execute(self, call: GatewayCall, *, stores_500: bool = False) -> GatewayOutcome:
        key = call.idempotency_key
        # Keys are compared with their parameters, as Stripe does. A refund's id, the time and the
        # amount of a void are notes of ours.
        assert _parameters(self._calls.setdefault(key, call)) == _parameters(call)
        if key in self._stored and self.at - self._stored[key][0] < REMEMBERS:
            return self._now(call, self._stored[key][1])
        outcome = self._do(call)
        if stores_500 and isinstance(outcome, Approved):
            self._stored[key] = self.at, Unknown("HTTP 500", replayed=True)
            return Unknown("HTTP 500")
        self._stored[key] = self.at, outcome
        return self._now(call, outcome)

    def _now(self, call: GatewayCall, outcome: GatewayOutcome) -> GatewayOutcome:
        """Return what an answer means now: a void that is refused while the bank processes the payment is pending."""
        processing = call.kind is K.VOID and self.accounts[call.attempt].waits == "processing"
        return Pending(None, call.transaction_id, "processing") if processing else outcome

    def look_up(self, call: GatewayCall) -> GatewayOutcome:
        account, done = self.accounts.get(call.attempt), call.idempotency_key in self._calls
        if account is None or (call.kind is K.AUTHORIZE and not done):
            return NotFound()
        match call.kind:
            case K.AUTHORIZE:
                return self._authorized(account, call)
            case K.REFUND:
                return self._refunded(account, call) if account.refund else NotFound()
            case K.CAPTURE if account.captured and account.refund == "succeeded":
                return ReturnedElsewhere(TOTAL, f"re_{call.attempt}", call.transaction_id)
            case K.CAPTURE if account.captured:
                return Approved(call.transaction_id, None, call.amount_minor, captured=True)
            case K.VOID if account.captured:
                return AlreadyCaptured(f"pi_{call.attempt}", TOTAL)
            case K.VOID if account.voided or account.lapsed:
                return Approved(call.transaction_id)
            case K.VOID if account.waits == "processing":
                return Pending(None, call.transaction_id, "processing")
            case K.CAPTURE if account.voided or account.lapsed:
                return Lapsed()
            case _:
                return NotFound()

    def act_for_customer(self, attempt: int) -> None:
        """Let the customer confirm a payment that asks them, or fail to; their bank may take its time, or say no."""
        account = self.accounts.get(attempt)
        if account is not None and account.waits == "asks":
            account.waits = self.rng.choices(("", "processing", "not_confirmed"), (60, 20, 20))[0]
            if not account.waits:
                self._decide(attempt, account)

    def resolve_pending(self) -> None:
        for number, account in self.accounts.items():
            if account.waits == "processing":
                account.waits = ""
                self._decide(number, account)
            if account.refund == "pending":
                account.refund = "failed" if self.rng.random() < 0.2 else "succeeded"

    def _do(self, call: GatewayCall) -> GatewayOutcome:
        if call.kind is K.AUTHORIZE:
            return self._authorize(call)
        account = self.accounts[call.attempt]
        match call.kind:
            case K.CAPTURE:
                return self._capture(account, call)
            case K.VOID if account.captured:
                return AlreadyCaptured(f"pi_{call.attempt}", TOTAL)
            case K.VOID if account.lapsed:
                return Lapsed()
            case K.VOID if account.waits == "processing":
                return Declined(FailureCode.GATEWAY_REFUSED, "payment_intent_unexpected_state")
            case K.VOID:
                account.voided, account.waits = True, ""
                self.effects[call.attempt, K.VOID] += 1
                return Approved(call.transaction_id)
            case _:
                assert account.captured
                self.effects[call.attempt, K.REFUND] += 1
                account.refund = account.refund_doom
                return self._refunded(account, call)

    def _authorize(self, call: GatewayCall) -> GatewayOutcome:
        doom = self.rng.choices(("", "refused", "refused_but_taken", "lapses"), (75, 10, 5, 10))[0]
        refund = self.rng.choices(("succeeded", "pending", "failed"), (65, 30, 5))[0]
        account = self.accounts.setdefault(call.attempt, Account(doom, refund))
        account.waits = self.rng.choices(("", "asks", "processing"), (70, 20, 10))[0]
        account.asked = account.waits == "asks"
        if not account.waits:
            self._decide(call.attempt, account)
        return self._authorized(account, call)

    def _decide(self, attempt: int, account: Account) -> None:
        account.authorized = self.rng.random() < 0.75
        account.captured = account.authorized and self.rng.random() < 0.25
        self.effects[attempt, K.AUTHORIZE] += account.authorized
        self.effects[attempt, K.CAPTURE] += account.captured

    @staticmethod
    def _authorized(account: Account, call: GatewayCall) -> GatewayOutcome:
        name = f"pi_{call.attempt}"
        if account.voided and not account.authorized:
            return Lapsed()
        match account.waits:
            case "asks":
                return CustomerMustAct(name, f"https://bank.example/{name}")
            case "not_confirmed":
                return Undecided(name, "requires_payment_method", asks_customer=True)
            case "processing":
                return Pending(None, name, "processing")
        if not account.authorized:
            return Declined(FailureCode.CARD_DECLINED, None, name if account.asked else None)
        return Approved(f"pi_{call.attempt}", None, call.amount_minor, captured=account.captured)

    def _capture(self, account: Account, call: GatewayCall) -> GatewayOutcome:
        if account.voided or account.doom == "lapses":
            account.lapsed = not account.voided
            return Lapsed()
        if account.doom == "refused":
            return Declined(FailureCode.CAPTURE_REFUSED)
        account.captured = True
        self.effects[call.attempt, K.CAPTURE] += 1
        if account.doom == "refused_but_taken":
            return Declined(FailureCode.CAPTURE_REFUSED)
        return Approved(call.transaction_id, None, call.amount_minor, captured=True)

    @staticmethod
    def _refunded(account: Account, call: GatewayCall) -> GatewayOutcome:
        name = f"re_{call.attempt}"
        match account.refund:
            case "succeeded":
                return Approved(call.transaction_id, name, call.amount_minor)
            case "pending":
                return Pending(name, call.transaction_id)
            case _:
                return Declined(FailureCode.GATEWAY_REFUSED)


def _parameters(call: GatewayCall) -> GatewayCall:
    amount = 0 if call.kind is K.VOID else call.amount_minor
    return replace(call, reference=None, opened_at=AT, amount_minor=amount)


@dataclass
class Shelf:
    """The stock, and whose it is; moved by calls, never by what the order believes."""

    available: dict[str, int]
    holds: dict[int, HoldState] = field(default_factory=dict)
    rivals: int = 0

    def rival(self, lines: tuple[OrderLine, ...]) -> None:
        """Sell the same goods to somebody else, if they are there."""
        if all(self.available[line.sku] >= line.quantity for line in lines):
            self._move(lines, -1)
            self.rivals += 1

    def perform(self, attempt: int, call: InventoryCall) -> Outcome:
        match call.kind:
            case K.RESERVE:
                assert attempt not in self.holds
                short = [line for line in call.lines if self.available[line.sku] < line.quantity]
                if short:
                    return Short(tuple(Missing(i.sku, i.quantity, self.available[i.sku]) for i in short))
                self._move(call.lines, -1)
                self.holds[attempt] = HoldState.HELD
                return Reserved(call.expires_at)
            case K.CONFIRM:
                assert self.holds[attempt] is HoldState.HELD
                self.holds[attempt] = HoldState.SOLD
                return Approved()
            case _:
                assert self.holds[attempt] is HoldState.HELD
                self.holds[attempt] = HoldState.RELEASED
                self._move(call.lines, 1)
                return Approved()

    def _move(self, lines: tuple[OrderLine, ...], sign: int) -> None:
        for line in lines:
            self.available[line.sku] += sign * line.quantity
