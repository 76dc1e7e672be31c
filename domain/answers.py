"""Checks answers of the gateway and the inventory, and makes them fit our events and tables.

Answers are input from outside, as messages are. A note that we cannot store is left out. An answer without an id that
we need, with another amount, or of a type that such a call cannot have is Unknown: the operation is only looked up from
then on, never sent again, and goes to an operator in the end.
"""

from datetime import UTC, datetime
from typing import Final

from domain.operation import Operation, OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    Outcome,
    Pending,
    Reserved,
    Short,
    Unknown,
)
from domain.values import replace
from schemas.fields import LONG_MAX, REFERENCE_LENGTH_MAX
from schemas.texts import one_line

DETAIL_LENGTH_MAX: Final = 500
RETRY_AFTER_MAX_S: Final = 3_600
"""We never wait longer before the next try, whatever the gateway says: the key could expire meanwhile."""
NO_REFERENCE: Final = Unknown("approved, but without a usable id of the transaction: look it up at the gateway", True)
OTHER_AMOUNT: Final = Unknown("the answer has another amount than we asked for: look it up at the gateway", True)
NO_ANSWER_OF_ITS_KIND: Final = Unknown("an answer that such a call cannot have: look it up at the gateway", True)

_K = OperationKind
_WAITING: Final[frozenset[type[Outcome]]] = frozenset({Pending, Unknown, NotExecuted, NotFound})
ANSWERS: Final[dict[OperationKind, frozenset[type[Outcome]]]] = {
    _K.AUTHORIZE: _WAITING | {Approved, Declined, Lapsed},
    _K.CAPTURE: _WAITING | {Approved, AlreadyCaptured, Declined, Lapsed},
    _K.VOID: _WAITING | {Approved, AlreadyCaptured, Declined, Lapsed},
    _K.REFUND: _WAITING | {Approved, Declined, Lapsed},
    _K.RESERVE: _WAITING | {Reserved, Short},
    _K.CONFIRM: _WAITING | {Approved, Short, Declined},
    _K.RELEASE: _WAITING | {Approved},
}
"""The outcomes that a call of each kind can have. No row of the tables fits any other: the order would stand still."""

_BARE: Final = Approved()
"""What an inventory answers: done."""
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_WITH_AMOUNT: Final = frozenset({OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND})


def admit(operation: Operation, outcome: Outcome) -> Outcome:
    """Return the outcome as we can store it; the same object if nothing must change."""
    if type(outcome) not in ANSWERS[operation.kind]:
        return NO_ANSWER_OF_ITS_KIND
    if type(outcome) is Approved:
        return _admit_approval(operation, outcome)
    match outcome:
        case AlreadyCaptured():
            if not _is_amount(outcome.amount_minor) or outcome.amount_minor == 0:
                return OTHER_AMOUNT
            return replace(outcome, transaction_id=_reference(outcome.transaction_id) or operation.transaction_id or "")
        case Declined():
            return replace(
                outcome, gateway_code=_note(outcome.gateway_code), transaction_id=_reference(outcome.transaction_id)
            )
        case Pending():
            return Pending(_reference(outcome.reference), _reference(outcome.transaction_id), _note(outcome.detail))
        case Unknown():
            detail, pause = _note(outcome.detail) or "", _pause_s(outcome.retry_after_s)
            return Unknown(detail, outcome.replayed, retry_after_s=pause)
        case NotExecuted():
            return NotExecuted(_note(outcome.detail) or "", _pause_s(outcome.retry_after_s))
        case Short():
            return _admit_shortage(outcome)
        case _:
            return outcome


def _admit_approval(operation: Operation, outcome: Approved) -> Outcome:
    if outcome == _BARE and operation.kind is not OperationKind.AUTHORIZE:
        return outcome
    amount = outcome.amount_minor
    if not _is_amount(amount) or (operation.kind in _WITH_AMOUNT and amount not in {0, operation.amount_minor}):
        return OTHER_AMOUNT
    transaction_id = _reference(outcome.transaction_id) or operation.transaction_id
    if transaction_id is outcome.transaction_id and _is_plain(outcome):
        return outcome if transaction_id is not None or operation.kind is not OperationKind.AUTHORIZE else NO_REFERENCE
    if operation.kind is OperationKind.AUTHORIZE and transaction_id is None:
        # Without the transaction's id we could neither capture the money nor give it back.
        return NO_REFERENCE
    return Approved(
        transaction_id=transaction_id,
        reference=_reference(outcome.reference),
        amount_minor=amount,
        captured=outcome.captured is True,
        expires_at=_moment(outcome.expires_at),
        livemode=outcome.livemode is True,
    )


def _is_plain(outcome: Approved) -> bool:
    """Whether all of it can be stored. The transaction id is not checked here."""
    return (
        (outcome.reference is None or _reference(outcome.reference) is not None)
        and type(outcome.captured) is type(outcome.livemode) is bool
        and (outcome.expires_at is None or _moment(outcome.expires_at) is not None)
    )


def _admit_shortage(outcome: Short) -> Outcome:
    """Limit `available` to what a field can hold; an inventory may count in other numbers."""
    if all(m.available is None or 0 <= m.available <= LONG_MAX for m in outcome.missing):
        return outcome
    return Short(
        tuple(
            m if m.available is None else replace(m, available=min(max(m.available, 0), LONG_MAX))
            for m in outcome.missing
        )
    )


def _is_amount(value: object) -> bool:
    return type(value) is int and 0 <= value <= LONG_MAX


def _reference(value: object) -> str | None:
    """Return an id of the gateway; None if an event cannot carry it."""
    fits = isinstance(value, str) and 0 < len(value) <= REFERENCE_LENGTH_MAX and value.isprintable()
    return value if isinstance(value, str) and fits else None


def _note(value: object) -> str | None:
    """Return text for an operator, in one line."""
    if value is None:
        return None
    return one_line(value, DETAIL_LENGTH_MAX) if isinstance(value, str) else f"({type(value).__name__})"


def _moment(at: datetime | None) -> datetime | None:
    """Return a time that is valid in every time zone; None for any other, and for one without a zone."""
    return at if at is not None and at.tzinfo is not None and _EARLIEST < at < _LATEST else None


def _pause_s(seconds: float | None) -> float | None:
    return min(seconds, RETRY_AFTER_MAX_S) if seconds is not None and seconds >= 0 else None
