"""How long each order took from its OrderConfirmed to its outcome, by the timestamps on the topics."""

import asyncio
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.ids import OrderId
from domain.operation import OperationKind, idempotency_key
from tests.e2e.claims import OUTCOMES
from tests.e2e.deployment import Deployment
from tests.e2e.script import Order

CONFIRMED: Final = "OrderConfirmed"
PLAIN: Final = ("pm_card_visa", "pm_wallet_captured", "pm_card_chargeDeclined")
"""Tokens whose calls have no fault of their own."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds of the orders that were confirmed within a phase, shortest first."""

    phase: str
    seconds: tuple[float, ...]

    @property
    def worst(self) -> float:
        return self.seconds[-1]

    def at(self, share: float) -> float:
        """Return the delay that this share of the orders does not exceed."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    def line(self) -> str:
        shown = ", ".join(f"{share:.0%} {self.at(share):.2f} s" for share in (0.5, 0.99))
        return f"{self.phase}: {len(self.seconds)} orders, {shown}, worst {self.worst:.2f} s"


def times_of(shop: Deployment) -> dict[str, tuple[float, float]]:
    """Return when each order was confirmed, and when its first outcome came, in seconds since 1970."""
    return asyncio.run(_read(shop))


def delays_of(
    phase: str, orders: list[Order], times: dict[str, tuple[float, float]], slow: frozenset[str] = frozenset()
) -> Delays:
    """Take the orders whose calls have no fault of their own, and none that the gateway made slow."""
    plain = [o for o in orders if o.token.startswith(PLAIN) and o.order_id not in slow]
    return Delays(phase, tuple(sorted(times[o.order_id][1] - times[o.order_id][0] for o in plain)))


def slow_orders(shop: Deployment, share: float) -> frozenset[str]:
    """Return the orders with a call that the sandbox made slow: its choice is by the call's key alone."""
    keys = [
        (order_id, idempotency_key(OrderId(order_id), attempt, OperationKind(kind), number))
        for order_id, attempt, kind, number in shop.rows("select order_id, attempt, kind, try_number from operation")
    ]
    return frozenset(order_id for order_id, key in keys if crc32(key.encode()) < share * 2**32)


async def _read(shop: Deployment) -> dict[str, tuple[float, float]]:
    names = [shop.prefix + name for name in (CONFIRMED, *OUTCOMES)]
    consumer = AIOKafkaConsumer(*names, auto_offset_reset="earliest", enable_auto_commit=False, **shop.kafka)
    await consumer.start()
    confirmed: dict[str, float] = {}
    ended: dict[str, float] = {}
    try:
        partitions = [TopicPartition(name, n) for name in names for n in consumer.partitions_for_topic(name) or ()]
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                into = confirmed if partition.topic == shop.prefix + CONFIRMED else ended
                for record in records:
                    into.setdefault(record.key.decode(), record.timestamp / 1000)
    finally:
        await consumer.stop()
    return {order_id: (at, ended[order_id]) for order_id, at in confirmed.items()}
