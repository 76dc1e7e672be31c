"""Why a message is refused: the closed list of reasons of dead letters."""

from enum import StrEnum


class Reason(StrEnum):
    """The values of the dead letter header `payments_reason`. The codec uses those before `conflict`."""

    UNDECODABLE = "undecodable"
    NOT_CANONICAL = "not_canonical"
    TOO_LARGE = "too_large"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_SCHEMA = "wrong_schema"
    KEY_MISMATCH = "key_mismatch"
    INVALID_FIELD = "invalid_field"
    TOTAL_MISMATCH = "total_mismatch"
    UNKNOWN_CURRENCY = "unknown_currency"
    AMOUNT_LIMIT = "amount_limit"
    CARD_NUMBER = "card_number"
    CONFLICT = "conflict"
    UNKNOWN_ORDER = "unknown_order"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    ILLEGAL_TRANSITION = "illegal_transition"
    STOCK_SHORT = "stock_short"
    QUARANTINED = "quarantined"
    UNREADABLE = "unreadable"


class Rejected(Exception):  # noqa: N818 - a verdict on one message, not a fault of ours
    """This message can never be processed; reading it again does not help.

    detail: what is wrong and what to do about it. It never quotes a token or another text of the message.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
