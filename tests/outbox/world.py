"""One real run of the pipeline, kept: its database, the gateway's books, and what stood on its topics."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from deploy.kafka_topics import GROUPS, KafkaTopics
from domain.ports.gateway import LedgerEntry
from outbox.audit import Report, Scope, TopicMessage, Unreadable, audit, wait_until_quiet
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from producers.unchecked import encode_unchecked
from schemas.codec import Codec
from tests.consumers.harness import Pipeline, open_pipeline
from tests.consumers.orders import FREE, cancel, order, retry

CARD = "4242424242424242"

PAID = ("paid", "captured", "void-captured", "retried", "free", "lost-answer")
FAILED = ("declined", "capture-refused", "short", "short-captured", "free-short", "pending", "void-refunded")
CANCELLED = ("cancelled-unpaid", "cancelled-paid")
REVIEWED = ("unknown",)


class Ledger:
    """A GatewayLedger of a test's own."""

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        self._entries = entries

    async def entries(self) -> Sequence[LedgerEntry]:
        return self._entries


@dataclass(frozen=True)
class Topics:
    """A TopicReader of a test's own."""

    held: Sequence[TopicMessage]
    offsets: Mapping[tuple[str, int], int]
    bad: Sequence[Unreadable] = ()

    async def committed(self) -> Mapping[tuple[str, int], int]:
        return self.offsets

    def unreadable(self) -> Sequence[Unreadable]:
        return self.bad

    async def messages(self) -> AsyncIterator[Sequence[TopicMessage]]:
        yield self.held


@dataclass(frozen=True)
class World:
    """url: the database, for psycopg. The rest is what was outside it."""

    url: str
    prefix: str
    entries: Sequence[LedgerEntry]
    topics: Topics

    @property
    def scope(self) -> Scope:
        return Scope(Codec(prefix=self.prefix), GROUPS, self.prefix)


@dataclass
class Case:
    """The world, to be broken and then audited."""

    world: World
    url: str

    async def run(self, *statements: str) -> None:
        """Change the database behind the pipeline's back; topics are written `world.<event type>`."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                changed = await connection.execute(statement.replace("world.", self.world.prefix).encode())
                assert changed.rowcount != 0, f"it changed nothing: {statement}"

    async def audit(
        self, entries: Sequence[LedgerEntry] | None = None, *, ledger: bool = True, topics: Topics | None = None
    ) -> Report:
        books = Ledger(self.world.entries if entries is None else entries) if ledger else None
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            return await audit(connection, self.world.scope, ledger=books, topics=topics)

    def entry(self, order_id: str) -> LedgerEntry:
        """Return the last transaction of an order."""
        return [entry for entry in self.world.entries if entry.order_id == order_id][-1]

    def doctored(self, of: str, /, **changes: object) -> list[LedgerEntry]:
        """Return the gateway's books with the last transaction of an order changed."""
        wanted = self.entry(of)
        return [replace(e, **changes) if e is wanted else e for e in self.world.entries]  # type: ignore[arg-type]


def broken(report: Report) -> set[int]:
    return {invariant.id for invariant in report.invariants if invariant.holds is False}


def violations(report: Report, invariant: int) -> str:
    return "\n".join(report.invariants[invariant - 1].violations)


async def play(url: str, bootstrap: str, prefix: str) -> tuple[Sequence[LedgerEntry], Topics]:
    """Let the pipeline meet everything that may happen to an order; return what was outside the database."""
    store = PostgresStore(Connections(url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    await store.close()
    patient = {"sandbox_pending_s": 3_600, "unknown_give_up_s": 0.5, "topic_partitions": 1}
    async with open_pipeline(url, bootstrap, prefix, **patient) as pipeline:
        await pipeline.stock(SKU_1=100, SKU_2=100, SKU_3=1)
        member = await pipeline.join()
        await _orders(pipeline)
        await pipeline.until_status("paid_and_confirmed", *PAID)
        await pipeline.until_status("payment_failed", *FAILED)
        await pipeline.until_status("manual_review", *REVIEWED)
        await pipeline.until_status("paid_and_confirmed", "cancelled-paid")
        await pipeline.until_status("payment_failed", "cancelled-unpaid")
        await pipeline.publish(*map(cancel, CANCELLED))
        await pipeline.until_status("cancelled", *CANCELLED)
        await _rest(pipeline)
        await member.leave()
        reader = KafkaTopics(pipeline.settings)
        committed = await reader.committed()
        held = [message async for batch in reader.messages() for message in batch]
        return await pipeline.gateway.entries(), Topics(held, committed)


async def _orders(pipeline: Pipeline) -> None:
    scarce: dict[str, Any] = {
        "lines": [{"sku": "SKU-3", "quantity": 5, "unit_price_minor": 1_000}],
        "discount_minor": 0,
    }
    free_short: dict[str, Any] = {**scarce, "discount_minor": 5_630, "payment_method": None}
    await pipeline.publish(
        order("paid"),
        order("captured", "pm_wallet_captured"),
        order("void-captured", "pm_card_visa"),
        order("lost-answer", "pm_fault_reset_after"),
        order("free", **FREE),
        order("declined", "pm_card_chargeDeclined"),
        order("retried", "pm_card_chargeDeclined"),
        order("capture-refused", "pm_fault_capture_refused"),
        order("short", **scarce),
        order("short-captured", "pm_wallet_captured", **scarce),
        order("free-short", **free_short),
        order("pending", "pm_fault_refund_pending", **scarce),
        order("void-refunded", "pm_fault_void_refused_captured", **scarce),
        order("unknown", "pm_fault_reset_before_always"),
        order("cancelled-unpaid", "pm_card_chargeDeclined"),
        order("cancelled-paid"),
    )
    await pipeline.publish(order("paid"))
    await pipeline.publish_raw("OrderConfirmed", b"garbage", b"garbage")
    said = order("card").model_dump(mode="json") | {"payment_method": {"kind": "CARD", "token": CARD}}
    await pipeline.publish_raw("OrderConfirmed", b"card", encode_unchecked("OrderConfirmed", said))
    await pipeline.until_status("payment_failed", "retried")
    await pipeline.publish(retry("retried"))


async def _rest(pipeline: Pipeline) -> None:
    """Wait until the audit finds nothing under way."""
    scope = Scope(pipeline.codec, GROUPS, pipeline.settings.topic_prefix)
    lag = KafkaTopics(pipeline.settings).lag
    connection = await psycopg.AsyncConnection.connect(pipeline.settings.psycopg_url(), autocommit=True)
    async with connection:
        assert await wait_until_quiet(connection, scope, 30, lag=lag)
