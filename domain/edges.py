"""The legal moves between statuses. None: the order does not exist. The audit checks histories against them."""

from domain.order import Status

EDGES: frozenset[tuple[Status | None, Status]] = frozenset(
    {
        (None, Status.CONFIRMED),
        (None, Status.PAYMENT_AUTHORIZED),
        (None, Status.PAYMENT_FAILED),
        (Status.CONFIRMED, Status.PAYMENT_AUTHORIZED),
        (Status.CONFIRMED, Status.PAYMENT_FAILED),
        (Status.CONFIRMED, Status.ACTION_REQUIRED),
        (Status.ACTION_REQUIRED, Status.PAYMENT_AUTHORIZED),
        (Status.ACTION_REQUIRED, Status.PAYMENT_FAILED),
        (Status.PAYMENT_AUTHORIZED, Status.ITEMS_RESERVED),
        (Status.PAYMENT_AUTHORIZED, Status.RESERVATION_FAILED),
        (Status.ITEMS_RESERVED, Status.PAID_AND_CONFIRMED),
        (Status.ITEMS_RESERVED, Status.RESERVATION_FAILED),
        (Status.ITEMS_RESERVED, Status.PAYMENT_FAILED),
        (Status.RESERVATION_FAILED, Status.PAYMENT_FAILED),
        (Status.PAYMENT_FAILED, Status.CONFIRMED),
        (None, Status.CANCELLED),
        *((status, Status.CANCELLED) for status in Status if status not in (Status.CANCELLED, Status.MANUAL_REVIEW)),
        *((status, Status.MANUAL_REVIEW) for status in Status if status is not Status.MANUAL_REVIEW),
        *((Status.MANUAL_REVIEW, status) for status in Status if status is not Status.MANUAL_REVIEW),
    }
)
