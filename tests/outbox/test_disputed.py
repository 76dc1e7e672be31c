"""Disputed money is a term of its own in the books, and the gateway's list of disputes is held against them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.news import Dispute
from domain.values import replace as with_other
from outbox.audit import Kind, audit, read_lists
from tests.outbox.test_reconcile import SINCE, compared, lists_of, session
from tests.outbox.world import Case, broken, violations

pytestmark = pytest.mark.integration

AT = datetime(2026, 3, 1, tzinfo=UTC)
ROW = """
    INSERT INTO dispute (order_number, order_id, dispute_id, attempt, opened_at, status, amount_minor, currency, reason,
                         funds_withdrawn, refundable, looked_at, told)
    SELECT order_number, order_id, 'du_1', 1, '2026-03-01', '{status}', {amount}, currency, 'fraudulent',
           {withdrawn}, false, now() - interval '1 hour', 'OPEN' FROM orders WHERE order_id = '{order_id}'"""
OF_OLD = "UPDATE orders SET updated_at = now() - interval '1 hour' WHERE order_id = 'paid'"


def row(status: str = "needs_response", amount: int = 1_000, *, withdrawn: bool = True, order_id: str = "paid") -> str:
    return ROW.format(status=status, amount=amount, withdrawn=withdrawn, order_id=order_id)


def dispute(case: Case, *, withdrawn: bool = True, amount: int = 1_000, name: str = "du_1") -> Dispute:
    of = case.entry("paid").transaction_id
    return Dispute(name, of, "needs_response", amount, "EUR", "fraudulent", withdrawn, not withdrawn, AT)


async def test_disputed_money_is_a_term_of_its_own(case: Case) -> None:
    await case.run(row())
    report = await case.audit()
    assert 8 not in broken(report)
    (sums,) = [note for note in report.invariants[7].notes if " captured " in note]
    assert "+ disputed 1000 (withdrawn by banks) = " in sums


async def test_an_inquiry_moves_no_money_and_a_dispute_takes_no_more_than_is_kept(case: Case) -> None:
    await case.run(row("warning_needs_response", withdrawn=False), row(amount=99_999, order_id="captured"))
    report = await case.audit()
    assert 8 not in broken(report)
    assert any("+ disputed 3080 " in note for note in report.invariants[7].notes), report.invariants[7].notes


async def test_a_paid_order_that_was_refunded_elsewhere_needs_its_event_and_its_row(case: Case) -> None:
    await case.run("UPDATE attempt SET refunded_minor = 1000 WHERE order_id = 'paid'")
    report = await case.audit(ledger=False)
    assert broken(report) == {6}
    assert "0 PaymentRefunded for 1" in violations(report, 6)


async def test_what_both_sides_have_alike_is_no_difference(case: Case) -> None:
    await case.run(row(), OF_OLD)
    lists = replace(lists_of(case), all_disputes=[dispute(case), with_other(dispute(case), transaction_id="pi_theirs")])
    found = await compared(case, lists)
    assert found.same, found.kept


@pytest.mark.parametrize(
    ("statement", "theirs", "told"),
    [
        (None, {}, "and our books do not have it"),
        (row(withdrawn=False), {}, "1000 EUR withdrawn, and our books have 0 withdrawn"),
        (row(amount=500), {}, "and our books have 500 withdrawn"),
        (row(), {"withdrawn": False}, "0 EUR withdrawn, and our books have 1000 withdrawn"),
    ],
    ids=["unknown here", "not withdrawn here", "another amount", "given back there"],
)
async def test_what_the_sides_have_otherwise_is_found(
    case: Case, statement: str | None, theirs: dict[str, Any], told: str
) -> None:
    await case.run(*([statement] if statement else []), OF_OLD)
    lists = replace(lists_of(case), all_disputes=[dispute(case, **theirs)])
    found = await compared(case, lists)
    assert [(d.kind, d.order_id) for d in found.kept] == [(Kind.DISPUTED, "paid")]
    assert told in found.kept[0].text
    async with await session(case) as connection:
        read = await read_lists(connection, lists, SINCE, lambda _: None)
        report = await audit(connection, case.world.scope, ledger=read)
    assert told in violations(report, 8)


async def test_a_dispute_that_was_just_opened_is_waited_for(case: Case) -> None:
    await case.run(OF_OLD)
    young = with_other(dispute(case), opened_at=datetime.now(UTC))  # noqa: TID251 - the gateway's clock
    assert (await compared(case, replace(lists_of(case), all_disputes=[young]))).same
