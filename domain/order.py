"""An order: its status, its attempts with their money, its holds, its unfinished operations.

Everything is immutable. A change is a new value; the store writes what differs from the value that it loaded. Amounts
are in ISO 4217 minor units of the order's one currency.
"""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from domain.failure_codes import FailureCode
from domain.ids import Namespace, OperationId, OrderId, ReservationId
from domain.lines import OrderLine
from domain.operation import Operation, OperationKind
from domain.outcome import Missing
from domain.requests import Request, noted_cancel, with_request
from domain.values import Value, replace

__all__ = ["FINAL", "Attempt", "Hold", "HoldState", "Order", "OrderLine", "Status", "reservation_id"]

RESERVATIONS = Namespace(UUID("0f4c9f0e-6f6c-5d3b-8a55-3f7de2a9b6d4"))


class Status(StrEnum):
    """Where an order stands. domain.edges has the legal moves."""

    CONFIRMED = "confirmed"
    ACTION_REQUIRED = "action_required"
    PAYMENT_AUTHORIZED = "payment_authorized"
    ITEMS_RESERVED = "items_reserved"
    RESERVATION_FAILED = "reservation_failed"
    PAID_AND_CONFIRMED = "paid_and_confirmed"
    PAYMENT_FAILED = "payment_failed"
    CANCELLED = "cancelled"
    MANUAL_REVIEW = "manual_review"


FINAL = frozenset({Status.PAID_AND_CONFIRMED, Status.PAYMENT_FAILED, Status.CANCELLED, Status.MANUAL_REVIEW})


class HoldState(StrEnum):
    """What became of the goods of one attempt."""

    HELD = "held"
    SOLD = "sold"
    RELEASED = "released"
    RESTOCKED = "restocked"
    EXPIRED = "expired"


class Attempt(Value, frozen=True):
    """One try with one payment method, and the money that it moved.

    token: the gateway's opaque name of the method; erased when no call needs it any more, see domain.erasing.
    failure_code: set as soon as the attempt must fail, before its money is back. voided: nothing is held any more
    (voided or lapsed). action_expires_at: until when the customer may confirm it with their bank; None if they were
    never asked.
    """

    number: int
    method_kind: str
    token: str | None = None
    transaction_id: str | None = None
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    voided: bool = False
    authorization_expires_at: datetime | None = None
    captured_at: datetime | None = None
    livemode: bool = False
    refund_id: str | None = None
    failure_code: FailureCode | None = None
    action_expires_at: datetime | None = None

    def __repr__(self) -> str:
        """Show all fields except the token, which no log may contain."""
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "token")
        return f"Attempt({', '.join(f'{name}={value!r}' for name, value in shown)})"

    @property
    def captured(self) -> bool:
        """Whether money was captured, whether or not it was refunded."""
        return self.captured_minor > 0

    @property
    def held_minor(self) -> int:
        """What the issuer holds for us and we can still capture."""
        return 0 if self.voided or self.captured else self.authorized_minor

    @property
    def kept_minor(self) -> int:
        """What we captured and have not refunded."""
        return self.captured_minor - self.refunded_minor


class Hold(Value, frozen=True):
    """The goods of one attempt. A pinned hold cannot expire: a capture is under way for it.

    extensions: how often an inventory elsewhere was asked to hold them for longer. There a pinned hold lapses all the
    same when expires_at is over: the sweep has it extended before.
    """

    reservation_id: ReservationId
    attempt: int
    state: HoldState
    expires_at: datetime
    pinned: bool = False
    extensions: int = 0

    @property
    def needed(self) -> bool:
        """Whether goods are held that a capture is about to pay for, or has paid for."""
        return self.state is HoldState.HELD and self.pinned

    def is_live(self, at: datetime) -> bool:
        """Whether the goods are surely ours, now and for as long as the hold is pinned."""
        return self.state is HoldState.HELD and (self.pinned or self.expires_at > at)


class Order(Value, frozen=True):
    """The aggregate: loaded, locked, decided on and written as one.

    attempt: the number of the current attempt. operations: the unfinished ones, and those that this decision settles.
    requests: all that were ever made, in order of arrival. paid_at: when PaidAndConfirmed was said; None if it was not,
    or before requests were kept. preparation_started_at: when order preparation told us; then nothing is cancelled any
    more. disputed: the gateway refuses to refund the current attempt, because of a dispute. confirmed_at: when its
    OrderConfirmed came onto its topic; None: not known, as before 0016.
    reviewed: the status before manual review. content_hash: of its OrderConfirmed (domain.content). resends: how often
    its events were sent again because it stood still.
    """

    order_id: OrderId
    customer_id: str
    correlation_id: str
    currency: str
    total_minor: int
    lines: tuple[OrderLine, ...]
    content_hash: bytes
    status: Status
    version: int
    attempt: int
    created_at: datetime
    attempts: tuple[Attempt, ...] = ()
    holds: tuple[Hold, ...] = ()
    operations: tuple[Operation, ...] = ()
    requests: tuple[Request, ...] = ()
    retryable: bool = False
    retry_until: datetime | None = None
    reviewed: Status | None = None
    review_reason: str | None = None
    missing: tuple[Missing, ...] = ()
    delay_notified: bool = False
    resends: int = 0
    paid_at: datetime | None = None
    preparation_started_at: datetime | None = None
    disputed: bool = False
    confirmed_at: datetime | None = None

    @property
    def current(self) -> Attempt:
        """Return the current attempt."""
        return self.attempts[self.attempt - 1]

    @property
    def effective_status(self) -> Status:
        """Return the status that rows of outcomes look at: under review, the one before it."""
        return self.reviewed if self.status is Status.MANUAL_REVIEW and self.reviewed is not None else self.status

    @property
    def request_count(self) -> int:
        """Return how many requests there are: a column, so that orders without any are not searched for them."""
        return len(self.requests)

    @property
    def cancel(self) -> Request | None:
        """Return the cancel that is noted and not carried out yet."""
        return noted_cancel(self.requests) if self.requests else None

    def operation(self, operation_id: OperationId) -> Operation | None:
        """Return this operation if it is unfinished."""
        for operation in self.operations:
            if operation.operation_id.int == operation_id.int and operation.unfinished:
                return operation
        return None

    def busy(self) -> bool:
        """Whether an operation is under way before whose outcome no other may start."""
        return bool(self.operations) and any(o.blocks for o in self.operations)

    def under_way(self, kind: OperationKind, attempt: int) -> Operation | None:
        """Return the unfinished operation of this kind, of this attempt."""
        for operation in self.operations:
            if operation.kind is kind and operation.attempt == attempt and operation.unfinished:
                return operation
        return None

    def returning_minor(self, attempt: int, but: Operation | None = None) -> int:
        """Return what unfinished refunds of this attempt are about to give back; `but` is left out."""
        return sum(
            o.amount_minor
            for o in self.operations
            if o.kind is OperationKind.REFUND
            and o.attempt == attempt
            and o.unfinished
            and (but is None or o.operation_id.int != but.operation_id.int)
        )

    def left_minor(self, attempt: Attempt, but: Operation | None = None) -> int:
        """Return what we keep of this attempt and no refund under way is about to give back; `but` is left out."""
        return attempt.kept_minor - (self.returning_minor(attempt.number, but) if self.operations else 0)

    def hold_of(self, attempt: int) -> Hold | None:
        """Return the hold of this attempt."""
        for hold in self.holds:
            if hold.attempt == attempt:
                return hold
        return None

    def with_attempt(self, attempt: Attempt) -> "Order":
        """Return the order with this attempt in place of the one with its number."""
        n = attempt.number - 1
        return replace(self, attempts=(*self.attempts[:n], attempt, *self.attempts[n + 1 :]))

    def with_hold(self, hold: Hold) -> "Order":
        """Return the order with this hold, in place of the old one of its attempt if there is one."""
        known = self.holds
        # Most orders have one attempt.
        if not known or (len(known) == 1 and known[0].attempt == hold.attempt):
            return replace(self, holds=(hold,))
        return replace(self, holds=(*[h for h in known if h.attempt != hold.attempt], hold))

    def with_request(self, request: Request) -> "Order":
        """Return the order with this request, in place of the old one of its kind and id if there is one."""
        return replace(self, requests=with_request(self.requests, request))

    def with_operation(self, operation: Operation) -> "Order":
        """Return the order with this operation, in place of the old one with its id if there is one."""
        known = self.operations
        # Compare the int of the ids: comparing UUIDs is slow. Most orders have one operation.
        if not known or (len(known) == 1 and known[0].operation_id.int == operation.operation_id.int):
            return replace(self, operations=(operation,))
        others = [o for o in known if o.operation_id.int != operation.operation_id.int]
        return replace(self, operations=(*others, operation))


@lru_cache(maxsize=4_096)  # a batch asks for each twice: for the call, and for the hold
def reservation_id(order_id: OrderId, attempt: int) -> ReservationId:
    """Derive the id of the hold of this attempt: reserving twice gives the same hold."""
    return ReservationId(RESERVATIONS.derive(f"{order_id}:{attempt}"))
