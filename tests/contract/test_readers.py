"""Who reads what, which rights that takes, and why messages are refused: the tables cover all that there is."""

from typing import Any

import pytest

from deploy.contract_pages.examples import examples, framed
from deploy.contract_pages.facts import rules_in_force
from deploy.contract_pages.letters import letter_headers
from deploy.contract_pages.reader import Reader
from deploy.contract_pages.readers import BY_PUBLISHER, READERS
from deploy.contract_pages.refusals import REFUSALS, refusals_on
from deploy.contract_pages.rights import DESCRIBE, READ, WRITE, commands, rights_of
from deploy.settings import Settings
from deploy.views import choreography
from deploy.wiring import rules_of
from schemas.codec import Codec
from schemas.rejection import Reason, Rejected
from schemas.topics import TOPICS, Publisher

EXAMPLES = examples()
UPSTREAM = [event_type for event_type, topic in TOPICS.items() if not topic.ours]
OUT_OF_BOUNDS: dict[str, dict[str, Any]] = {
    "OrderConfirmed": {"customer_id": ""},
    "PaymentRetryRequested": {"after_attempt": 0},
    "OrderCancelRequested": {"request_id": ""},
    "RefundRequested": {"amount_minor": 0},
    "StockAdjusted": {"reason": ""},
    "PreparationStarted": {"correlation_id": ""},
}
CARD = "4111 1111 1111 1111"
IN_CONTEXT = {
    Reason.TOO_LARGE,
    Reason.CONFLICT,
    Reason.UNKNOWN_ORDER,
    Reason.TOO_OLD,
    Reason.FROM_THE_FUTURE,
    Reason.ILLEGAL_TRANSITION,
    Reason.STOCK_SHORT,
    Reason.QUARANTINED,
    Reason.UNREADABLE,
}
"""What a message alone does not show: size limits, clocks, orders and stock do."""


def test_every_publisher_has_a_page_and_every_event_a_reader() -> None:
    assert BY_PUBLISHER.keys() == set(Publisher) - {Publisher.PAYMENTS}
    assert {event_type for reader in READERS for event_type in reader.publishes} == set(UPSTREAM)
    assert {event_type for reader in READERS for event_type in reader.reads} == set(TOPICS)
    assert len({reader.slug for reader in READERS}) == len(READERS)
    assert all(field in Settings.model_fields for reader in READERS for field in reader.settings)


def test_whom_the_choreography_names_as_a_reader_finds_the_event_on_its_page() -> None:
    by_name = {reader.name.lower(): reader for reader in READERS}
    named = 0
    for event_type, names in choreography.READERS.items():
        for name in names.split(", "):
            if name in by_name:
                assert event_type in by_name[name].reads, f"{name} reads {event_type}"
                named += 1
    assert named >= 10


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.slug)
def test_rights_let_a_reader_do_its_part_and_no_more(reader: Reader) -> None:
    rights = {right.name: right for right in rights_of(reader, "shop.")}
    assert len(rights) == len(rights_of(reader, "shop.")), "one right a topic"
    own = {f"shop.{event_type}" for event_type in reader.publishes}
    assert {name for name, right in rights.items() if WRITE in right.operations} == own
    read = {name for name, right in rights.items() if READ in right.operations and right.resource == "topic"}
    assert read == {f"shop.{event_type}" for event_type in reader.reads} | {f"{topic}.dlt" for topic in own}
    assert all(DESCRIBE in right.operations for right in rights.values() if right.resource == "topic")
    (group,) = (right for right in rights.values() if right.resource == "group")
    assert (group.name, group.pattern) == (f"shop.{reader.slug}.", "prefixed")


def test_a_right_is_granted_by_a_command_that_a_shell_takes_as_it_is() -> None:
    reader = next(reader for reader in READERS if reader.slug == "delivery")
    assert commands(reader, rights_of(reader, "")) == [
        (
            "kafka-acls.sh --bootstrap-server BROKER:9092 --add --allow-principal User:delivery --operation Read "
            "--operation Describe --topic PaidAndConfirmed"
        ),
        (
            "kafka-acls.sh --bootstrap-server BROKER:9092 --add --allow-principal User:delivery --operation Read "
            "--operation Describe --topic OrderCancelled"
        ),
        (
            "kafka-acls.sh --bootstrap-server BROKER:9092 --add --allow-principal User:delivery --operation Read "
            "--operation Describe --topic PaymentFailed"
        ),
        (
            "kafka-acls.sh --bootstrap-server BROKER:9092 --add --allow-principal User:delivery --operation Read "
            "--group delivery. --resource-pattern-type prefixed"
        ),
    ]


def test_durations_are_those_of_a_role_with_the_same_settings() -> None:
    settings = Settings(retry_window_s=60, four_eyes_minor="EUR=100", gateway="simulated")
    assert rules_in_force(settings) == rules_of(settings)


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    assert REFUSALS.keys() == set(Reason)
    assert all(refusal.topics for refusal in REFUSALS.values())
    assert all(set(refusal.topics) <= set(UPSTREAM) for refusal in REFUSALS.values())


def spoiled(event_type: str) -> dict[Reason, tuple[bytes, bytes]]:
    """Return a key and a body for each reason that this event's message alone can be refused for."""
    event, codec = EXAMPLES[event_type], Codec()
    key, body = event.subject.encode(), framed(event)[0]
    other = framed(EXAMPLES["PaidAndConfirmed"])[0]

    def changed(**fields: Any) -> tuple[bytes, bytes]:
        return key, codec.encode(event.model_copy(update=fields))

    found = {
        Reason.UNDECODABLE: (key, b"{}"),
        Reason.NOT_CANONICAL: (key, body + b"\0"),
        Reason.UNKNOWN_SCHEMA: (key, b"\xc3\x01" + bytes(8) + body[10:]),
        Reason.WRONG_SCHEMA: (key, other),
        Reason.KEY_MISMATCH: (b"another", body),
        Reason.INVALID_FIELD: changed(**OUT_OF_BOUNDS[event_type]),
    }
    if event_type == "OrderConfirmed":
        found[Reason.TOTAL_MISMATCH] = changed(total_minor=1)
        found[Reason.UNKNOWN_CURRENCY] = changed(currency="XXX")
        found[Reason.AMOUNT_LIMIT] = changed(tax_minor=10**12, total_minor=10**12 + 2_440)
    if hasattr(event, "payment_method"):
        found[Reason.CARD_NUMBER] = changed(payment_method=event.payment_method.model_copy(update={"token": CARD}))
    elif hasattr(event, "reason"):
        found[Reason.CARD_NUMBER] = changed(reason=CARD)
    return found


@pytest.mark.parametrize("event_type", UPSTREAM)
def test_a_message_is_refused_for_just_the_reasons_that_its_publisher_is_told(event_type: str) -> None:
    told = set(refusals_on(event_type))
    messages = spoiled(event_type)
    assert messages.keys() == told - IN_CONTEXT
    for reason, (key, body) in messages.items():
        with pytest.raises(Rejected) as refused:
            Codec().decode(event_type, key, body)
        assert refused.value.reason is reason


def test_headers_of_a_dead_letter_are_those_of_the_copy_that_the_pipeline_makes() -> None:
    found = {header.name: header.example for header in letter_headers()}
    assert found["payments_reason"] == "total_mismatch"
    assert found["kafka_dlt-original-topic"] == "OrderConfirmed"
    assert found["kafka_dlt-original-offset"] == "00 00 00 00 00 00 00 29"
    assert found["kafka_dlt-exception-message"].startswith("total_minor is 2441, but its parts make 2440.")
