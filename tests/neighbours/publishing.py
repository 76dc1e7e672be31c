"""A kit publishes orders; what it wrote is held against the contract, and what becomes of the orders is looked at."""

import json
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from aiokafka.partitioner import murmur2

from deploy.running import now
from schemas.codec import Codec
from schemas.events import OrderConfirmed
from tests.consumers.topics import Read
from tests.neighbours.batches import read_batches
from tests.neighbours.kits import Prepared
from tests.neighbours.running import environment
from tests.neighbours.world import PARTITIONS, SKU, World

PUBLISH_S: Final = 120.0
DECLINED: Final = "pm_card_chargeDeclinedInsufficientFunds"
TO_CONFIRM: Final = "pm_card_authenticationRequired"
_IDS: Final = UUID("8a2d0a52-7d3c-5d7e-8f60-2c9b1d1f6f55")


@dataclass(frozen=True, slots=True)
class Orders:
    """lines: what a kit publishes. statuses: what must become of each order, by its id."""

    lines: list[dict[str, Any]]
    statuses: dict[str, str]

    def with_status(self, status: str) -> list[str]:
        """Return the ids of the orders that must get this status."""
        return [order_id for order_id, found in self.statuses.items() if found == status]


def write_orders(name: str, paid: int, declined: int) -> Orders:
    """Write orders of every kind that checkout has. One waits for the customer's bank, and one costs nothing."""
    tokens = ["pm_card_visa"] * paid + [DECLINED] * declined
    lines = [_line(f"{name}-{n}", token) for n, token in enumerate(tokens)]
    lines += [_line(f"{name}-unconfirmed", TO_CONFIRM), _line(f"{name}-free", None)]
    statuses = ["paid_and_confirmed"] * paid + ["payment_failed"] * declined
    statuses += ["action_required", "paid_and_confirmed"]
    return Orders(lines, {line["order_id"]: status for line, status in zip(lines, statuses, strict=True)})


def _line(order_id: str, token: str | None) -> dict[str, Any]:
    total = 1_450 if token else 0
    return {
        "event_id": str(uuid5(_IDS, order_id)),
        "occurred_at": now().isoformat(),
        "order_id": order_id,
        "correlation_id": f"session-{order_id}",
        "causation_id": None,
        "customer_id": "customer-1",
        "currency": "EUR",
        "lines": [
            {"sku": SKU, "quantity": 2, "unit_price_minor": 500},
            {"sku": SKU, "quantity": 1, "unit_price_minor": 200},
        ],
        "discount_minor": 1_450 - total,
        "delivery_fee_minor": 250,
        "service_fee_minor": 0,
        "tax_minor": 0,
        "total_minor": total,
        "payment_method": token and {"kind": "CARD", "token": token, "gateway_customer_id": None, "off_session": False},
    }


def check_publishing(kit: Prepared, world: World, orders: Orders) -> None:
    """Have the kit publish these orders, and some of them once more, as after a crash of checkout.

    Fails if an order ends otherwise than it must, or if a message is not as the contract says.
    """
    before = len(world.read("OrderConfirmed"))
    again = orders.lines[::3]
    _publish(kit, world, orders.lines)
    _publish(kit, world, again)
    written = [message for message in world.read("OrderConfirmed") if message.key and _is_of(message.key, orders)]
    assert len(world.read("OrderConfirmed")) - before == len(written) == len(orders.lines) + len(again)
    expected = {line["order_id"]: OrderConfirmed.model_validate(line) for line in orders.lines}
    for message in written:
        event = expected[(message.key or b"").decode()]
        assert message.value == Codec().encode(event), f"{event.order_id}: the body is {(message.value or b'').hex()}"
        assert message.partition == (murmur2(message.key) & 0x7FFF_FFFF) % PARTITIONS, f"{event.order_id}: partition"
        assert _read_headers(message) == _headers(event), f"{event.order_id}: the headers are {message.headers}"
    if world.data_dir is not None:
        _check_batches(world, {(message.partition, message.offset) for message in written})
    world.await_statuses(orders.statuses)


def _is_of(key: bytes, orders: Orders) -> bool:
    return key.decode() in orders.statuses


def _publish(kit: Prepared, world: World, lines: list[dict[str, Any]]) -> None:
    """Run the kit's publisher. Its standard error is for people."""
    variables = {"KAFKA_BOOTSTRAP_SERVERS": world.bootstrap, "TOPIC_PREFIX": world.prefix, "SCHEMAS": "schemas"}
    done = subprocess.run(
        kit.publish,
        cwd=kit.folder,
        env=environment(**variables),
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=PUBLISH_S,
        check=False,
    )
    assert done.returncode == 0, f"it ended with {done.returncode}:\n{done.stdout[-1_000:]}{done.stderr[-3_000:]}"


def _headers(event: OrderConfirmed) -> dict[str, object]:
    return {
        "ce_specversion": b"1.0",
        "ce_id": str(event.event_id).encode(),
        "ce_source": b"/checkout",
        "ce_type": b"OrderConfirmed",
        "ce_time": event.occurred_at,
        "ce_subject": event.order_id.encode(),
        "content-type": b"application/avro",
    }


def _read_headers(message: Read) -> dict[str, object]:
    """Return the headers by name, with the time as a time."""
    found = dict[str, object](message.headers)
    assert len(found) == len(message.headers), f"a header is there twice: {message.headers}"
    time = str(message.header.get("ce_time", b""), "utf-8")
    assert time.endswith("Z"), f"ce_time is not in UTC: {time}"
    return found | {"ce_time": datetime.fromisoformat(time)}


def _check_batches(world: World, written: set[tuple[int, int]]) -> None:
    assert world.data_dir is not None
    files = Path(world.data_dir) / "kafka" / "data"
    batches = [
        batch
        for batch in read_batches(files, f"{world.prefix}OrderConfirmed", PARTITIONS)
        if (batch.partition, batch.offset) in written
    ]
    assert sum(batch.records for batch in batches) == len(written), "a batch has messages of others"
    assert all(batch.idempotent for batch in batches), "the producer is not idempotent"
    assert all(batch.codec == 0 for batch in batches), "the producer compresses"
