"""Checks answers of the gateway and the inventory, and makes them fit our events and tables.

Answers are input from outside, as messages are. A note that we cannot store is left out. An answer without an id that
we need, with an amount that makes no sense, or of a type that such a call cannot have is Unknown: the operation is only
looked up from then on, never sent again, and goes to an operator in the end.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from domain.failure_codes import FailureCode
from domain.operation import Operation, OperationKind, OperationState
from domain.outcome import (
    AlreadyCaptured,
    AlreadySold,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    OtherAmount,
    Outcome,
    Pending,
    Reserved,
    ReturnedElsewhere,
    Short,
    TransactionMissing,
    Undecided,
    Unknown,
)
from domain.values import replace
from schemas.fields import LONG_MAX, REFERENCE_LENGTH_MAX, URL_LENGTH_MAX
from schemas.texts import one_line

DETAIL_LENGTH_MAX: Final = 500
RETRY_AFTER_MAX_S: Final = 3_600
"""We never wait longer before the next try, whatever the gateway says: the key could expire meanwhile."""
NO_REFERENCE: Final = Unknown("approved, but without a usable id of the transaction: look it up at the gateway", True)
OTHER_AMOUNT: Final = Unknown("the answer has another amount than we asked for: look it up at the gateway", True)
REFUSED_AGAIN: Final = Unknown("refused when it was sent again; the first call may have been executed", True)
_OF_THE_REQUEST: Final = frozenset(
    {
        FailureCode.METHOD_INVALID,
        FailureCode.AMOUNT_REFUSED,
        FailureCode.AMOUNT_TOO_SMALL,
        FailureCode.CURRENCY_NOT_OFFERED,
        FailureCode.GATEWAY_REFUSED,
    }
)
"""Refusals of a request, before any bank was asked. They say nothing of an earlier copy that may have been executed."""
TOO_SHORT: Final = Unknown("the goods are not held for as long as we asked for: look it up at the inventory", True)
NO_ANSWER_OF_ITS_KIND: Final = Unknown("an answer that such a call cannot have: look it up at the gateway", True)

_K = OperationKind
_WAITING: Final[frozenset[type[Outcome]]] = frozenset({Pending, Unknown, NotExecuted, NotFound})
ANSWERS: Final[dict[OperationKind, frozenset[type[Outcome]]]] = {
    _K.AUTHORIZE: _WAITING
    | {Approved, OtherAmount, Declined, Lapsed, Undecided, CustomerMustAct, ReturnedElsewhere, TransactionMissing},
    _K.CAPTURE: _WAITING
    | {Approved, OtherAmount, AlreadyCaptured, Declined, Lapsed, ReturnedElsewhere, TransactionMissing},
    _K.VOID: _WAITING | {Approved, AlreadyCaptured, Declined, Lapsed, TransactionMissing},
    _K.REFUND: _WAITING | {Approved, ReturnedElsewhere, Declined, Lapsed, TransactionMissing},
    _K.RESERVE: _WAITING | {Reserved, Short, Lapsed},
    _K.CONFIRM: _WAITING | {Approved, Short, Declined, Lapsed},
    _K.RELEASE: _WAITING | {Approved, AlreadySold},
    _K.EXTEND: _WAITING | {Reserved, Lapsed},
    _K.RESTOCK: _WAITING | {Approved, Declined},
}
"""The outcomes that a call of each kind can have. No row of the tables fits any other: the order would stand still."""

_URL: Final = re.compile(r"https?://[!-~]+")
_SECRETS: Final = ("client_secret", "_secret_")
"""In the name of a parameter, and in the gateway's secrets themselves."""
_BARE: Final = Approved()
"""What an inventory answers: done."""
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_WITH_AMOUNT: Final = frozenset({OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND})


def admit(operation: Operation, outcome: Outcome) -> Outcome:
    """Return the outcome as we can store it; the same object if nothing must change."""
    kind = type(outcome)
    if kind not in ANSWERS[operation.kind]:
        return NO_ANSWER_OF_ITS_KIND
    make = _ADMIT.get(kind)
    return outcome if make is None else make(operation, outcome)


def _admit_approval(operation: Operation, outcome: Approved) -> Outcome:
    if outcome == _BARE and operation.kind is not OperationKind.AUTHORIZE:
        return outcome
    amount = outcome.amount_minor
    if not _is_amount(amount):
        return OTHER_AMOUNT
    if operation.kind in _WITH_AMOUNT and amount not in {0, operation.amount_minor}:
        if operation.kind is not OperationKind.REFUND:
            known = outcome.transaction_id or operation.transaction_id or ""
            return _admit_other_amount(operation, OtherAmount(known, amount, outcome.captured))
        if amount > operation.amount_minor:
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


def _admit_other_amount(_: Operation, outcome: OtherAmount) -> Outcome:
    transaction_id, amount = _reference(outcome.transaction_id), outcome.amount_minor
    if transaction_id is None:
        return NO_REFERENCE
    if amount is not None and (not _is_amount(amount) or amount == 0):
        return OTHER_AMOUNT
    return OtherAmount(transaction_id, amount, outcome.captured is True)


def _admit_captured(operation: Operation, outcome: AlreadyCaptured) -> Outcome:
    if not _is_amount(outcome.amount_minor) or outcome.amount_minor == 0:
        return OTHER_AMOUNT
    if operation.kind is OperationKind.CAPTURE and outcome.amount_minor != operation.amount_minor:
        return _admit_other_amount(
            operation, OtherAmount(outcome.transaction_id or operation.transaction_id or "", outcome.amount_minor)
        )
    return replace(outcome, transaction_id=_reference(outcome.transaction_id) or operation.transaction_id or "")


def _admit_returned(operation: Operation, outcome: ReturnedElsewhere) -> Outcome:
    reference, total = _reference(outcome.reference), outcome.total_minor
    if not _is_amount(total) or total == 0 or reference is None:
        return OTHER_AMOUNT
    if operation.kind is OperationKind.REFUND:
        return ReturnedElsewhere(total, reference)
    # The call took what it asked for, so no more than that can have come back.
    if total > operation.amount_minor:
        return OTHER_AMOUNT
    transaction_id = _reference(outcome.transaction_id) or operation.transaction_id
    return NO_REFERENCE if transaction_id is None else ReturnedElsewhere(total, reference, transaction_id)


def _admit_decline(operation: Operation, outcome: Declined) -> Outcome:
    unknown = operation.kind is OperationKind.AUTHORIZE and operation.state is OperationState.UNKNOWN
    if unknown and outcome.transaction_id is None and outcome.code in _OF_THE_REQUEST:
        return REFUSED_AGAIN
    return replace(outcome, gateway_code=_note(outcome.gateway_code), transaction_id=_reference(outcome.transaction_id))


def _admit_undecided(_: Operation, outcome: Undecided) -> Outcome:
    transaction_id = _reference(outcome.transaction_id)
    if transaction_id is None:
        return NO_REFERENCE
    return Undecided(transaction_id, _note(outcome.status) or "", outcome.asks_customer is True)


def _admit_action(operation: Operation, outcome: CustomerMustAct) -> Outcome:
    transaction_id = _reference(outcome.transaction_id) or operation.transaction_id
    return NO_REFERENCE if transaction_id is None else CustomerMustAct(transaction_id, _url(outcome.url))


def _is_plain(outcome: Approved) -> bool:
    """Whether all of it can be stored. The transaction id is not checked here."""
    return (
        (outcome.reference is None or _reference(outcome.reference) is not None)
        and type(outcome.captured) is type(outcome.livemode) is bool
        and (outcome.expires_at is None or _moment(outcome.expires_at) is not None)
    )


def _admit_reserved(operation: Operation, outcome: Reserved) -> Outcome:
    expires_at = _moment(outcome.expires_at)
    asked = operation.frozen.until if operation.frozen else None
    return TOO_SHORT if expires_at is None or (asked is not None and expires_at < asked) else outcome


def _admit_shortage(_: Operation, outcome: Short) -> Outcome:
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


def _url(value: object) -> str | None:
    """Return where to send a customer; None if an event cannot carry it, or if whoever reads it could pay with it."""
    if not isinstance(value, str) or len(value) > URL_LENGTH_MAX or _URL.fullmatch(value) is None:
        return None
    return None if any(secret in unquote(value).lower() for secret in _SECRETS) else value


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


_ADMIT: Final[dict[type[Outcome], Callable[[Operation, Any], Outcome]]] = {
    Approved: _admit_approval,
    OtherAmount: _admit_other_amount,
    AlreadyCaptured: _admit_captured,
    ReturnedElsewhere: _admit_returned,
    Declined: _admit_decline,
    Undecided: _admit_undecided,
    CustomerMustAct: _admit_action,
    Lapsed: lambda _, outcome: Lapsed(_reference(outcome.transaction_id)),
    Pending: lambda _, outcome: Pending(
        _reference(outcome.reference), _reference(outcome.transaction_id), _note(outcome.detail)
    ),
    Unknown: lambda _, outcome: Unknown(
        _note(outcome.detail) or "", outcome.replayed, retry_after_s=_pause_s(outcome.retry_after_s)
    ),
    NotExecuted: lambda _, outcome: NotExecuted(_note(outcome.detail) or "", _pause_s(outcome.retry_after_s)),
    Reserved: _admit_reserved,
    Short: _admit_shortage,
}
"""How an outcome of each type is made to fit; any other is stored as it is."""
