"""Cancels as the storefront asks for them, and what a subscriber must make of them, whichever event comes first."""

import asyncio
from typing import Any, Final
from uuid import UUID, uuid5

from aiokafka import AIOKafkaProducer

from deploy.running import now
from schemas.codec import Codec
from schemas.envelope import headers_of
from schemas.events import Event, OrderCancelRequested
from tests.neighbours.world import World
from tests.schemas.builders import paid_and_confirmed

HAND_OVER: Final = (
    "update delivery.dispatch set state = 'sent' where order_id = %s and state = 'to_send' returning order_id"
)
"""How a team takes goods for sending, as every kit's README has it."""
_IDS: Final = UUID("5f3f3a7c-43d8-5b0e-a4b0-2a5a3d3c9a10")


def ask_to_cancel(world: World, *order_ids: str) -> None:
    """Ask for a cancel of these orders; wait until they are cancelled, and OrderCancelled is on its topic."""
    asyncio.run(_send(world, *(_request(order_id) for order_id in order_ids)))
    world.await_statuses(dict.fromkeys(order_ids, "cancelled"))


def tell_as_paid(world: World, order_id: str) -> None:
    """Put a PaidAndConfirmed of this order behind its OrderCancelled, as a reader may meet them on two topics."""
    event = paid_and_confirmed(order_id=order_id, event_id=uuid5(_IDS, f"paid {order_id}"), livemode=False)
    asyncio.run(_send(world, event))


def state_of(order_id: str, told: list[Any], sent: set[str]) -> str | None:
    """Return the state that the goods of an order must have; None: there are none. sent: orders handed over."""
    types = {event.TYPE for event in told if event.order_id == order_id}
    if "PaidAndConfirmed" not in types:
        return None
    if "OrderCancelled" in types:
        return "recall" if order_id in sent else "cancelled"
    return "sent" if order_id in sent else "to_send"


def _request(order_id: str) -> OrderCancelRequested:
    return OrderCancelRequested(
        event_id=uuid5(_IDS, order_id),
        occurred_at=now(),
        order_id=order_id,
        correlation_id=f"session-{order_id}",
        request_id=f"cancel-{order_id}",
        reason="changed my mind",
        requested_by="customer-1",
    )


async def _send(world: World, *events: Event) -> None:
    async with AIOKafkaProducer(bootstrap_servers=world.bootstrap, acks="all") as producer:
        for event in events:
            subject = event.subject.encode()
            headers = headers_of(str(event.event_id), event.TYPE, event.occurred_at, subject)
            topic = world.prefix + event.TYPE
            await producer.send_and_wait(topic, Codec().encode(event), key=subject, headers=headers)
