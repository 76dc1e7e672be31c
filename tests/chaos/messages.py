"""What checkout and storefront publish: orders, retries, repetitions, and messages that must become dead letters."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from tests.chaos import avro
from tests.chaos.script import Order, Script, method

ORDER, RETRY = "OrderConfirmed", "PaymentRetryRequested"
Header = tuple[str, str | bytes | None]
DAY_MICROS: Final = 86_400_000_000
CARD_NUMBER: Final = "4242424242424242"
"""Stripe's published test number."""
MANY_BYTES: Final = 1_000_000
"""Of headers: more than a copy for everybody else can carry."""


class What(StrEnum):
    """What a message is to the oracle."""

    ORDER = "order"
    RETRY = "retry"
    REPEAT = "repeat"
    """It says again what another message said: no effect of its own, no dead letter."""
    WRONG = "wrong"
    """It must become a dead letter, with one of its reasons."""
    ABORTED = "aborted"
    """It lies in a Kafka transaction that was aborted: nobody may ever see it."""
    UNSURE = "unsure"
    """It lies in a Kafka transaction of which the broker did not say how it ended: what is on its topic tells."""
    VICTIM = "victim"
    """It was made unreadable on the broker's disk: an operator passes over it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to be sent. reasons: of the dead letter that it must become. partition: None leaves it to the key."""

    what: What
    event_type: str
    order_id: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    event_id: str = ""
    attempt: int = 1
    reasons: frozenset[str] = frozenset()
    partition: int | None = None
    title: str = ""


def confirmed(order: Order, at_micros: int, **changed: Any) -> Message:
    """Say the order as checkout does."""
    fields = {**order.fields, "occurred_at": at_micros, **changed}
    event_id = fields["event_id"]
    return Message(
        What.ORDER,
        ORDER,
        order.order_id,
        fields["order_id"].encode(),
        avro.encode(ORDER, fields),
        described(ORDER, event_id, order.order_id),
        event_id,
    )


def retry(order: Order, after_attempt: int, at_micros: int, event_id: str) -> Message:
    """Say that the customer pays again, with the next method of the script."""
    fields = {
        "event_id": event_id,
        "occurred_at": at_micros,
        "order_id": order.order_id,
        "correlation_id": order.fields["correlation_id"],
        "causation_id": None,
        "after_attempt": after_attempt,
        "payment_method": method(order.kind.tokens[after_attempt]),
    }
    return Message(
        What.RETRY,
        RETRY,
        order.order_id,
        order.order_id.encode(),
        avro.encode(RETRY, fields),
        described(RETRY, event_id, order.order_id),
        event_id,
        after_attempt + 1,
    )


def described(event_type: str, event_id: str, order_id: str) -> tuple[Header, ...]:
    """Return CloudEvents' headers."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", b"/checkout"),
        ("ce_type", event_type.encode()),
        ("ce_subject", order_id.encode()),
        ("content-type", b"application/avro"),
    )


def again(message: Message) -> Message:
    """Return the same message as a repetition."""
    return replace(message, what=What.REPEAT, title="the same message again")


def once_more(order: Order, at_micros: int) -> Message:
    """Say the same order under another event id."""
    other = str(UUID(int=UUID(order.event_id).int ^ 1))
    return replace(confirmed(order, at_micros, event_id=other), what=What.REPEAT, title="the same order again")


def other_content(order: Order, at_micros: int) -> Message:
    """Say the order id again, with other content: a conflict, never a second charge."""
    other = str(UUID(int=UUID(order.event_id).int ^ 2))
    said = confirmed(order, at_micros, event_id=other, customer_id="somebody-else")
    return replace(said, what=What.WRONG, reasons=frozenset({"conflict"}), title="other content")


def same_event_id(order: Order, at_micros: int, partition: int) -> Message:
    """Say another order under the event id of this one. It lies behind it, on its partition."""
    name = f"{order.order_id}-twin"
    said = confirmed(order, at_micros, order_id=name)
    twin = replace(said, order_id=name, headers=described(ORDER, order.event_id, name), partition=partition)
    return replace(twin, what=What.WRONG, reasons=frozenset({"conflict"}), title="event id used twice")


class Wrongs:
    """Makes messages that no consumer can act on, each kind in turn."""

    def __init__(self, script: Script, name: str) -> None:
        self._draw = random.Random(f"{name} of {script.seed}")
        self._orders = script.more(name, len(WRONG_KINDS))

    def make(self, count: int, at_micros: int) -> list[Message]:
        """Make so many, at most as many as there are kinds."""
        chosen = self._draw.sample(list(WRONG_KINDS), min(count, len(WRONG_KINDS)))
        return [self._one(title, order, at_micros) for title, order in zip(chosen, self._orders, strict=False)]

    @staticmethod
    def _one(title: str, order: Order, at_micros: int) -> Message:
        reasons, make = WRONG_KINDS[title]
        made = make(order, at_micros)
        return replace(made, what=What.WRONG, reasons=frozenset(reasons), title=title)


def _changed(**fields: Any) -> Callable[[Order, int], Message]:
    return lambda order, at: confirmed(order, at, **fields)


def _body(change: Callable[[bytes], bytes | None]) -> Callable[[Order, int], Message]:
    def make(order: Order, at: int) -> Message:
        said = confirmed(order, at)
        assert said.value is not None
        return replace(said, value=change(said.value))

    return make


def _keyed(key: bytes | None) -> Callable[[Order, int], Message]:
    return lambda order, at: replace(confirmed(order, at), key=key)


def _aged(days: float) -> Callable[[Order, int], Message]:
    return lambda order, at: confirmed(order, at + int(days * DAY_MICROS))


def _many(order: Order, at: int) -> Message:
    """Two lines of one SKU: each is within every bound, their sum is not."""
    line = {"sku": "tea", "quantity": 2_000_000_000, "unit_price_minor": 0}
    free = {"discount_minor": 0, "delivery_fee_minor": 0, "total_minor": 0, "payment_method": None}
    return confirmed(order, at, lines=[line, line], **free)


def _of_nobody(order: Order, at: int) -> Message:
    token = {"kind": "CARD", "token": "pm_card_visa"}
    fields = {**order.fields, "occurred_at": at, "after_attempt": 1, "payment_method": token}
    return replace(confirmed(order, at), event_type=RETRY, value=avro.encode(RETRY, fields))


def _headed(order: Order, _at: int) -> Message:
    """Bytes that are no event, under more headers than a copy of it can carry."""
    name, value = ("x-trace", b"\x00" * (MANY_BYTES // 10))
    key = order.order_id.encode()
    return Message(What.WRONG, ORDER, order.order_id, key, b"noise " + key, tuple([(name, value)] * 10))


WRONG_KINDS: Final[dict[str, tuple[set[str], Callable[[Order, int], Message]]]] = {
    "noise": ({"undecodable"}, _body(lambda body: b"this is not Avro " + body[-20:])),
    "no body": ({"undecodable"}, _body(lambda _: None)),
    "cut": ({"undecodable"}, _body(lambda body: body[:-3])),
    "a byte too many": ({"not_canonical"}, _body(lambda body: body + b"\0")),
    "schema of nobody": ({"unknown_schema"}, _body(lambda body: body[:2] + bytes(8) + body[10:])),
    "key of another": ({"key_mismatch"}, lambda order, at: _keyed(b"not-" + order.order_id.encode())(order, at)),
    "no key": ({"key_mismatch"}, _keyed(None)),
    "wrong total": ({"total_mismatch"}, _changed(total_minor=1)),
    "unknown currency": ({"unknown_currency"}, _changed(currency="QQQ")),
    "card number": ({"card_number"}, _changed(payment_method={"kind": "CARD", "token": CARD_NUMBER})),
    "from the future": ({"from_the_future"}, _aged(1)),
    "too old": ({"too_old"}, _aged(-20)),
    "retry of nobody": ({"unknown_order"}, _of_nobody),
    "a million headers": ({"undecodable"}, _headed),
    "too many pieces": ({"invalid_field"}, _many),
}
