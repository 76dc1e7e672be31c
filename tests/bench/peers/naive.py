"""naive: FastStream + SQLAlchemy ORM, one message at a time, one transaction a message, a polling relay.

Variants: seq         one consumer per topic, the relay awaits every publish
          tuned       max_workers=4 (FastStream runs one worker per partition), the relay publishes its 100 rows concurrently
          concurrent  faststream-concurrent-aiokafka, 32 messages in flight per process, the same relay
          fsoutbox    as tuned, the outbox and relay are faststream-outbox (asyncpg, LISTEN/NOTIFY)
The gateway is called before the transaction, with an idempotency key, so one transaction a message is enough.
"""

import asyncio
import logging
import sys
import uuid
from contextlib import asynccontextmanager

import sqlalchemy as sa
from faststream import Context, FastStream
from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.bench.peers import common
from tests.bench.peers.common import topic

V = common.VARIANT
IN_FLIGHT = 32
engine = create_async_engine(common.sa_url("asyncpg" if V == "fsoutbox" else "psycopg"), pool_size=40, max_overflow=20)
session_factory = async_sessionmaker(engine, expire_on_commit=False)
gateway = common.Gateway()


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    status: Mapped[str]
    currency: Mapped[str]
    total: Mapped[int] = mapped_column(sa.BigInteger)
    token: Mapped[str]
    auth_ref: Mapped[str | None]
    capture_ref: Mapped[str | None]
    body: Mapped[bytes]
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy documents it


class Stock(Base):
    __tablename__ = "stock"
    sku: Mapped[str] = mapped_column(primary_key=True)
    available: Mapped[int] = mapped_column(sa.BigInteger)
    reserved: Mapped[int] = mapped_column(sa.BigInteger)


class Reservation(Base):
    __tablename__ = "reservation"
    order_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    qty: Mapped[int]


class Inbox(Base):
    __tablename__ = "inbox"
    consumer: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


if V == "fsoutbox":
    from faststream_outbox import OutboxBroker, make_outbox_table

    outbox_table = make_outbox_table(Base.metadata, table_name="outbox")
    outbox = OutboxBroker(engine, outbox_table=outbox_table, logger=None)
else:

    class Outbox(Base):
        __tablename__ = "outbox"
        id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
        topic: Mapped[str]
        key: Mapped[str]
        payload: Mapped[bytes]


class Line(BaseModel):
    sku: str
    name: str
    quantity: int
    unit_price_minor: int


class Event(BaseModel):
    event_id: uuid.UUID
    event_type: str
    occurred_at: str
    order_id: uuid.UUID
    correlation_id: uuid.UUID
    causation_id: uuid.UUID | None
    currency: str
    total_minor: int
    lines: list[Line]
    payment_method_token: str
    authorization_ref: str | None = None
    capture_ref: str | None = None
    reason: str | None = None


broker = KafkaBroker(common.BOOTSTRAP, acks="all", enable_idempotence=True, logger=None)
if V == "concurrent":
    from faststream_concurrent_aiokafka import (
        KafkaConcurrentProcessingMiddleware,
        initialize_concurrent_processing,
        stop_concurrent_processing,
    )

    broker.add_middleware(KafkaConcurrentProcessingMiddleware)


def subscriber(name: str):
    kw = {"max_workers": 4} if V in ("tuned", "fsoutbox") else {}
    policy = AckPolicy.MANUAL if V == "concurrent" else AckPolicy.NACK_ON_ERROR
    return broker.subscriber(
        topic(name), group_id=topic("g." + name), auto_offset_reset="earliest", ack_policy=policy, **kw
    )


@asynccontextmanager
async def unit_of_work(consumer: str, event: Event):
    """A transaction that yields None when this consumer has already handled the event."""
    async with session_factory() as s, s.begin():
        fresh = await s.scalar(
            insert(Inbox)
            .values(consumer=consumer, event_id=event.event_id)
            .on_conflict_do_nothing()
            .returning(Inbox.event_id)
        )
        yield s if fresh else None


async def emit(s, event: Event, kind: str, **extra) -> None:
    nxt = Event(
        **common.follow(
            {**event.model_dump(exclude={"lines"}), "order_id": str(event.order_id), "lines": event.lines},
            kind,
            **extra,
        )
    )
    if V == "fsoutbox":
        await outbox.publish(
            nxt.model_dump(mode="json"),
            queue="relay",
            session=s,
            headers={"topic": topic(kind), "key": str(event.order_id)},
        )
    else:
        s.add(Outbox(topic=topic(kind), key=str(event.order_id), payload=nxt.model_dump_json().encode()))


async def order_in(s, event: Event, status: str) -> Order:
    order = await s.get(Order, event.order_id, with_for_update=True)
    if order is None or order.status != status:
        raise RuntimeError(f"order {event.order_id} is {order and order.status}, expected {status}")
    return order


@subscriber("OrderConfirmed")
async def authorize_payment(event: Event) -> None:
    r = await gateway.call("authorize", f"{event.order_id}:1:authorize", event.payment_method_token, event.total_minor)
    async with unit_of_work("authorize_payment", event) as s:
        if s:
            s.add(
                Order(
                    id=event.order_id,
                    status="payment_authorized" if r["ok"] else "payment_failed",
                    currency=event.currency,
                    total=event.total_minor,
                    token=event.payment_method_token,
                    auth_ref=r["ref"] if r["ok"] else None,
                    body=event.model_dump_json().encode(),
                )
            )
            if r["ok"]:
                await emit(s, event, "PaymentAuthorized", authorization_ref=r["ref"])
            else:
                await emit(s, event, "PaymentFailed", reason="card_declined")


@subscriber("PaymentAuthorized")
async def reserve_items(event: Event) -> None:
    async with unit_of_work("reserve_items", event) as s:
        if s:
            order = await order_in(s, event, "payment_authorized")
            want = {x.sku: x.quantity for x in event.lines}
            rows = (
                await s.scalars(sa.select(Stock).where(Stock.sku.in_(want)).order_by(Stock.sku).with_for_update())
            ).all()
            if len(rows) == len(want) and all(r.available >= want[r.sku] for r in rows):
                for r in rows:
                    r.available -= want[r.sku]
                    r.reserved += want[r.sku]
                    s.add(Reservation(order_id=order.id, sku=r.sku, qty=want[r.sku]))
                order.status = "items_reserved"
                await emit(s, event, "ItemsReserved", authorization_ref=order.auth_ref)
            else:
                order.status = "reservation_failed"
                await emit(s, event, "ReservationFailed", authorization_ref=order.auth_ref, reason="out_of_stock")


@subscriber("ItemsReserved")
async def capture_payment(event: Event) -> None:
    r = await gateway.call("capture", f"{event.order_id}:1:capture", event.payment_method_token, event.total_minor)
    async with unit_of_work("capture_payment", event) as s:
        if s:
            order = await order_in(s, event, "items_reserved")
            order.status, order.capture_ref = "paid_and_confirmed", r["ref"]
            await emit(s, event, "PaidAndConfirmed", authorization_ref=order.auth_ref, capture_ref=r["ref"])


@subscriber("ReservationFailed")
async def return_payment(event: Event) -> None:
    await gateway.call("void", f"{event.order_id}:1:void", event.payment_method_token, event.total_minor)
    async with unit_of_work("return_payment", event) as s:
        if s:
            order = await order_in(s, event, "reservation_failed")
            order.status = "payment_failed"
            await emit(s, event, "PaymentFailed", authorization_ref=order.auth_ref, reason="items_unavailable")


async def relay() -> None:
    """Every 50 ms (at once while there is work): 100 rows, publish, delete, commit."""

    async def send(row):
        await broker.publish(row.payload, row.topic, key=row.key.encode())

    while True:
        async with session_factory() as s, s.begin():
            rows = (
                await s.scalars(sa.select(Outbox).order_by(Outbox.id).limit(100).with_for_update(skip_locked=True))
            ).all()
            if V == "seq":
                for row in rows:
                    await send(row)
            else:
                await asyncio.gather(*(send(r) for r in rows))
            await s.execute(sa.delete(Outbox).where(Outbox.id.in_([r.id for r in rows])))
        if not rows:
            await asyncio.sleep(0.05)


if V == "fsoutbox":

    @outbox.subscriber("relay", max_workers=8, fetch_batch_size=100, min_fetch_interval=0.05, max_fetch_interval=0.5)
    async def relay_row(body: dict, headers: dict = Context("message.headers")) -> None:
        await broker.publish(body, headers["topic"], key=headers["key"].encode())


async def only_relay() -> None:
    """The relay alone, to measure it."""
    await broker.start()
    if V == "fsoutbox":
        await outbox.start()
        await asyncio.Event().wait()
    else:
        await relay()


async def setup() -> None:
    async with engine.begin() as c:
        tables = [t for t in Base.metadata.sorted_tables if t.name in ("inbox", "outbox")]
        await c.run_sync(Base.metadata.create_all, tables=tables)


async def main() -> None:
    logging.basicConfig(level=logging.WARNING)

    @asynccontextmanager
    async def lifespan():
        if V == "concurrent":
            await initialize_concurrent_processing(
                context=app.context, concurrency_limit=IN_FLIGHT, commit_batch_size=100, commit_batch_timeout_sec=1.0
            )
        if V == "fsoutbox":
            yield
            await outbox.stop()
        else:
            yield
        if V == "concurrent":
            await stop_concurrent_processing(app.context)

    app = FastStream(broker, lifespan=lifespan, logger=None)

    @app.after_startup
    async def start_relay() -> None:
        if V == "fsoutbox":
            await outbox.start()
        else:
            app.relay = asyncio.create_task(relay())

    await app.run()


if __name__ == "__main__":
    asyncio.run({"setup": setup, "relay": only_relay}.get(sys.argv[1], main)())
