"""A message whose schema is not known yet keeps its own partition, and only that."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.reactions import BY_NAME
from deploy.auditing import run_audit
from deploy.failures import Failure
from deploy.passing import Wish, say_pass
from schemas.events import Event
from schemas.registry import SchemaAwaited
from schemas.rejection import Reason, Rejected
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.reading.world import alarms, rewind, topic_of, until_rung

pytestmark = pytest.mark.integration

RESERVE = BY_NAME["reserve_items"]


class Decoder:
    """Decodes, but for these keys: what it raises for them. asked: how often it was asked for them."""

    def __init__(self, pipeline: Pipeline, event_type: str, error: Exception, *keys: str) -> None:
        self._decode = pipeline.codec.decode
        self._event_type = event_type
        self._error = error
        self.keys = {key.encode() for key in keys}
        self.asked = 0

    def __call__(self, event_type: str, key: bytes | None, body: bytes | None) -> Event:
        if event_type == self._event_type and key in self.keys:
            self.asked += 1
            raise self._error
        return self._decode(event_type, key, body)


async def made(make_pipeline: MakePipeline, **settings: Any) -> Pipeline:
    pipeline = await make_pipeline(**{"topic_partitions": 12, **settings})
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    return pipeline


async def test_newer_schema_on_our_own_topic_keeps_its_partition_only(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline)
    newer = Decoder(pipeline, "PaymentAuthorized", Rejected(Reason.UNKNOWN_SCHEMA, "newer"), "newer")
    ids = [f"order-{n}" for n in range(60)]
    with capture_logs() as log:
        await pipeline.join(decode=newer)
        await pipeline.publish(order("newer"))
        (alarm,) = await until_rung(pipeline, log, "newer_schema")
        await pipeline.publish(*(order(order_id) for order_id in ids))
        authorized = await _partitions(pipeline, ids)
        elsewhere = [order_id for order_id in ids if authorized[order_id] != authorized["newer"]]
        assert len(elsewhere) > 40
        await pipeline.until_status("paid_and_confirmed", *elsewhere)
    assert (alarm["topic"], alarm["partition"]) == (topic_of(pipeline, "PaymentAuthorized"), authorized["newer"])
    assert alarm["offset"] == 0
    assert alarms(log, "dependency_down") == []
    assert await pipeline.status("newer") == "payment_authorized"
    assert await pipeline.dead_letters() == []


async def _partitions(pipeline: Pipeline, ids: list[str]) -> dict[str, int]:
    """Wait until each order's PaymentAuthorized is on its topic; return its partition there."""
    found: dict[str, int] = {}

    async def all_there() -> bool:
        found.update({(r.key or b"").decode(): r.partition for r in await pipeline.topics("PaymentAuthorized")})
        return {"newer", *ids} <= found.keys()

    await pipeline.until(all_there, "authorized")
    return found


async def test_messages_before_one_of_a_newer_schema_are_processed(make_pipeline: MakePipeline) -> None:
    pipeline = await made(make_pipeline, topic_partitions=1)
    await pipeline.publish(*(order(order_id) for order_id in ("before-1", "before-2", "newer", "behind")))
    member = await pipeline.join(consume=[_reaction("authorize_payment")])
    await pipeline.until_taken()
    await pipeline.until(lambda: pipeline.has("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)"), "sent")
    await member.leave()
    newer = Decoder(pipeline, "PaymentAuthorized", Rejected(Reason.UNKNOWN_SCHEMA, "newer"), "newer")
    with capture_logs() as log:
        second = await pipeline.join(decode=newer)
        await until_rung(pipeline, log, "newer_schema")
        order_of = await pipeline.rows("SELECT order_id FROM event WHERE topic LIKE '%%PaymentAuthorized' ORDER BY id")
        before = [i for (i,) in order_of][: [i for (i,) in order_of].index("newer")]
        await pipeline.until_status("paid_and_confirmed", *before)
    assert await pipeline.status("newer") == "payment_authorized"
    newer.keys.clear()
    await second.leave()
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "before-1", "before-2", "newer", "behind")


def _reaction(name: str) -> Any:
    from consumers.reactions import BY_NAME

    return BY_NAME[name]


FOREIGN = {"another fingerprint": b"\xc3\x01" + b"\x07" * 8 + b"?", "a registry's id": b"\0\0\0\0\x07?"}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN.keys())
async def test_an_operator_passes_over_a_foreign_message_on_a_topic_of_ours(
    make_pipeline: MakePipeline, body: bytes
) -> None:
    pipeline = await made(make_pipeline, topic_partitions=1)
    await pipeline.publish_raw("PaymentAuthorized", b"foreign", body)
    await pipeline.publish(order("behind"))
    with capture_logs() as log:
        member = await pipeline.join()
        (alarm,) = await until_rung(pipeline, log, "newer_schema")
        assert "payments dlq pass" in alarm["todo"]
        await pipeline.until(lambda: sent(pipeline, "PaymentAuthorized", 2), "the order is authorized")
        with pytest.raises(Failure, match="pass over that one alone"):
            await say_pass(pipeline.settings, Wish("PaymentAuthorized", 0, 0, 1, "none of ours", "ada"))
        await say_pass(pipeline.settings, Wish("PaymentAuthorized", 0, 0, 0, "none of ours", "ada"))
        await pipeline.until_status("paid_and_confirmed", "behind")
        await pipeline.until_taken()
        assert await pipeline.value("SELECT applied_at IS NOT NULL FROM passed_stretch")
        await member.leave()
        await rewind(pipeline, RESERVE, 0)
        await pipeline.join()
        await pipeline.until_taken()
    ((group, reason, offset, to_offset, kept, detail),) = await pipeline.rows(
        "SELECT consumer_group, reason, message_offset, to_offset, body, detail FROM dead_letter"
    )
    assert (group, reason, offset, to_offset, kept) == (RESERVE.group, "unknown_schema", 0, None, body)
    assert detail.startswith("ada passed over it (none of ours): ")
    report = await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)
    assert report.holds
    assert report.quiescent


async def sent(pipeline: Pipeline, event_type: str, count: int) -> bool:
    return len(await pipeline.topics(event_type)) >= count


async def test_schema_that_a_registry_does_not_know_yet_is_asked_for_again_while_others_flow(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = await made(make_pipeline)
    awaited = Decoder(pipeline, "OrderConfirmed", SchemaAwaited("7"), "awaited")
    await pipeline.join(decode=awaited)
    await pipeline.publish(order("awaited"), *(order(f"order-{n}") for n in range(30)))

    async def asked() -> bool:
        return awaited.asked >= 3

    await pipeline.until(asked, "asked again")
    paid = await pipeline.value("SELECT count(*) FROM orders WHERE status = 'paid_and_confirmed'")
    assert paid >= 20
    awaited.keys.clear()
    await pipeline.until_status("paid_and_confirmed", "awaited", *(f"order-{n}" for n in range(30)))
    assert await pipeline.dead_letters() == []
