"""The roles that call the gateway: authorize, capture, void."""

import asyncio
import time
from abc import abstractmethod
from collections import deque
from functools import partial
from typing import Any, ClassVar

import orjson
import psycopg

from tests.bench.peers.common import Gateway
from tests.bench.peers.limit.events import OUTBOX, Event, decode, failed, ids_of, outbox_row, raw
from tests.bench.peers.limit.postgres import I4, I8, bigs, copy, shorts, status_is, texts, uuids
from tests.bench.peers.limit.role import Inbox, Message, Role, Source
from tests.bench.peers.limit.settings import IN_FLIGHT, REACTIONS

Answer = dict[str, Any]
Answers = dict[str, Answer]
Flight = tuple[list[Message], list[Event], asyncio.Task[list[Answer]]]
TURN_S = 0.002
"""How long the gateway may run before the next look at the topic."""
_ORDERS = "orders(id, version, status, currency, total, token, body)"
_OPERATIONS = "operation(order_id, attempt, kind, state)"


class Gated(Role):
    """plan -> gateway -> settle, several batches in flight, settled in order."""

    TOPIC: ClassVar[str] = ""
    KIND: ClassVar[str] = ""
    OP: ClassVar[int] = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, gateway: Gateway) -> None:
        super().__init__()
        self.loop, self.gateway = loop, gateway
        self.flight = deque[Flight]()
        self.src: Source = Source(self.TOPIC)

    @abstractmethod
    def plan(self, events: list[Event]) -> list[Event]:
        """Store what is about to be asked of the gateway; give the events for which it is to be asked."""

    @abstractmethod
    def settle(self, answers: Answers, events: list[Event], inbox: Inbox) -> None:
        """Store what the gateway answered."""

    async def act(self, events: list[Event]) -> list[Answer]:
        """Ask the gateway."""
        call, kind = self.gateway.call, self.KIND
        return await asyncio.gather(
            *[call(kind, f"{e['order_id']}:1:{kind}", e["payment_method_token"], e["total_minor"]) for e in events]
        )

    def step(self, wait_s: float) -> bool:
        busy = len(self.flight) < IN_FLIGHT and self._launch(wait_s)
        if not self.flight:
            return busy
        task = self.flight[0][2]
        if not task.done():  # let the gateway run; wait for it only when there is nothing else to do
            full = len(self.flight) >= IN_FLIGHT or not busy
            self.loop.run_until_complete(asyncio.wait([task], timeout=TURN_S) if full else asyncio.sleep(0))
        while self.flight and self.flight[0][2].done():
            self._land(*self.flight.popleft())
        return True

    def _launch(self, wait_s: float) -> bool:
        """Take a batch, plan it and ask the gateway; tell whether there was one."""
        taken = self.src.take(0 if self.flight else wait_s)
        if not taken:
            return False
        self.stats["batches"] += 1
        events = [decode(m.value()) for m in taken]
        t = time.perf_counter()
        events = self.plan(events)
        self.stats["plan_s"] += time.perf_counter() - t
        self.flight.append((taken, events, self.loop.create_task(self.act(events))))
        return True

    def _land(self, taken: list[Message], events: list[Event], task: asyncio.Task[list[Answer]]) -> None:
        """Settle a batch that is answered."""
        answers = {e["event_id"]: answer for e, answer in zip(events, task.result(), strict=True)}
        if events:
            self.transaction(partial(self.settle, answers), events)
        self.src.done(taken)

    def operations(self, events: list[Event], answers: Answers) -> None:
        """Record each answer with its operation."""
        self.cur.execute(
            "UPDATE operation o SET state = u.s, ref = u.r FROM unnest(%s, %s, %s) u(i, s, r) WHERE o.order_id = u.i "
            f"AND CASE WHEN o.attempt = 1 AND o.kind = {self.OP} THEN true ELSE false END",
            [
                uuids(ids_of(events)),
                shorts([1 if answers[e["event_id"]]["ok"] else 2 for e in events]),
                texts([answers[e["event_id"]]["ref"].encode() for e in events]),
            ],
        )


class Authorize(Gated):
    """The order and its operation are stored, and the money authorized."""

    TOPIC, KIND, OP, NO = "OrderConfirmed", "authorize", 1, 1

    def plan(self, events: list[Event]) -> list[Event]:
        ids = ids_of(events)
        orders = [_order_row(i, e) for i, e in zip(ids, events, strict=True)]
        ops = [b"\0\x04\0\0\0\x10" + i + b"\0\0\0\x02\0\x01\0\0\0\x02\0\x01\0\0\0\x02\0\0" for i in ids]
        try:
            copy(self.cur, _ORDERS, orders)
            copy(self.cur, _OPERATIONS, ops)
        except psycopg.errors.UniqueViolation:
            self.db.rollback()
            events = self._plan_again(events, orders, ops)
        self.db.commit()
        return events

    def _plan_again(self, events: list[Event], orders: list[bytes], ops: list[bytes]) -> list[Event]:
        """Store what is not there yet; give the events that were not settled yet, one an order."""
        c = self.cur
        for new, like in (("t_orders", "orders"), ("t_operation", "operation")):
            c.execute(f"CREATE TEMP TABLE IF NOT EXISTS {new} (LIKE {like}) ON COMMIT DELETE ROWS", prepare=False)
        copy(c, "t_" + _ORDERS, orders)
        copy(c, "t_" + _OPERATIONS, ops)
        for name, key in (("orders", "id"), ("operation", "order_id")):
            c.execute(
                f"INSERT INTO {name} SELECT DISTINCT ON ({key}) * FROM t_{name} ON CONFLICT DO NOTHING", prepare=False
            )
        c.execute(
            "SELECT uuid_send(event_id) FROM inbox WHERE consumer = %s AND event_id = ANY(%s)",
            [self.NO, uuids([raw(e["event_id"]) for e in events])],
        )
        old = {r[0] for r in c.fetchall()}
        return list({e["order_id"]: e for e in events if raw(e["event_id"]) not in old}.values())

    def settle(self, answers: Answers, events: list[Event], inbox: Inbox) -> None:
        events = inbox(events)
        answered = [answers[e["event_id"]] for e in events]
        self.operations(events, answers)
        self.move(
            ids_of(events),
            "confirmed",
            [b"payment_authorized" if a["ok"] else b"payment_failed" for a in answered],
            auth=[a["ref"].encode() if a["ok"] else None for a in answered],
        )
        out = [
            outbox_row("PaymentAuthorized", e, authorization_ref=a["ref"]) if a["ok"] else failed(e, "card_declined")
            for e, a in zip(events, answered, strict=True)
        ]
        copy(self.cur, OUTBOX, out)
        self.notify()


def _order_row(order: bytes, e: Event) -> bytes:
    token, body = e["payment_method_token"].encode(), orjson.dumps(e["lines"])
    row: bytes = (
        b"\0\x07\0\0\0\x10"
        + order
        + b"\0\0\0\x04\0\0\0\x01\0\0\0\x09confirmed\0\0\0\x03"
        + e["currency"].encode()
        + b"\0\0\0\x08"
        + I8(e["total_minor"])
        + I4(len(token))
        + token
        + I4(len(body))
        + body
    )
    return row


class Settle(Gated):
    """Capture and void: the operation row is opened only for orders in the right state."""

    FROM: ClassVar[str] = ""
    TO: ClassVar[bytes] = b""

    def plan(self, events: list[Event]) -> list[Event]:
        ids = uuids(ids_of(events))
        self.cur.execute(
            f"INSERT INTO operation SELECT o.id, 1, {self.OP}, 0 FROM unnest(%s) u(i) JOIN orders o ON o.id = u.i "
            f"WHERE {status_is(self.FROM)} ON CONFLICT DO NOTHING",
            [ids],
        )
        if self.cur.rowcount != len(events):  # redelivery: keep the events whose operation is still open
            self.cur.execute(
                "SELECT order_id::text FROM operation "
                f"WHERE order_id = ANY(%s) AND attempt = 1 AND kind = {self.OP} AND state = 0",
                [ids],
            )
            still_open = {r[0] for r in self.cur.fetchall()}
            events = list({e["order_id"]: e for e in events if e["order_id"] in still_open}.values())
        self.db.commit()
        return events

    def settle(self, answers: Answers, events: list[Event], inbox: Inbox) -> None:
        events = inbox(events)
        self.operations(events, answers)
        refs = [answers[e["event_id"]]["ref"] for e in events]
        self.move(
            ids_of(events),
            self.FROM,
            [self.TO] * len(events),
            capture=self.captured(refs),
        )
        copy(self.cur, OUTBOX, [self.emitted(e, ref) for e, ref in zip(events, refs, strict=True)])
        self.follow(events)
        self.notify()

    def captured(self, refs: list[str]) -> list[bytes] | None:
        """Say what is stored as the orders' captures."""
        return None

    @abstractmethod
    def emitted(self, e: Event, ref: str) -> bytes:
        """Write what is published."""

    def follow(self, events: list[Event]) -> None:
        """Do what else belongs into the transaction."""


class Capture(Settle):
    """The money is taken, and with the reactions the hold is sold."""

    TOPIC, KIND, OP, NO = "ItemsReserved", "capture", 2, 3
    FROM, TO = "items_reserved", b"paid_and_confirmed"

    def captured(self, refs: list[str]) -> list[bytes]:
        return [r.encode() for r in refs]

    def emitted(self, e: Event, ref: str) -> bytes:
        return outbox_row("PaidAndConfirmed", e, authorization_ref=e["authorization_ref"], capture_ref=ref)

    def follow(self, events: list[Event]) -> None:
        """Sell the holds: hot rows last and sorted, as in Reserve."""
        if not REACTIONS:
            return
        sold: dict[str, int] = {}
        for e in events:
            for x in e["lines"]:
                sold[x["sku"]] = sold.get(x["sku"], 0) + x["quantity"]
        skus = sorted(sold)
        self.cur.execute(
            "UPDATE stock s SET reserved = reserved - u.q, sold = sold + u.q FROM unnest(%s, %s) u(k, q) "
            "WHERE s.sku = u.k",
            [texts([k.encode() for k in skus]), bigs([sold[k] for k in skus])],
        )


class Void(Settle):
    """The money is given up: the order has failed."""

    TOPIC, KIND, OP, NO = "ReservationFailed", "void", 3, 4
    FROM, TO = "reservation_failed", b"payment_failed"

    def emitted(self, e: Event, ref: str) -> bytes:
        auth = e["authorization_ref"]
        row = failed(e, "items_unavailable", authorization_ref=auth)
        return outbox_row("PaymentVoided", e, authorization_ref=auth) + row if REACTIONS else row
