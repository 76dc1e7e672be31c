"""Two messages of upstream are the same if they say the same, whenever and however they were written."""

from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar, Final
from uuid import UUID

import pytest
from pydantic import Field

from domain.content import content_hash, hash_content
from schemas.events import UpstreamEvent
from tests.schemas.builders import one_of_each, order_confirmed, payment_retry_requested


class _GiftWrapped(UpstreamEvent):
    TYPE: ClassVar[str] = "GiftWrapped"

    token: str = Field(repr=False)


def test_an_upstream_event_of_a_new_type_is_the_same_whatever_its_message_says() -> None:
    like = order_confirmed()
    first = _GiftWrapped(
        event_id=like.event_id, occurred_at=like.occurred_at, order_id="A-1", correlation_id="c", token="a"
    )
    again = first.model_copy(
        update={"event_id": UUID(int=7), "occurred_at": like.occurred_at + timedelta(hours=1), "correlation_id": "d"}
    )
    assert hash_content(first, b"x") == hash_content(again, b"y")
    assert hash_content(first, b"x") != hash_content(first.model_copy(update={"token": "b"}), b"x")
    assert hash_content(first, b"x") != hash_content(first.model_copy(update={"order_id": "A-2"}), b"x")


def test_events_of_ours_are_the_same_if_their_bytes_are() -> None:
    for event in one_of_each():
        if not isinstance(event, UpstreamEvent):
            assert hash_content(event, b"x") == hash_content(event, b"x") != hash_content(event, b"y")


STORED: Final = {
    "CARD": ("f1649ced8d233982a9db34ff58c0fa80", "df330d9069f2b7dcaa49b4556dd081b0"),
    "WALLET": ("ce5c99911ad7005ba9f10481f83dbd60", "53e85ee334c6554ec0e22fb49c144c09"),
    "BANK": ("cfc93912836eb65cb42ffdecd4a7250d", "6f28807f91870452713edbc2ace196db"),
    "OTHER": ("2d1b3fa2684939aac4ff70e979b55b3e", "f533188599fd4d5652ca7d8b287977cf"),
}
"""By kind, the first half of the hash of an OrderConfirmed and of a PaymentRetryRequested, as 0.1.0 stored it."""
STORED_FREE: Final = "aee3f4d6cc68103def5a8b3beb49bd8c"


@pytest.mark.parametrize("kind", STORED)
def test_the_hash_of_an_order_that_was_stored_before_methods_could_be_saved_is_still_the_same(kind: str) -> None:
    method = {"kind": kind, "token": "pm_card_visa"}
    order, retry = order_confirmed(payment_method=method), payment_retry_requested(payment_method=method)
    assert (content_hash(order).hex()[:32], hash_content(retry, b"").hex()[:32]) == STORED[kind]


def test_the_hash_of_a_stored_order_without_a_method_is_still_the_same() -> None:
    fees = dict.fromkeys(("discount_minor", "delivery_fee_minor", "service_fee_minor", "tax_minor"), 0)
    free = order_confirmed(payment_method=None, lines=[{"sku": "A", "quantity": 1, "unit_price_minor": 0}], **fees)
    assert content_hash(free).hex()[:32] == STORED_FREE


@pytest.mark.parametrize("build", [order_confirmed, payment_retry_requested])
def test_messages_that_differ_in_what_is_saved_are_in_conflict(build: Callable[..., UpstreamEvent]) -> None:
    known = {"kind": "CARD", "token": "pm_1"}
    others: list[dict[str, object]] = [
        {},
        {"gateway_customer_id": "cus_1"},
        {"gateway_customer_id": "cus_2"},
        {"gateway_customer_id": "cus_1", "off_session": True},
        {"off_session": True},
    ]
    hashes = [hash_content(build(payment_method=known | other), b"") for other in others]
    assert len(set(hashes)) == len(others)
    assert hashes == [hash_content(build(payment_method=known | other), b"") for other in others]
