"""An authorization that nobody has decided on: a slow issuer is waited for, and nobody pays twice meanwhile."""

from typing import Any

import pytest

from tests.consumers.claims import assert_all_is_well
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order, retry

pytestmark = pytest.mark.integration

SLOW = [f"slow-{n}" for n in range(5)]
QUICK = {"unknown_retry_s": 0.1, "backoff_max_s": 0.1}


async def begun(make_pipeline: MakePipeline, **rules: Any) -> Pipeline:
    """Have orders authorized by an issuer that does not decide, and wait until they were looked up."""
    pipeline = await make_pipeline(**QUICK)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    pipeline.gateway.undecided = set(SLOW)
    await pipeline.join(**rules)
    await pipeline.publish(*map(order, SLOW))
    return pipeline


async def test_a_slow_issuer_is_waited_for_and_who_clicks_again_pays_once(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline)
    looked_up = "SELECT count(*) FROM operation WHERE tries > 2 AND state = 'unknown'"

    async def all_were() -> bool:
        return bool(await pipeline.value(looked_up) == len(SLOW))

    await pipeline.until(all_were, "looked up")

    await pipeline.publish(*(retry(order_id, after_attempt=1) for order_id in SLOW))
    await pipeline.until_told("RETRY_REFUSED")
    pipeline.gateway.undecided = set()

    await pipeline.until_status("paid_and_confirmed", *SLOW)
    await assert_all_is_well(pipeline)
    for order_id in SLOW:
        assert await pipeline.effects(order_id) == ["authorize", "capture"]


async def test_what_nobody_decides_is_cancelled_and_another_method_pays(make_pipeline: MakePipeline) -> None:
    pipeline = await begun(make_pipeline, decision_max_s=0.5)

    await pipeline.until_status("payment_failed", *SLOW)
    for order_id in SLOW:
        assert await pipeline.effects(order_id) == ["authorize", "cancel"], "the approval that nobody saw is free"
    pipeline.gateway.undecided = set()
    await pipeline.publish(*(retry(order_id, after_attempt=1) for order_id in SLOW))
    await pipeline.until_status("paid_and_confirmed", *SLOW)
    await assert_all_is_well(pipeline)
