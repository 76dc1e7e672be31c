"""What a test sees of a pipeline: its database, its topics, the gateway's ledger."""

from typing import Any

import psycopg

from deploy.contracts import codec_of
from deploy.settings import Settings
from domain.ports.gateway import LedgerEntry
from schemas.events import Event
from schemas.topics import CONSUMED, TOPICS, dead_letter_topic, topic_name
from tests.consumers.gateway import MoodyGateway
from tests.consumers.topics import Read, read_topics


class View:
    """Reads, and for the test's own needs writes, what the pipeline works on."""

    def __init__(self, settings: Settings, gateway: MoodyGateway) -> None:
        self.settings = settings
        self.gateway = gateway
        self.codec = codec_of(settings)
        self._database: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement of the test's own; return its rows."""
        if self._database is None:
            self._database = await psycopg.AsyncConnection.connect(self.settings.psycopg_url(), autocommit=True)
        cursor = await self._database.execute(query.encode(), parameters or None)
        return await cursor.fetchall() if cursor.description else []

    async def value(self, query: str, *parameters: Any) -> Any:
        """Return the one value of a query."""
        ((found,),) = await self.rows(query, *parameters)
        return found

    async def has(self, query: str, *parameters: Any) -> bool:
        """Say whether a query finds anything."""
        return bool(await self.rows(query, *parameters))

    async def status(self, order_id: str) -> str | None:
        found = await self.rows("SELECT status FROM orders WHERE order_id = %s", order_id)
        return found[0][0] if found else None

    async def shelf(self, sku: str) -> tuple[int, int, int]:
        """Return what is available, reserved and sold."""
        ((available, reserved, sold),) = await self.rows(
            "SELECT available, reserved, sold FROM stock WHERE sku = %s", sku
        )
        return available, reserved, sold

    async def ledger(self, order_id: str) -> list[LedgerEntry]:
        """Return the gateway's transactions of this order."""
        return [entry for entry in await self.gateway.entries() if entry.order_id == order_id]

    async def effects(self, order_id: str) -> list[str]:
        """Return what truly happened at the gateway for this order, in order."""
        return [effect.kind for entry in await self.ledger(order_id) for effect in entry.effects]

    async def topics(self, *event_types: str, dead_letters: bool = False) -> list[Read]:
        """Read topics from the beginning to their end: these, or all; dead letter topics instead if asked."""
        prefix = self.settings.topic_prefix
        name = dead_letter_topic if dead_letters else topic_name
        names = [name(prefix, event_type) for event_type in event_types or (CONSUMED if dead_letters else TOPICS)]
        return await read_topics(self.settings.kafka_options(), names, prefix)

    async def events(self, order_id: str, *event_types: str) -> list[Any]:
        """Return the events of this order from the topics, decoded, each once, ours in the order of their versions."""
        found: dict[Any, Event] = {}
        for read in await self.topics(*event_types):
            if read.key == order_id.encode():
                event = self.codec.decode(read.event_type, read.key, read.value)
                found[event.event_id] = event
        return sorted(found.values(), key=lambda e: (getattr(e, "order_version", 0), getattr(e, "ordinal", 0)))

    async def story(self, order_id: str) -> list[str]:
        """Return the types of our events of this order."""
        return [event.TYPE for event in await self.events(order_id) if hasattr(event, "order_version")]

    async def dead_letters(self) -> list[tuple[str, str]]:
        """Return consumer group and reason of every dead letter, in the order of their coming."""
        found = await self.rows(
            "SELECT consumer_group, reason FROM dead_letter ORDER BY topic, partition, message_offset"
        )
        return [(group.removeprefix(self.settings.topic_prefix), reason) for group, reason in found]

    async def stock(self, **quantities: int) -> None:
        """Put goods on the shelf; `SKU_1=5` is SKU-1."""
        for name, quantity in quantities.items():
            sku = name.replace("_", "-")
            await self.rows("INSERT INTO stock VALUES (%s, %s, 0, 0)", sku, quantity)
            await self.rows("INSERT INTO stock_adjustment (sku, delta, by) VALUES (%s, %s, 'test')", sku, quantity)

    async def end_leases(self) -> None:
        """Let the time of every lease pass."""
        # Time does that without touching the orders; done by hand, whoever remembers an order must notice.
        await self.rows(
            "WITH due AS MATERIALIZED (SELECT order_id FROM orders WHERE order_id IN "
            "(SELECT order_id FROM operation WHERE due_at > now()) ORDER BY order_id FOR UPDATE), "
            "touched AS (UPDATE orders SET updated_at = updated_at WHERE order_id IN (SELECT order_id FROM due)) "
            "UPDATE operation SET due_at = now() WHERE due_at > now() AND order_id IN (SELECT order_id FROM due)"
        )

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()
