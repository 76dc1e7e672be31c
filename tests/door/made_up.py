"""What others may make up: orders and clicks as upstream says them, answers as a gateway gives them.

Most examples are near what is accepted, with one value or another at a bound, beyond it, or absurd.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from hypothesis import strategies as st

from domain.failure_codes import FailureCode
from domain.operation import GatewayCall, Operation, OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    CustomerMustAct,
    Declined,
    Lapsed,
    NotExecuted,
    NotFound,
    Outcome,
    Pending,
    Unknown,
)
from schemas.events import Event
from schemas.fields import INT_MAX, LINES_MAX, LONG_MAX
from tests.schemas import builders

AMOUNT_MAX: Final = 100_000_000
STOCK_MAX: Final = 10**12
"""What `payments stock set` takes at the most."""
_IDS: Final = UUID("6a1d4a55-9a0f-5d0c-8b7e-3c1c2d6f9e01")
LONGEST: Final = "\U0010ffff"
"""The character that takes the most bytes."""

ODD: Final = ("\0", "\n", "\x7f", "\u2028", "\u202e", "\ufffe", "'; DROP TABLE orders; --", "{}", "🧉", "é", "e\u0301")


def texts(length_max: int) -> st.SearchStrategy[str]:
    """Any text of about so many characters, for the longest, one too long, and odd ones."""
    edges = ["a", "a" * length_max, LONGEST * length_max, "a" * (length_max + 1), "", *ODD]
    return st.sampled_from(edges) | st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)


def mostly(usual: Sequence[Any], odd: st.SearchStrategy[Any], of_forty: int = 39) -> st.SearchStrategy[Any]:
    """One of the usual values, so often of forty, else an odd one: an order has many fields, one odd one is enough."""
    return st.integers(1, 40).flatmap(lambda n: st.sampled_from(usual) if n <= of_forty else odd)


AMOUNTS: Final = st.sampled_from([0, 1, 99, AMOUNT_MAX, AMOUNT_MAX + 1, INT_MAX, LONG_MAX, -1])
QUANTITIES: Final = mostly(
    [1, 2, 1_000, INT_MAX // LINES_MAX, 2_000_000_000, INT_MAX], st.sampled_from([INT_MAX + 1, 0, LONG_MAX])
)
PRICES: Final = mostly([0, 1, 500], st.sampled_from([AMOUNT_MAX, LONG_MAX, -1]))
METHODS: Final = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["CARD", "WALLET", "BANK", "OTHER"]),
        "token": mostly(["pm_card_visa", "pm_wallet_captured", "t" * 255], texts(255)),
    }
)
WHEN: Final = mostly(
    [timedelta(0), timedelta(seconds=-5), timedelta(seconds=299)],
    st.sampled_from([timedelta(seconds=s) for s in (301, -90_000, -13 * 86_400, -15 * 86_400, -40 * 86_400, 8_640_000)])
    | st.sampled_from([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]),
)


def line(sku: str, quantity: int, price: int) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "unit_price_minor": price}


def _many(count: int, quantity: int, *, same: bool, longest: bool) -> list[dict[str, Any]]:
    """Many lines, of one SKU or each of its own, as long as a SKU may be."""
    fill = LONGEST if longest else "s"
    return [line((fill * 64) if same else f"{n:04}{fill * 60}", quantity, 0) for n in range(count)]


FEW: Final = st.lists(
    st.builds(line, mostly(["tea", "mug", LONGEST * 64], texts(64)), QUANTITIES, PRICES), min_size=1, max_size=4
)
MANY: Final = st.builds(
    _many, mostly([2, 3, LINES_MAX], st.just(LINES_MAX + 1)), QUANTITIES, same=st.booleans(), longest=st.booleans()
)


def moment(at: datetime, when: timedelta | datetime) -> datetime:
    return when if isinstance(when, datetime) else at + when


def _priced(fields: dict[str, Any], target: int, off: int) -> dict[str, Any]:
    """Have the total come to the target, by a discount or a fee, and then say another one if it is to be off."""
    sold = sum(each["quantity"] * each["unit_price_minor"] for each in fields["lines"])
    total = sold - fields["discount_minor"] + sum(fields[f"{n}_minor"] for n in ("delivery_fee", "service_fee", "tax"))
    if total > target and fields["discount_minor"] + total - target <= LONG_MAX:
        fields["discount_minor"] += total - target
        total = target
    elif total < target and fields["tax_minor"] + target - total <= LONG_MAX:
        fields["tax_minor"] += target - total
        total = target
    fields["total_minor"] = min(max(total + off, -LONG_MAX), LONG_MAX)
    return fields


def orders(at: datetime, order_id: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw an OrderConfirmed as its schema can say it, right or wrong."""
    fees = mostly([0, 390], AMOUNTS)
    fields = st.fixed_dictionaries(
        {
            "event_id": st.just(str(uuid5(_IDS, f"order {order_id}"))),
            "occurred_at": WHEN.map(partial(moment, at)),
            "order_id": mostly([order_id], st.sampled_from(["o" * 65, "", "a b", "ö"])),
            "correlation_id": mostly(["c", LONGEST * 255], texts(255)),
            "causation_id": st.sampled_from([None, str(uuid5(_IDS, "cause"))]),
            "customer_id": mostly(["c-1", LONGEST * 128], texts(128)),
            "currency": mostly(["EUR", "JPY", "UGX", "MGA", "IRR"], texts(64)),
            "lines": FEW | MANY,
            "discount_minor": fees,
            "delivery_fee_minor": fees,
            "service_fee_minor": fees,
            "tax_minor": fees,
            "payment_method": mostly([{"kind": "CARD", "token": "pm_card_visa"}, None], METHODS, 30),
        }
    )
    targets = mostly([0, 1, 3_080, AMOUNT_MAX], AMOUNTS)
    return st.builds(_priced, fields, targets, mostly([0], st.sampled_from([-1, 1])))


def clicks(at: datetime, order_id: str, name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a PaymentRetryRequested as its schema can say it."""
    return st.fixed_dictionaries(
        {
            "event_id": st.just(str(uuid5(_IDS, f"click {name} of {order_id}"))),
            "occurred_at": WHEN.map(partial(moment, at)),
            "order_id": st.just(order_id),
            "correlation_id": mostly(["c"], texts(255)),
            "causation_id": st.none(),
            "after_attempt": mostly([1], st.sampled_from([2, 5, 100, INT_MAX, 0, -1]), 30),
            "payment_method": METHODS,
        }
    )


class Said(NamedTuple):
    """An answer that fits any operation: what is not about this one is drawn, the rest follows from it.

    of: the outcome. amount: added to the one that was asked for, or a value in place of it where it is no int.
    """

    of: str
    reference: Any = "re_1"
    transaction_id: Any = "pi_1"
    amount: Any = 0
    note: Any = "note"
    at: Any = None
    seconds: Any = None
    flag: Any = False

    def about(self, asked: Operation | GatewayCall) -> Outcome:
        """Say it of what was asked."""
        amount = asked.amount_minor + self.amount if type(self.amount) is int else self.amount
        outcomes: Mapping[str, Outcome] = {
            "approved": Approved(self.transaction_id, self.reference, amount, self.flag, self.at, self.flag),
            "told nothing": Approved(self.transaction_id),
            "declined": Declined(FailureCode.CARD_DECLINED, self.note, self.transaction_id),
            "refused": Declined(FailureCode.GATEWAY_REFUSED, self.note),
            "captured": AlreadyCaptured(self.transaction_id, amount),
            "lapsed": Lapsed(),
            "pending": Pending(self.reference, self.transaction_id),
            "asks the customer": CustomerMustAct(self.transaction_id, self.note),
            "unknown": Unknown(self.note, replayed=bool(self.flag)),
            "not executed": NotExecuted(self.note, self.seconds),
            "not found": NotFound(),
        }
        # Only of a capture or a void does a gateway say that the money is captured already.
        other = self.of == "captured" and asked.kind not in {OperationKind.CAPTURE, OperationKind.VOID}
        return outcomes["approved" if other else self.of]


GOOD: Final = Said("approved")
"""What ends every call well, in the end."""
_REFERENCES: Final = mostly(
    ["pi_1", "a" * 255],
    st.sampled_from([None, "", "a" * 256, "a\0b", "\ud800", "two\nlines", 7, [], LONGEST * 255]),
    30,
)
ANSWERS: Final = st.builds(
    Said,
    of=st.sampled_from(
        ["approved"] * 4
        + ["told nothing", "declined", "refused", "captured", "lapsed", "pending", "unknown", "not executed"]
        + ["not found", "asks the customer"]
    ),
    reference=_REFERENCES,
    transaction_id=_REFERENCES,
    amount=mostly([0], st.sampled_from([1, -1, LONG_MAX, -LONG_MAX, 2**70, None, 10.0, "10", True]), 32),
    note=st.sampled_from(
        [
            "insufficient_funds",
            "https://bank.example/confirm",
            "",
            "a\0b",
            "\udcff",
            "x" * 100_000,
            None,
            7,
            ["a"],
            "\u2028",
        ]
    ),
    at=st.sampled_from(
        [
            None,
            datetime(2027, 1, 1, tzinfo=UTC),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, tzinfo=UTC),
            datetime(2027, 1, 1),  # noqa: DTZ001 - a gateway's word without a zone
        ]
    ),
    seconds=st.sampled_from([None, 0.0, 3.0, -1.0, 1e300, float("inf"), float("nan"), 10**400]),
    flag=st.sampled_from([True, False, None, "yes"]),
)
STOCKS: Final = st.sampled_from([None, 0, 1, INT_MAX - 1, INT_MAX, STOCK_MAX])
"""Units of each SKU that there are; None: nobody has heard of it."""


def forged(at: datetime, order_id: str) -> st.SearchStrategy[Event]:
    """Draw an event on a topic of ours that nobody of us wrote: each field is possible, what it says need not be."""
    build = (
        builders.payment_authorized,
        builders.items_reserved,
        builders.reservation_failed,
        builders.payment_failed,
        builders.customer_notification_requested,
    )
    return st.builds(
        lambda make, attempt, version, when: make(
            order_id=order_id, attempt=attempt, order_version=version, occurred_at=moment(at, when)
        ),
        st.sampled_from(build),
        st.sampled_from([1, 2, INT_MAX]),
        st.sampled_from([1, 2, 3, LONG_MAX]),
        WHEN,
    )
