"""A refund fails after it had succeeded, and an operator pays by bank transfer: all books hold, the gateway's too."""

from datetime import timedelta

import pytest

from deploy.auditing import run_reconcile
from domain.ids import OrderId
from domain.ruling import No, Ruling, Word
from outbox.audit import Reconciliation
from schemas.events import Line
from tests.consumers.claims import assert_the_audit_holds
from tests.consumers.harness import now
from tests.consumers.orders import order
from tests.consumers.real_gateway import MakeWorld, World, make_world

__all__ = ["make_world"]

pytestmark = pytest.mark.integration

NOWHERE = (Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),)
PROOF = "outside:SEPA-2026-11-29-7"


async def reconciled(world: World) -> Reconciliation:
    """Compare with the sandbox's lists, as `payments reconcile` does."""
    at_sandbox = {"gateway": "sandbox", "stripe_api_base": world.proxy.target}
    return await run_reconcile(world.pipeline.settings.model_copy(update=at_sandbox), now() - timedelta(hours=1))


async def rule(world: World, word: Word, reference: str | None) -> object:
    ruling = Ruling(word, "the bank has sent it", "alice", reference)
    return await world.pipeline.resolver().resolve(OrderId("order-1"), ruling)


async def test_a_failed_refund_that_is_paid_past_the_gateway_ends_and_audit_and_reconcile_hold(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    pipeline = world.pipeline
    first = await world.join()
    await pipeline.publish(order(token="pm_fault_refund_fails_later", lines=NOWHERE))
    await pipeline.until_status("payment_failed", "order-1")
    refund_id = await pipeline.value("SELECT refund_id FROM attempt")

    async def failed() -> bool:
        return bool((await world.proxy.call("GET", f"/v1/refunds/{refund_id}"))[1]["status"] == "failed")

    await pipeline.until(failed, "the refund fails")
    await first.leave()
    await world.join()  # which looks for failed refunds first
    await pipeline.until_status("manual_review", "order-1")
    await pipeline.until_quiet()
    kept = await pipeline.value("SELECT captured_minor - refunded_minor FROM attempt")
    assert kept > 0
    assert (await reconciled(world)).same

    own_id = await rule(world, Word.EXECUTED, refund_id)
    assert isinstance(own_id, No)
    assert f"refund {refund_id} is declined in our books" in own_id.why
    assert not isinstance(await rule(world, Word.EXECUTED, PROOF), No)

    await pipeline.until_status("payment_failed", "order-1")
    told = [(e.refund_id, e.amount_minor) for e in await pipeline.events("order-1", "PaymentRefunded")]
    assert told == [(refund_id, kept), (PROOF, kept)]
    await pipeline.until_quiet()
    (entry,) = await pipeline.ledger("order-1")
    assert entry.kept_minor == kept, "the gateway has it still"
    await assert_the_audit_holds(pipeline)
    after = await reconciled(world)
    assert (after.same, after.for_operator) == (True, [])

    status, twice = await world.proxy.call("POST", "/v1/refunds", {"payment_intent": entry.transaction_id})
    assert status == 200

    async def is_told() -> bool:
        found = [(d.kind, d.refund_id, d.ours, d.theirs) for d in (await reconciled(world)).kept]
        return found == [("refunded_elsewhere", twice["id"], 0, kept)]

    # While the sweep looks at what the gateway told, the order is under way, and is not judged.
    await pipeline.until(is_told, "it is told if the gateway pays it as well")
