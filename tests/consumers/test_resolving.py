"""An operator's word on every reason for a review, through the real store, held against the gateway's books."""

import asyncio
from typing import Any, Final, NamedTuple

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.runtime.answers import Answer
from consumers.runtime.resolving import Resolved
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operation import INVENTORY_KINDS, OperationKind
from domain.outcome import Approved, Declined, GatewayOutcome, NotExecuted, Pending, TransactionMissing, Unknown
from domain.ruling import No, Ruling, Word
from domain.ways_out import WAYS
from schemas.events import Line
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.harness import Pipeline
from tests.consumers.orders import TOTAL_MINOR, order, retry
from tests.consumers.test_answers import settle

pytestmark = pytest.mark.integration

K = OperationKind
YES, NO = Word.EXECUTED, Word.NOT_EXECUTED
SAYS: Final[dict[str, GatewayOutcome]] = {
    "unknown": Unknown("time-out"),
    "overdue": Pending(),
    "not_executed": NotExecuted("HTTP 429"),
}
GATEWAY: Final = (K.AUTHORIZE, K.CAPTURE, K.VOID, K.REFUND)
REFUSED: Final = {"refund_failed": K.REFUND, "void_refused": K.VOID}
NOT_PAID: Final = {"captured_in_part", "currency_differs"}
"""Only one word is taken; the first is below, the second in tests/domain/test_belief.py: no gateway here plays it."""
INVENTORY: Final = {f"{kind}_{doubt}" for kind in INVENTORY_KINDS for doubt in SAYS}
"""Our own inventory answers inside the transaction: no order comes to wait for it."""
QUICK: Final[dict[str, Any]] = {"unknown_give_up_s": 0.5, "tries_max": 2, "backoff_max_s": 0.1}
RULES: Final[dict[str, Any]] = {"pending_give_up_s": 0.3, "pending_poll_s": 0.1}


class Case(NamedTuple):
    """A review reason, and the word that is true of it: executed is what really happened at the gateway."""

    reason: str
    word: Word
    kind: OperationKind | None = None

    @property
    def order_id(self) -> OrderId:
        return OrderId(f"{self.reason}-{self.word}")

    @property
    def says(self) -> Said | None:
        if self.kind is None:
            return None
        if self.reason == "transaction_missing":
            return Said(self.kind, TransactionMissing(), self.word is YES)
        doubt = self.reason.removeprefix(f"{self.kind}_")
        return Said(self.kind, SAYS.get(doubt, Declined(FailureCode.GATEWAY_REFUSED)), self.word is YES)

    @property
    def paid(self) -> bool:
        return self.word is YES and (self.kind is K.CAPTURE or self.reason == "stuck")

    @property
    def effects(self) -> list[str]:
        """What truly happened at the gateway, in the end."""
        if self.paid:
            return ["authorize", "capture"]
        if self.kind is K.AUTHORIZE and self.word is NO:
            return []
        return ["authorize", "capture", "refund"] if self.kind is K.REFUND else ["authorize", "cancel"]


CASES: Final = [
    *(Case(f"{kind}_{doubt}", word, kind) for kind in GATEWAY for doubt in SAYS for word in Word),
    *(Case(reason, word, kind) for reason, kind in REFUSED.items() for word in Word),
    *(Case("transaction_missing", word, K.CAPTURE) for word in Word),
    *(Case("stuck", word) for word in Word),
]


def ordered(case: Case) -> Any:
    token = "pm_wallet_captured" if case.kind is K.REFUND else "pm_card_visa"
    if case.kind in {K.VOID, K.REFUND}:
        nowhere = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
        return order(case.order_id, token, lines=nowhere)
    return order(case.order_id, token)


async def reference_of(pipeline: Pipeline, case: Case) -> str | None:
    if case.word is NO:
        return None
    if case.kind is K.AUTHORIZE:
        return (await pipeline.ledger(case.order_id))[0].transaction_id
    return f"re_by_hand_{case.reason}" if case.kind is K.REFUND else None


async def in_review(pipeline: Pipeline, *cases: Case) -> None:
    """Bring an order to each of these reviews, and end every process."""
    stuck = [case for case in cases if case.reason == "stuck"]
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    if stuck:
        first = await pipeline.join([authorize_payment], relay=False, sweep=False)
        await pipeline.publish(*map(ordered, stuck))
        await pipeline.until_status("payment_authorized", *(case.order_id for case in stuck))
        await first.leave()
        await pipeline.rows("DELETE FROM outbox")
        await pipeline.rows("UPDATE orders SET updated_at = now() - interval '16 minutes', resends = 3")
    pipeline.gateway.says = {case.order_id: case.says for case in cases if case.says is not None}
    member = await pipeline.join(**RULES)
    await pipeline.publish(*(ordered(case) for case in cases if case not in stuck))
    await pipeline.until_status("manual_review", *(case.order_id for case in cases))
    found = await pipeline.rows("SELECT order_id, review_reason FROM orders")
    assert dict(found) == {case.order_id: case.reason for case in cases}
    await member.leave()
    pipeline.gateway.says = {}


def test_every_reason_that_can_come_about_here_is_a_case_with_either_word() -> None:
    assert {(case.reason, case.word) for case in CASES} == {
        (reason, word) for reason in WAYS.keys() - INVENTORY - NOT_PAID for word in Word
    }


async def test_every_review_is_settled_by_a_true_word_and_everything_adds_up(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(**QUICK)
    await in_review(pipeline, *CASES)
    resolver = pipeline.resolver(**RULES)
    for case in CASES:
        ruling = Ruling(case.word, f"saw {case.reason}", "alice", await reference_of(pipeline, case))
        found = await resolver.resolve(case.order_id, ruling)
        assert isinstance(found, Resolved), (case, found)
    await pipeline.join(**RULES)
    await pipeline.until_status("paid_and_confirmed", *(case.order_id for case in CASES if case.paid))
    await pipeline.until_status("payment_failed", *(case.order_id for case in CASES if not case.paid))
    await assert_all_is_well(pipeline)
    for case in CASES:
        assert await pipeline.effects(case.order_id) == case.effects, case
    recorded = await pipeline.rows("SELECT order_id, review_reason, word, by, reason FROM resolution")
    assert sorted(recorded) == sorted(
        (case.order_id, case.reason, case.word.value, "alice", f"saw {case.reason}") for case in CASES
    )
    assert await pipeline.value("SELECT count(*) FROM operation WHERE by = 'alice' AND starts_with(reason, 'saw')") > 0


async def test_what_somebody_captured_in_part_is_refunded_to_the_unit(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(**QUICK)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    pipeline.gateway.other_amounts = {("part", K.CAPTURE): 100}
    await pipeline.join(**RULES)
    await pipeline.publish(order("part"))
    await pipeline.until_status("manual_review", "part")
    executed = await pipeline.resolver().resolve(OrderId("part"), Ruling(YES, "saw it", "alice"))
    assert isinstance(executed, No)
    assert isinstance(await pipeline.resolver().resolve(OrderId("part"), Ruling(NO, "saw it", "alice")), Resolved)
    await pipeline.until_status("payment_failed", "part")
    await assert_all_is_well(pipeline)
    (entry,) = await pipeline.ledger("part")
    assert (entry.captured_minor, entry.refunded_minor) == (100, 100)


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_wallet_captured"])
async def test_an_approval_of_another_amount_is_given_back_and_another_method_pays(
    make_pipeline: MakePipeline, token: str
) -> None:
    pipeline = await make_pipeline(**QUICK)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    pipeline.gateway.other_amounts = {("short", K.AUTHORIZE): 100}
    await pipeline.join(**RULES)
    await pipeline.publish(order("short", token))
    await pipeline.until_status("payment_failed", "short")
    assert await pipeline.rows("SELECT failure_code FROM attempt") == [("amount_differs",)]
    pipeline.gateway.other_amounts = {}
    await pipeline.publish(retry("short"))
    await pipeline.until_status("paid_and_confirmed", "short")
    await assert_all_is_well(pipeline)
    assert sorted(entry.amount_minor for entry in await pipeline.ledger("short")) == [100, TOTAL_MINOR]


async def test_two_operators_at_once_have_one_effect_and_the_second_hears_a_clear_no(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(**QUICK)
    cases = [Case("refund_failed", NO, K.REFUND), Case("capture_unknown", YES, K.CAPTURE)]
    await in_review(pipeline, *cases)
    for case in cases:
        words = [Ruling(case.word, "mine", by) for by in ("alice", "bob", "carol")]
        found = await asyncio.gather(*(pipeline.resolver().resolve(case.order_id, word) for word in words))
        refused = [each.why for each in found if isinstance(each, No)]
        assert len(refused) == 2
        assert all("not in manual review" in why or "is under way" in why for why in refused)
        said = "SELECT count(*) FROM resolution WHERE order_id = %s"
        assert await pipeline.value(said, case.order_id) == 1
    await pipeline.join(**RULES)
    await assert_all_is_well(pipeline)


async def test_an_id_of_another_order_is_refused_and_the_others_money_stays(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(**QUICK)
    lost, refused = Case("authorize_unknown", NO, K.AUTHORIZE), Case("refund_failed", NO, K.REFUND)
    await in_review(pipeline, lost, refused)
    member = await pipeline.join(**RULES)
    nowhere = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
    await pipeline.publish(order("paid"), order("returned", "pm_wallet_captured", lines=nowhere))
    await pipeline.until_status("paid_and_confirmed", "paid")
    await pipeline.until_status("payment_failed", "returned")
    await member.leave()
    paid = await pipeline.value("SELECT transaction_id FROM attempt WHERE order_id = 'paid'")
    refund = await pipeline.value("SELECT refund_id FROM attempt WHERE order_id = 'returned'")
    # Of a call that the gateway refused only the operation knows what it made.
    await pipeline.rows("UPDATE operation SET transaction_id = 'pi_refused' WHERE order_id = 'paid'")
    await pipeline.rows("UPDATE operation SET reference = 're_refused' WHERE order_id = 'returned'")
    for case, reference, owner in (
        (lost, paid, "paid"),
        (lost, "pi_refused", "paid"),
        (refused, refund, "returned"),
        (refused, "re_refused", "returned"),
    ):
        for word in Word:
            found = await pipeline.resolver().resolve(case.order_id, Ruling(word, "saw it", "alice", reference))
            assert found == No(f"{reference} is of order {owner}: look up what this order's own payment made")
    await pipeline.rows("UPDATE operation SET reference = 'outside:SEPA-7' WHERE order_id = 'returned'")
    twice = await pipeline.resolver().resolve(refused.order_id, Ruling(YES, "saw it", "alice", "outside:SEPA-7"))
    assert twice == No("outside:SEPA-7 stands for money of order returned: add to it what tells the two apart")
    assert await pipeline.value("SELECT count(*) FROM resolution") == 0
    await pipeline.join(**RULES)
    await pipeline.until_quiet()
    await pipeline.until_status("manual_review", lost.order_id, refused.order_id)
    assert await pipeline.effects("paid") == ["authorize", "capture"]
    assert isinstance(
        await pipeline.resolver().resolve(lost.order_id, Ruling(NO, "looked", "alice", "pi_own")), Resolved
    )
    by_bank = Ruling(YES, "by bank", "alice", "re_by_hand")
    assert isinstance(await pipeline.resolver().resolve(refused.order_id, by_bank), Resolved)


async def test_of_two_orders_that_are_given_one_id_at_once_the_second_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(**QUICK)
    cases = [Case(f"authorize_{doubt}", YES, K.AUTHORIZE) for doubt in SAYS]
    await in_review(pipeline, *cases)
    word = Ruling(YES, "saw it", "alice", await reference_of(pipeline, cases[0]))
    found = await asyncio.gather(*(pipeline.resolver().resolve(case.order_id, word) for case in cases))
    (winner,) = [each.after.order_id for each in found if isinstance(each, Resolved)]
    refused = No(f"{word.reference} is of order {winner}: look up what this order's own payment made")
    assert [each for each in found if isinstance(each, No)] == [refused] * (len(cases) - 1)


async def test_a_word_that_is_only_tried_changes_nothing(make_pipeline: MakePipeline) -> None:
    pipeline = await make_pipeline(**QUICK)
    case = Case("capture_unknown", YES, K.CAPTURE)
    await in_review(pipeline, case)
    tables = ("orders", "attempt", "operation", "reservation", "event", "outbox", "resolution", "stock")
    before = [await pipeline.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    tried = await pipeline.resolver().resolve(case.order_id, Ruling(YES, "to see", "alice"), try_only=True)
    assert isinstance(tried, Resolved)
    assert [event.TYPE for event in tried.events] == ["PaidAndConfirmed"]
    assert [await pipeline.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables] == before
    assert await pipeline.resolver().resolve(OrderId("nobody"), Ruling(YES, "to see", "alice")) is None


async def test_an_answer_that_comes_after_an_operators_word_is_an_alarm_if_it_contradicts_it(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(**QUICK)
    case = Case("authorize_unknown", NO, K.AUTHORIZE)
    await in_review(pipeline, case)
    operation_id = await pipeline.value("SELECT operation_id FROM operation")
    assert isinstance(await pipeline.resolver().resolve(case.order_id, Ruling(NO, "not there", "alice")), Resolved)
    engine = pipeline.engine(pipeline.store())
    for outcome, alarms in ((Declined(FailureCode.CARD_DECLINED), 0), (Approved("pi_1", amount_minor=TOTAL_MINOR), 1)):
        with capture_logs() as log:
            await settle(engine, [Answer(case.order_id, operation_id, outcome)])
        assert len([line for line in log if line.get("reason") == "contradiction"]) == alarms
    assert await pipeline.rows("SELECT state, by FROM operation") == [("not_executed", "alice")]
