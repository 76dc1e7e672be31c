"""With the topics, the audit finds messages that were taken and lost, journal rows that were not sent, and cards."""

import psycopg
import pytest

from outbox.audit import Report, Scope, TopicMessage, audit
from producers.unchecked import encode_unchecked
from schemas.codec import Codec
from tests.outbox.world import CARD, Case, Topics, broken, violations
from tests.schemas import builders

pytestmark = pytest.mark.integration

ID_LIKE_A_CARD = CARD


def topic_of(case: Case, event_type: str) -> str:
    return case.world.prefix + event_type


def message_of(case: Case, event_type: str, order_id: str) -> TopicMessage:
    topic = topic_of(case, event_type)
    return next(m for m in case.world.topics.held if m.topic == topic and m.key == order_id.encode())


async def audit_with(case: Case, *more: TopicMessage, without: TopicMessage | None = None) -> Report:
    """Audit with some messages more on the topics, taken already, or one less."""
    topics = case.world.topics
    held = [*(m for m in topics.held if m is not without), *more]
    taken = {(m.topic, m.partition): m.offset + 1 for m in more}
    return await case.audit(topics=Topics(held, {**topics.offsets, **taken}))


@pytest.mark.parametrize("event_type", ["ItemsReserved", "OrderConfirmed"])
async def test_a_taken_message_without_an_inbox_row_is_found(case: Case, event_type: str) -> None:
    await case.run(f"DELETE FROM inbox WHERE event_id = '{_event_id(case, event_type)}'")
    report = await case.audit(topics=case.world.topics)
    assert f"{topic_of(case, event_type)}-0 offset" in violations(report, 10)
    assert len(report.invariants[9].violations) == 1 + (event_type == "OrderConfirmed")


def _event_id(case: Case, event_type: str) -> object:
    message = message_of(case, event_type, "paid")
    return case.world.scope.codec.decode(event_type, message.key, message.value).event_id


async def test_a_message_that_was_not_taken_yet_needs_no_inbox_row(case: Case) -> None:
    late = _upstream(case, "late", offset=1_000)
    topics = Topics([*case.world.topics.held, late], case.world.topics.offsets)
    assert 10 not in broken(await case.audit(topics=topics))
    report = await audit_with(case, late)
    assert "offset 1000 is below" in violations(report, 10)


def _upstream(case: Case, order_id: str, *, offset: int) -> TopicMessage:
    event = builders.order_confirmed(order_id=order_id, occurred_at=_now(case))
    body = case.world.scope.codec.encode(event)
    return TopicMessage(topic_of(case, "OrderConfirmed"), 0, offset, order_id.encode(), body, ())


def _now(case: Case) -> object:
    message = message_of(case, "OrderConfirmed", "paid")
    return case.world.scope.codec.decode("OrderConfirmed", message.key, message.value).occurred_at


async def test_a_message_older_than_the_inbox_remembers_needs_no_row(case: Case) -> None:
    event = builders.order_confirmed(order_id="old")
    old = TopicMessage(topic_of(case, "OrderConfirmed"), 0, 1_000, b"old", case.world.scope.codec.encode(event), ())
    assert 10 not in broken(await audit_with(case, old))


async def test_a_lowered_limit_loses_no_message_of_the_past(case: Case) -> None:
    scope = Scope(Codec(prefix=case.world.prefix, amount_max_minor=1), case.world.scope.groups, case.world.prefix)
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        report = await audit(connection, scope, ledger=None, topics=case.world.topics)
    assert 10 not in broken(report)


async def test_a_refused_message_that_no_dead_letter_remembers_is_found(case: Case) -> None:
    await case.run("DELETE FROM dead_letter WHERE key = 'garbage'")
    report = await case.audit(topics=case.world.topics)
    assert broken(report) == {6, 10}


async def test_a_dead_letter_of_a_topic_that_was_made_anew_speaks_for_no_other_message(case: Case) -> None:
    topic = topic_of(case, "OrderConfirmed")
    refused = next(m for m in case.world.topics.held if m.topic == topic and m.value == b"garbage")
    other = refused._replace(value=b"other garbage")
    report = await audit_with(case, other, without=refused)
    assert f"{topic}-{refused.partition} offset {refused.offset} is below" in violations(report, 10)


async def test_a_repetition_with_other_content_is_no_repetition(case: Case) -> None:
    paid = message_of(case, "OrderConfirmed", "paid")
    same = case.world.scope.codec.decode("OrderConfirmed", paid.key, paid.value)
    body = case.world.scope.codec.encode(same.model_copy(update={"order_id": "other"}))
    other = paid._replace(value=body, offset=1_000, key=b"other")
    assert "offset 1000 is below" in violations(await audit_with(case, other), 10)
    assert 10 not in broken(await audit_with(case, paid._replace(offset=1_000)))
    await case.run("UPDATE inbox SET content = NULL")
    assert 10 not in broken(await audit_with(case, other))


async def test_a_journal_row_that_is_nowhere_is_found(case: Case) -> None:
    paid = message_of(case, "PaidAndConfirmed", "paid")
    report = await audit_with(case, without=paid)
    assert broken(report) == {10}
    assert f"(order paid) is neither on {topic_of(case, 'PaidAndConfirmed')} nor in the outbox" in violations(
        report, 10
    )


async def test_a_dead_letter_that_is_not_on_its_topic_is_found(case: Case) -> None:
    topic = topic_of(case, "OrderConfirmed.dlt")
    letter = next(m for m in case.world.topics.held if m.topic == topic)
    assert f"(order none) is neither on {topic}" in violations(await audit_with(case, without=letter), 10)


async def test_a_journal_row_still_in_the_outbox_need_not_be_on_its_topic(case: Case) -> None:
    await case.run(
        """INSERT INTO outbox (event_ids)
           SELECT ARRAY[id] FROM event WHERE order_id = 'paid' AND topic = 'world.PaidAndConfirmed'"""
    )
    assert 10 not in broken(await audit_with(case, without=message_of(case, "PaidAndConfirmed", "paid")))


async def test_a_message_sent_twice_is_no_violation(case: Case) -> None:
    paid = message_of(case, "ItemsReserved", "paid")
    assert (await audit_with(case, paid._replace(offset=1_000))).holds


COLUMNS = [
    "UPDATE attempt SET token = '{card}' WHERE order_id = 'paid'",
    "UPDATE attempt SET transaction_id = 'x {card}' WHERE order_id = 'declined'",
    "UPDATE operation SET detail = 'card {card} refused' WHERE order_id = 'paid'",
    "UPDATE operation SET reason = '4242 4242 4242 4242' WHERE order_id = 'paid'",
    """UPDATE operation SET frozen = '{"customer_id": "cus_{card}"}' WHERE order_id = 'paid'""",
    "UPDATE orders SET review_reason = '4242-4242-4242-4242' WHERE order_id = 'unknown'",
    "UPDATE notification SET text = 'your card {card}' WHERE order_id = 'declined'",
    "UPDATE stock_adjustment SET by = '{card}'",
    "UPDATE dead_letter SET detail = 'card {card}' WHERE key = 'garbage'",
    "UPDATE dead_letter SET body = 'card {card}' WHERE key = 'garbage'",
    "UPDATE dead_letter SET key = '{card}' WHERE key = 'garbage'",
    "UPDATE dead_letter SET header_names = ARRAY['x'], header_values = ARRAY['{card}'::bytea] WHERE key = 'garbage'",
    "UPDATE event SET body = '{card}' WHERE order_version = 0",
    "UPDATE dead_letter SET header_names = ARRAY['{card}'], header_values = ARRAY[key] WHERE key = 'garbage'",
    "UPDATE event SET header_values[1] = '{card}' WHERE order_version = 0",
    "UPDATE event SET body = 'card {card}' WHERE order_id = 'paid'",
]


@pytest.mark.parametrize("statement", COLUMNS)
async def test_a_card_number_in_a_table_is_found_and_not_repeated(case: Case, statement: str) -> None:
    await case.run(statement.replace("{card}", CARD))
    report = await case.audit(topics=case.world.topics)
    assert 11 in broken(report)
    assert CARD not in repr(report)


async def test_a_column_that_is_added_later_is_looked_at(case_to_alter: Case) -> None:
    await case_to_alter.run(f"ALTER TABLE orders ADD later text DEFAULT '{CARD}'")
    report = await case_to_alter.audit(topics=case_to_alter.world.topics)
    assert "table orders, row paid has a card number in its later" in violations(report, 11)


async def test_a_card_number_in_the_text_of_an_event_is_found(case: Case) -> None:
    event = builders.payment_failed(order_id="paid", reason=f"Card {CARD} was declined")
    body = case.world.scope.codec.encode(event)
    message = TopicMessage(topic_of(case, "PaymentFailed"), 0, 0, b"paid", body, ())
    report = await audit_with(case, message)
    assert f"a message of {message.topic} has a card number in its body" in violations(report, 11)


async def test_a_card_number_in_a_header_or_the_key_of_our_topic_is_found(case: Case) -> None:
    paid = message_of(case, "PaidAndConfirmed", "paid")
    report = await audit_with(case, paid._replace(headers=[("x", CARD.encode())], offset=1_000))
    assert "in its header x" in violations(report, 11)
    report = await audit_with(case, paid._replace(headers=[(CARD, b"x")], offset=1_001))
    assert "in its header names" in violations(report, 11)
    report = await audit_with(case, paid._replace(key=CARD.encode(), offset=1_000))
    assert "in its key" in violations(report, 11)


async def test_what_upstream_wrote_on_its_own_topic_is_listed(case: Case) -> None:
    report = await case.audit(topics=case.world.topics)
    assert report.holds
    assert report.invariants[10].notes == (
        f"{topic_of(case, 'OrderConfirmed')} holds messages of upstream with card numbers: tell who publishes them",
    )


async def test_ids_and_skus_that_look_like_card_numbers_are_none(case: Case) -> None:
    event = builders.items_reserved(
        order_id=ID_LIKE_A_CARD, lines=[{"sku": CARD, "quantity": 1}], correlation_id=f"of {CARD}"
    )
    body = case.world.scope.codec.encode(event)
    own = TopicMessage(topic_of(case, "ItemsReserved"), 0, 0, CARD.encode(), body, [("ce_subject", CARD.encode())])
    await case.run(
        f"UPDATE orders SET customer_id = '{CARD}', correlation_id = '{CARD}', lines = '[[\"{CARD}\", 1]]'",
        f"UPDATE notification SET order_id = '{CARD}', customer_id = '{CARD}'",
        f"""UPDATE operation SET frozen = '{{"description": "Order {CARD}", "return_url": "https://a/{CARD}"}}'""",
        f"UPDATE stock SET sku = '{CARD}' WHERE sku = 'SKU-1'",
    )
    assert 11 not in broken(await audit_with(case, own))


async def test_the_order_that_a_dead_letter_names_is_none(case: Case) -> None:
    said = builders.order_confirmed(order_id=CARD).model_dump(mode="json") | {"total_minor": 1}
    body = encode_unchecked("OrderConfirmed", said)
    await case.run(
        f"UPDATE dead_letter SET key = '{CARD}', body = '\\x{body.hex()}', detail = 'order {CARD} is wrong' "
        "WHERE key = 'garbage'"
    )
    assert 11 not in broken(await case.audit(topics=case.world.topics))


async def test_a_cut_copy_of_a_dead_letter_is_judged_by_the_whole(case: Case) -> None:
    topic = topic_of(case, "OrderConfirmed.dlt")
    letter = next(m for m in case.world.topics.held if m.topic == topic)
    cut = letter._replace(value=b"4242424242424242", headers=[*letter.headers, ("payments_length", b"70000")])
    assert 11 not in broken(await audit_with(case, cut))
