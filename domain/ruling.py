"""An operator's ruling on an order under review, as a value, and the word that it is refused."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.approval import Person
from domain.news import TransactionNews
from domain.operation import OperationKind
from domain.values import Value

Fits = Callable[[OperationKind, str], bool]
"""Whether an id of the gateway has the form of an id of what such a call makes."""


class Word(StrEnum):
    """What the operator says about the call."""

    EXECUTED = "executed"
    NOT_EXECUTED = "not-executed"


class Ruling(Value, frozen=True):
    """What an operator found out. reference: the gateway's id of what the call made, or of the transaction.

    For money that went back past the gateway: OUTSIDE, and the operator's own proof behind it. person: who rules, where
    two persons are needed; None: not known. seen: what the gateway had of the order's transactions just before;
    None: it was not asked. asked_at: when, by the database's clock, not later than the question.
    """

    word: Word
    reason: str
    by: str
    reference: str | None = None
    person: Person | None = None
    seen: tuple[TransactionNews, ...] | None = None
    asked_at: datetime | None = None


class No(NamedTuple):
    """The ruling is refused. why: the reason, and what to do."""

    why: str
