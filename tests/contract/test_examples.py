"""The examples of the contract are real events: valid, of one piece with each other, and the same in every form."""

import json
import random
from uuid import UUID

import pytest

from deploy.contract_pages.codes_part import REVIEW_REASONS
from deploy.contract_pages.examples import (
    AT,
    ExampleRegistry,
    examples,
    framed,
    headers_of_example,
    json_form,
    schema_id_of,
)
from domain.decision import event_id
from domain.failure_codes import MEANINGS, FailureCode
from domain.ids import OrderId
from domain.opening import begin_order
from domain.rules import Context, Rules
from producers.checkout import Checkout
from schemas.codec import Codec
from schemas.events import (
    ItemsReserved,
    OrderConfirmed,
    OwnEvent,
    PaidAndConfirmed,
    PaymentFailed,
    PaymentReviewRequired,
)
from schemas.shapes import SHAPES
from schemas.topics import TOPICS

EXAMPLES = examples()
OURS = [event for event in EXAMPLES.values() if isinstance(event, OwnEvent)]
UPSTREAM = [event_type for event_type, topic in TOPICS.items() if not topic.ours]


def test_every_event_has_an_example() -> None:
    assert list(EXAMPLES) == list(TOPICS)
    assert all(event_type == event.TYPE for event_type, event in EXAMPLES.items())


@pytest.mark.parametrize("event_type", TOPICS)
def test_an_example_is_read_back_from_both_framings_with_every_check(event_type: str) -> None:
    event = EXAMPLES[event_type]
    key = event.subject.encode()
    single_object, registry = framed(event)

    assert single_object.startswith(b"\xc3\x01" + SHAPES[event_type].fingerprint)
    assert registry.startswith(b"\0" + schema_id_of(event_type).to_bytes(4, "big"))
    assert single_object[10:] == registry[5:]
    assert Codec().decode(event_type, key, single_object) == event
    assert Codec(registry=ExampleRegistry()).decode(event_type, key, registry) == event


@pytest.mark.parametrize("event_type", UPSTREAM)
def test_the_json_of_an_example_is_a_line_that_gives_the_very_bytes(event_type: str) -> None:
    event = EXAMPLES[event_type]
    checkout = Checkout(Codec(), "", AT, lambda: UUID(int=random.Random(1).getrandbits(128), version=4))

    prepared = checkout.prepare([json.dumps(json_form(event)).encode()])

    assert prepared.bad == []
    (message,) = prepared.messages
    assert (message.key, message.value) == (event.subject.encode(), framed(event)[0])
    assert {name: (value or b"").decode() for name, value in message.headers} == headers_of_example(event)


def test_ids_of_ours_are_derived_as_the_pipeline_derives_them() -> None:
    for event in OURS:
        assert event.event_id == event_id(OrderId(event.order_id), event.order_version, event.ordinal, event.TYPE)
    places = [(event.order_id, event.order_version, event.ordinal) for event in OURS]
    assert len(set(places)) == len(places), "an order's events are sorted by version and ordinal"


def test_what_is_held_and_sold_is_the_order_added_up_per_sku_and_sorted() -> None:
    order, reserved, paid = (EXAMPLES[name] for name in ("OrderConfirmed", "ItemsReserved", "PaidAndConfirmed"))
    assert isinstance(order, OrderConfirmed)
    assert isinstance(reserved, ItemsReserved)
    assert isinstance(paid, PaidAndConfirmed)
    begun = begin_order(order, Context(at=AT, causation_id=None, rules=Rules()))

    assert [(item.sku, item.quantity) for item in paid.lines] == [(line.sku, line.quantity) for line in begun.lines]
    assert paid.lines == reserved.lines
    assert paid.amount_minor == order.total_minor
    assert len(order.lines) > len(paid.lines), "the example shows that lines are added up"


def test_codes_and_sentences_of_examples_are_in_their_tables() -> None:
    failed, review = EXAMPLES["PaymentFailed"], EXAMPLES["PaymentReviewRequired"]
    assert isinstance(failed, PaymentFailed)
    assert isinstance(review, PaymentReviewRequired)
    meaning = MEANINGS[FailureCode(failed.failure_code)]
    assert (failed.reason, failed.retryable) == (meaning.reason, meaning.retryable)
    assert review.reason in REVIEW_REASONS


def test_durations_in_examples_follow_from_the_rules() -> None:
    short = examples(rules=Rules(retry_window_s=60))["PaymentFailed"]
    assert isinstance(short, PaymentFailed)
    assert short.retry_until is not None
    assert (short.retry_until - short.occurred_at).total_seconds() == 60
