"""Answers that come to an operation which has its outcome: the first counts, and a person hears of a contradiction."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from consumers.order_confirmed import authorize_payment
from consumers.runtime.answers import Answer
from consumers.runtime.engine import Engine
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operation import OperationKind
from domain.outcome import Approved, Declined, OtherAmount, Outcome
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import TOTAL_MINOR, order
from tests.eventually import EVENTUALLY_S

pytestmark = pytest.mark.integration

APPROVED = Approved("pi_1", amount_minor=TOTAL_MINOR)
SHORT = OtherAmount("pi_1", TOTAL_MINOR - 1)
DECLINED = Declined(FailureCode.CARD_DECLINED)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("second", "alarms"), [(APPROVED, 0), (DECLINED, 1), (SHORT, 1)], ids=["same", "declined", "another amount"]
)
async def test_second_answer_changes_nothing_and_alarms_if_it_contradicts(
    make_pipeline: MakePipeline, *, together: bool, second: Outcome, alarms: int
) -> None:
    pipeline = await make_pipeline()
    engine = pipeline.engine(pipeline.store())
    first_answer, second_answer = await _answers(pipeline, APPROVED, second)
    with capture_logs() as log:
        if together:
            await settle(engine, [first_answer, second_answer])
        else:
            await settle(engine, [first_answer])
            await settle(engine, [second_answer])
    assert len([line for line in log if line.get("reason") == "contradiction"]) == alarms
    assert len([line for line in log if line["event"] == "answer to a settled operation"]) == 1 - alarms
    assert await pipeline.rows("SELECT state FROM operation") == [("approved",)]
    assert await pipeline.rows("SELECT ordinal, order_version FROM event") == [(0, 1)]
    assert await pipeline.status("order-1") == "payment_authorized"


async def test_an_approval_of_another_amount_that_is_told_twice_is_no_contradiction(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline()
    engine = pipeline.engine(pipeline.store())
    first, again, whole = await _answers(pipeline, SHORT, SHORT, APPROVED)
    with capture_logs() as log:
        await settle(engine, [first])
        await settle(engine, [again])
        assert "contradiction" not in {line.get("reason") for line in log}
        await settle(engine, [whole])
    assert [line["said"] for line in log if line.get("reason") == "contradiction"] == ["approved"]


async def _answers(pipeline: Pipeline, *outcomes: Outcome) -> list[Answer]:
    """Have an authorization begun by a process that dies over it; return what may be said of it."""
    pipeline.gateway.hangs_on = {OperationKind.AUTHORIZE: False}
    begun = await pipeline.join([authorize_payment], relay=False, sweep=False)
    await pipeline.publish(order())
    await pipeline.until(lambda: pipeline.has("SELECT 1 FROM operation"), "the operation")
    await begun.crash()
    operation_id = await pipeline.value("SELECT operation_id FROM operation")
    return [Answer(OrderId("order-1"), operation_id, outcome) for outcome in outcomes]


async def settle(engine: Engine, answers: Sequence[Answer]) -> None:
    """Have answers settled in one batch."""
    engine.answers.put(answers)
    settling = asyncio.ensure_future(engine.settler.run("settler"))
    async with asyncio.timeout(EVENTUALLY_S):
        await engine.sweep.at_rest()
    settling.cancel()
    with suppress(asyncio.CancelledError):
        await settling
