"""A key that lacks the permission for one kind of call stops that kind alone, and its orders end with a person."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.runtime.bounds import Bounds
from consumers.runtime.breaker import Breaker
from domain.operation import OperationKind
from domain.outcome import NotExecuted
from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.gateway import Said
from tests.consumers.orders import order
from tests.eventually import EVENTUALLY_S

BOUNDS = Bounds(breaker_failures=3, breaker_pause_s=0.01, breaker_pause_max_s=0.02)
WHY = "HTTP 403: the key lacks the permission"


def reasons(log: list[Any]) -> list[tuple[str, str | None]]:
    return [(line["reason"], line.get("call")) for line in log if line.get("alarm")]


async def test_one_kind_of_call_that_is_forbidden_stops_nothing_else_and_is_one_alarm() -> None:
    breaker = Breaker(BOUNDS)
    with capture_logs() as log:
        for _ in range(10):
            breaker.note_forbidden("refund", WHY)
            breaker.note_forbidden("void", WHY)
            breaker.note_forbidden("look-up of refund", WHY)
    assert breaker.room(100) == 100
    assert reasons(log) == [("gateway_forbids", call) for call in ("refund", "void", "look-up of refund")]
    assert {line["why"] for line in log} == {WHY}


async def test_authorizations_and_another_kind_that_are_forbidden_are_all_calls() -> None:
    breaker = Breaker(BOUNDS)
    breaker.note_forbidden("authorize", WHY)
    assert breaker.room(100) == 100
    breaker.note_forbidden("capture", WHY)
    assert (breaker.room(100), breaker.is_down) == (0, True)
    async with asyncio.timeout(EVENTUALLY_S):
        await breaker.wait_until_closed()
    breaker.note_forbidden("capture", WHY)
    assert breaker.room(100) == 0, "the call that was let through shows that nothing has changed"
    breaker.note_answer("void")
    assert (breaker.room(100), breaker.is_down) == (1, False), "they come back gradually"


async def test_an_answer_between_shows_that_not_all_calls_are_forbidden() -> None:
    breaker = Breaker(BOUNDS)
    for _ in range(10):
        breaker.note_forbidden("authorize", WHY)
        breaker.note_answer("capture")
        breaker.note_forbidden("refund", WHY)
        breaker.note_answer("capture")
    assert breaker.room(100) == 100


async def test_authorizations_that_are_forbidden_and_nothing_else_count_as_failures() -> None:
    breaker = Breaker(BOUNDS)
    for _ in range(BOUNDS.breaker_failures):
        assert breaker.room(100) == 100
        breaker.note_forbidden("authorize", WHY)
    assert breaker.room(100) == 0


async def test_the_end_of_it_is_told() -> None:
    breaker = Breaker(BOUNDS)
    with capture_logs() as log:
        breaker.note_forbidden("refund", WHY)
        breaker.note_answer("authorize")
        assert len(log) == 1
        breaker.note_answer("refund")
    assert [(line["event"], line["call"]) for line in log[1:]] == [("such calls are permitted again", "refund")]


@pytest.mark.integration
async def test_a_refund_that_is_forbidden_ends_in_review_with_the_reason_while_others_are_paid(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await make_pipeline(tries_max=4)
    await pipeline.stock(SKU_1=100, SKU_2=100, SKU_3=0)
    forbidden = NotExecuted("HTTP 403: having the 'rak_refund_write' permission would allow this", forbidden=True)
    pipeline.gateway.says["back"] = Said(OperationKind.REFUND, forbidden, executed=False)
    lines = ({"sku": "SKU-3", "quantity": 1, "unit_price_minor": 500},)
    with capture_logs() as log:
        member = await pipeline.join()
        await pipeline.publish(order("back", "pm_wallet_captured", lines=lines))
        await pipeline.until_status("manual_review", "back")
        orders = [f"order-{n}" for n in range(20)]
        await pipeline.publish(*map(order, orders))
        await pipeline.until_status("paid_and_confirmed", *orders)
    assert await pipeline.rows("SELECT review_reason FROM orders WHERE order_id = 'back'") == [("refund_not_executed",)]
    ((state, tries, detail),) = await pipeline.rows("SELECT state, tries, detail FROM operation WHERE kind = 'refund'")
    assert (state, tries) == ("open", 4)
    assert "rak_refund_write" in detail
    assert ("gateway_forbids", "refund") in reasons(log)
    assert "gateway_down" not in {reason for reason, _ in reasons(log)}
    assert not member.engine.breaker.is_open
    await assert_all_is_well(pipeline)
