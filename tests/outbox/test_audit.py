"""The audit finds what was broken on purpose in the database, one invariant at a time, and nothing in a sound one."""

import psycopg
import pytest

from outbox.audit import audit
from tests.outbox.world import CANCELLED, FAILED, PAID, REVIEWED, Case, broken, violations

pytestmark = pytest.mark.integration

ORDERS = len(PAID) + len(FAILED) + len(CANCELLED) + len(REVIEWED)


def event_of(order_id: str, event_type: str) -> str:
    return f"order_id = '{order_id}' AND topic = 'world.{event_type}'"


async def test_a_sound_run_holds_and_is_quiescent(case: Case) -> None:
    report = await case.audit(topics=case.world.topics)
    assert [(i.id, i.holds, i.violations) for i in report.invariants] == [(n, True, ()) for n in range(1, 12)]
    assert (report.holds, report.quiescent, report.waiting) == (True, True, ())
    assert all(invariant.checked > 0 for invariant in report.invariants)
    assert report.invariants[6].checked == ORDERS


async def test_money_under_way_back_and_under_review_is_listed(case: Case) -> None:
    await case.run("UPDATE attempt SET authorized_minor = 7, captured_minor = 7 WHERE order_id = 'unknown'")
    report = await case.audit(ledger=False)
    assert "order pending: 5630 EUR being refunded" in report.invariants[7].notes
    assert "order unknown: 7 EUR under review" in report.invariants[7].notes
    assert 8 not in broken(report)


async def test_sums_over_all_orders_may_be_larger_than_a_column(case: Case) -> None:
    most = 2**63 - 1
    money = f"authorized_minor = {most}, captured_minor = {most}, refunded_minor = 0"
    await case.run(
        f"UPDATE attempt SET {money} WHERE order_id IN ('paid', 'free', 'unknown')",
        f"UPDATE orders SET total_minor = {most} WHERE order_id IN ('paid', 'free')",
        f"UPDATE operation SET amount_minor = {most} WHERE kind = 'refund' AND state = 'pending'",
    )
    report = await case.audit()
    assert any(f"paid {2 * most + 12_320}" in note for note in report.invariants[7].notes), report.invariants[7].notes


async def test_the_document_is_the_contracts(case: Case) -> None:
    document = (await case.audit()).as_json()
    assert set(document) == {"holds", "quiescent", "invariants"}
    assert [set(invariant) for invariant in document["invariants"]] == [
        {"id", "name", "holds", "checked", "violations"}
    ] * 9


async def test_without_a_ledger_the_report_says_so(case: Case) -> None:
    report = await case.audit(ledger=False)
    assert report.holds
    assert all("no ledger" in report.invariants[n - 1].notes[-1] for n in (1, 2, 3, 8, 9))


async def test_the_audit_sees_one_moment_and_changes_nothing(case: Case) -> None:
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        await audit(connection, case.world.scope, topics=case.world.topics)
        row = await (await connection.execute("SELECT count(*), sum(version) FROM orders")).fetchone()
        assert row is not None
        assert row[0] == ORDERS
        assert (await (await connection.execute("SHOW transaction_read_only")).fetchone()) == ("off",)


MONEY = [
    ("UPDATE attempt SET captured_minor = authorized_minor + 1 WHERE order_id = 'paid'", 1, "captured 3081"),
    ("UPDATE attempt SET refunded_minor = captured_minor + 1 WHERE order_id = 'paid'", 1, "refunded 3081"),
    ("UPDATE attempt SET refunded_minor = -1 WHERE order_id = 'paid'", 1, "refunded -1"),
    ("UPDATE operation SET currency = 'USD' WHERE order_id = 'paid'", 1, "in USD"),
    ("UPDATE orders SET total_minor = 1 WHERE order_id = 'paid'", 1, "costs 1"),
    ("UPDATE attempt SET authorized_minor = 3080, captured_minor = 3080 WHERE order_id = 'retried'", 2, "1 and 2"),
    ("UPDATE orders SET total_minor = 9999 WHERE order_id = 'paid'", 8, "costs 9999"),
    ("UPDATE attempt SET captured_minor = 0 WHERE order_id = 'paid'", 8, "keeps 0"),
    ("UPDATE operation SET amount_minor = 1 WHERE order_id = 'pending' AND kind = 'refund'", 8, "1 going back"),
    ("UPDATE attempt SET voided = false WHERE order_id = 'short'", 9, "its authorization"),
    (
        "UPDATE operation SET state = 'approved' WHERE order_id = 'pending' AND kind = 'refund'",
        9,
        "no refund is pending",
    ),
    ("UPDATE reservation SET state = 'held' WHERE order_id = 'capture-refused'", 9, "still holds its items"),
    ("UPDATE reservation SET state = 'held' WHERE order_id = 'cancelled-paid'", 9, "of a cancelled order still holds"),
    ("UPDATE attempt SET refunded_minor = 0 WHERE order_id = 'cancelled-paid'", 9, "of a cancelled order keeps money"),
    ("UPDATE attempt SET refunded_minor = 0 WHERE order_id = 'cancelled-paid'", 8, "order cancelled-paid is cancelled"),
]


@pytest.mark.parametrize(("statement", "invariant", "told"), MONEY)
async def test_money_that_does_not_fit_is_found(case: Case, statement: str, invariant: int, told: str) -> None:
    await case.run(statement)
    report = await case.audit(ledger=False)
    assert invariant in broken(report)
    assert told in violations(report, invariant)
    assert not report.holds


async def test_an_operation_approved_twice_is_found(case: Case) -> None:
    await case.run(
        "INSERT INTO operation (operation_id, order_id, attempt, kind, try_number, state, reaction, amount_minor, "
        "currency, tries, opened_at, replayed, order_number, for_request) SELECT gen_random_uuid(), order_id, attempt, "
        "kind, 2, state, reaction, amount_minor, currency, tries, opened_at, replayed, order_number, '' FROM operation "
        "WHERE order_id = 'paid' AND kind = 'capture'"
    )
    report = await case.audit(ledger=False)
    assert "2 approved operations capture" in violations(report, 2)


CAPTURES = [
    ("DELETE FROM reservation WHERE order_id = 'paid'", "no hold"),
    ("UPDATE reservation SET state = 'expired' WHERE order_id = 'paid'", "let run out"),
    ("UPDATE reservation SET state = 'held', pinned = false WHERE order_id = 'paid'", "not pinned"),
    ("UPDATE attempt SET voided = true WHERE order_id = 'paid'", "was voided and captured"),
]


@pytest.mark.parametrize(("statement", "told"), CAPTURES)
async def test_a_capture_without_a_live_hold_is_found(case: Case, statement: str, told: str) -> None:
    await case.run(statement)
    report = await case.audit(ledger=False)
    assert told in violations(report, 3)


async def test_a_hold_released_under_an_open_capture_is_found(case: Case) -> None:
    await case.run(
        "UPDATE reservation SET state = 'released' WHERE order_id = 'paid'",
        "UPDATE operation SET state = 'unknown' WHERE order_id = 'paid' AND kind = 'capture'",
    )
    assert "released meanwhile" in violations(await case.audit(ledger=False), 3)


async def test_a_capture_opened_after_the_void_is_found(case: Case) -> None:
    await case.run(
        "UPDATE operation SET opened_at = opened_at - interval '1 hour' "
        "WHERE order_id = 'capture-refused' AND kind = 'void'"
    )
    assert "opened after its void" in violations(await case.audit(ledger=False), 3)


STOCK = [
    ("UPDATE stock_adjustment SET delta = delta + 1 WHERE sku = 'SKU-1'", "101 were put in"),
    ("UPDATE stock SET reserved = reserved + 1, available = available - 1 WHERE sku = 'SKU-1'", "1 are reserved"),
    ("UPDATE stock SET sold = sold + 1, available = available - 1 WHERE sku = 'SKU-1'", "sold holds of orders"),
    ("DELETE FROM stock WHERE sku = 'SKU-1'", "no stock row"),
    ("UPDATE reservation SET state = 'held' WHERE order_id = 'capture-refused'", "holds of orders sum to 2"),
]


@pytest.mark.parametrize(("statement", "told"), STOCK)
async def test_stock_that_does_not_add_up_is_found(case: Case, statement: str, told: str) -> None:
    await case.run(statement)
    assert told in violations(await case.audit(ledger=False), 4)


async def test_negative_stock_is_found(case_to_alter: Case) -> None:
    await case_to_alter.run(
        "ALTER TABLE stock DROP CONSTRAINT stock_available_check",
        "UPDATE stock SET available = -1, sold = sold + available + 1 WHERE sku = 'SKU-2'",
    )
    assert "SKU-2 is negative" in violations(await case_to_alter.audit(ledger=False), 4)


HISTORIES = [
    (f"DELETE FROM event WHERE {event_of('paid', 'ItemsReserved')}", {5, 6}, "version 3 ordinal 0"),
    (f"DELETE FROM event WHERE {event_of('paid', 'PaidAndConfirmed')}", {5, 6, 7}, "ends with 2"),
    (f"UPDATE event SET ordinal = 2 WHERE {event_of('declined', 'PaymentFailed')}", {5, 6}, "ordinal 1"),
    (
        f"UPDATE event SET topic = 'world.PaidAndConfirmed' WHERE {event_of('paid', 'ItemsReserved')}",
        {5, 6, 7},
        "no declared move from payment_authorized",
    ),
    ("UPDATE orders SET version = version + 1 WHERE order_id = 'paid'", {5, 6}, "is at version 4"),
    ("UPDATE orders SET status = 'payment_failed' WHERE order_id = 'paid'", {5, 6, 7, 8, 9}, "ends with"),
    ("UPDATE orders SET reviewed = 'paid_and_confirmed' WHERE order_id = 'unknown'", {5, 6}, "is manual_review"),
    ("UPDATE orders SET attempt = 2 WHERE order_id = 'paid'", {5, 6}, "attempt 2"),
]


@pytest.mark.parametrize(("statement", "numbers", "told"), HISTORIES)
async def test_a_history_that_does_not_lead_there_is_found(
    case: Case, statement: str, numbers: set[int], told: str
) -> None:
    await case.run(statement)
    report = await case.audit(ledger=False)
    assert broken(report) <= numbers
    assert 5 in broken(report)
    assert told in violations(report, 5)


DECISIONS = [
    (f"DELETE FROM event WHERE {event_of('declined', 'CustomerNotificationRequested')}", "no decision does"),
    (f"DELETE FROM event WHERE {event_of('short', 'PaymentVoided')}", "0 PaymentVoided for 1"),
    (f"DELETE FROM event WHERE {event_of('short-captured', 'PaymentRefunded')}", "0 PaymentRefunded for 1"),
    (f"DELETE FROM event WHERE {event_of('capture-refused', 'ReservationReleased')}", "0 ReservationReleased for 1"),
    (f"DELETE FROM event WHERE {event_of('paid', 'ItemsReserved')}", "0 ItemsReserved for 1"),
    (f"DELETE FROM event WHERE {event_of('paid', 'PaidAndConfirmed')}", "0 PaidAndConfirmed for 1"),
    (f"DELETE FROM event WHERE {event_of('retried', 'PaymentAuthorized')}", "0 PaymentAuthorized for 1"),
    (f"DELETE FROM event WHERE {event_of('retried', 'PaymentFailed')}", "0 PaymentFailed for 1"),
    (f"DELETE FROM event WHERE {event_of('unknown', 'PaymentReviewRequired')}", "0 PaymentReviewRequired for 1"),
    ("UPDATE attempt SET voided = false WHERE order_id = 'short'", "1 PaymentVoided for 0"),
    ("UPDATE reservation SET state = 'released' WHERE order_id = 'paid'", "sold the holds of attempts []"),
    ("DELETE FROM attempt WHERE order_id = 'retried' AND attempt = 1", "is at attempt 2 and has rows for 1"),
    ("DELETE FROM orders WHERE order_id = 'paid'", "none in orders"),
    ("DELETE FROM event WHERE order_version = 0", "2 dead letters in the table and 0 in the journal"),
    ("UPDATE event SET topic = 'elsewhere' WHERE order_id = 'declined'", "none of ours"),
]


@pytest.mark.parametrize(("statement", "told"), DECISIONS)
async def test_a_decision_without_its_events_is_found(case: Case, statement: str, told: str) -> None:
    await case.run(statement)
    assert told in violations(await case.audit(ledger=False), 6)


OUTCOMES = [
    ("UPDATE orders SET review_reason = NULL WHERE order_id = 'unknown'", "without a reason"),
    ("UPDATE orders SET review_reason = 'stuck' WHERE order_id = 'paid'", "not under"),
    ("UPDATE orders SET status = 'payment_failed' WHERE order_id = 'paid'", "was last told as paid_and_confirmed"),
    (
        """INSERT INTO event (event_id, order_id, order_version, ordinal, topic, occurred_at)
           VALUES (gen_random_uuid(), 'paid', 4, 0, 'world.PaymentFailed', now() - interval '30 days')""",
        "had another outcome afterwards",
    ),
    (
        """INSERT INTO event (event_id, order_id, order_version, ordinal, topic, occurred_at)
           VALUES (gen_random_uuid(), 'cancelled-paid', 9, 0, 'world.PaidAndConfirmed', now())""",
        "was told as cancelled, and had another outcome afterwards",
    ),
    (
        """UPDATE event SET topic = 'world.PaymentVoided'
            WHERE order_id = 'cancelled-paid' AND topic = 'world.OrderCancelled'""",
        "is cancelled and was last told as paid_and_confirmed",
    ),
    (
        "UPDATE event SET topic = 'world.PaymentVoided' WHERE order_id = 'declined' AND topic = 'world.PaymentFailed'",
        "was last told as nothing",
    ),
]


@pytest.mark.parametrize(("statement", "told"), OUTCOMES)
async def test_an_order_without_exactly_one_outcome_is_found(case: Case, statement: str, told: str) -> None:
    await case.run(statement)
    assert told in violations(await case.audit(ledger=False), 7)


UNREST = [
    ("INSERT INTO outbox (event_ids) SELECT ARRAY[min(id)] FROM event", "1 message is still to be sent"),
    ("UPDATE orders SET status = 'confirmed' WHERE order_id = 'paid'", "1 order is confirmed"),
    (
        "UPDATE operation SET state = 'unknown', due_at = now() WHERE order_id = 'paid' AND kind = 'capture'",
        "1 operation has no outcome yet",
    ),
    (
        """DELETE FROM inbox USING event e
            WHERE inbox.event_id = e.event_id AND e.topic = 'world.ItemsReserved' AND e.order_id = 'paid'""",
        "payments.capture_payment has not seen 1 event",
    ),
]


@pytest.mark.parametrize(("statement", "why"), UNREST)
async def test_while_something_is_under_way_the_balance_cannot_be_said(case: Case, statement: str, why: str) -> None:
    await case.run(statement, "UPDATE attempt SET captured_minor = 0, voided = false WHERE captured_minor > 0")
    report = await case.audit(ledger=False)
    assert not report.quiescent
    assert report.waiting == (why,)
    assert [invariant.holds for invariant in report.invariants[6:]] == [None, None, None]


async def test_the_same_violation_in_many_orders_names_some_and_counts_all(case: Case) -> None:
    await case.run(
        "INSERT INTO orders SELECT 'copy-' || n, status, version, attempt, customer_id, correlation_id, currency, "
        "total_minor, lines, content_hash, retryable, retry_until, reviewed, review_reason, missing, delay_notified, "
        "resends, created_at, updated_at, order_number FROM orders, generate_series(1, 50) n WHERE order_id = 'paid'"
    )
    found = (await case.audit(ledger=False)).invariants[4]
    assert found.found == 50
    assert len(found.violations) == 21
    assert found.violations[-1] == "and 30 more"
