"""limit: the same durable steps by hand, set-based. No ORM, no statement, offset or wake-up per message.

authorize  plan tx (orders, open operations) -> gateway -> settle tx (inbox, operations, orders, outbox)
reserve    one tx (inbox, stock, reservations, orders, outbox)
capture    plan tx -> gateway -> settle tx, and void the same way for ReservationFailed
after      one tx each: a failed order's hold is released (inbox, reservations, stock, outbox), a customer is told
           (inbox, notification); variant `reactions` only
relay      LISTEN or poll; select by id, produce, wait for acks=all, delete

Variants, joined by '+': avro (one record for all events, canonical check) or else JSON; reactions: everything that our
module does beyond the core: capture sells the hold, void emits PaymentVoided, a failure emits
CustomerNotificationRequested, and both are reacted to.

Inserts are COPY in binary, built with struct; a duplicate key makes COPY fail, then the batch takes the ON CONFLICT path.
Updates are one statement over unnest of hand-encoded binary arrays. While one batch waits for the gateway the next is planned.
Roles joined by '+' share one process and one thread: python limit.py authorize+relay
"""

import asyncio
import gc
import hashlib
import os
import signal
import sys
import time
from collections import defaultdict, deque
from struct import Struct

import orjson
import psycopg
import uvloop
from confluent_kafka import Consumer, Producer, TopicPartition
from psycopg.adapt import Dumper
from psycopg.pq import Format

from tests.bench.peers import common
from tests.bench.peers.common import topic

BATCH = int(os.environ.get("LIMIT_BATCH", "1000"))
LINGER = float(os.environ.get("LIMIT_LINGER_MS", "2")) / 1000
IN_FLIGHT = int(os.environ.get("LIMIT_IN_FLIGHT", "4"))
RELAY_BATCH = int(os.environ.get("LIMIT_RELAY_BATCH", "3000"))
RELAY_LINGER = float(os.environ.get("LIMIT_RELAY_LINGER_MS", "5"))
NOTIFY = os.environ.get("LIMIT_NOTIFY", "1") == "1"
STATS = os.environ.get("LIMIT_STATS")
NS = common.NS.bytes
AVRO, REACTIONS = "avro" in common.VARIANT, "reactions" in common.VARIANT
encode, decode = common.avro_codec() if AVRO else (orjson.dumps, orjson.loads)
DDL = """
CREATE TABLE operation(order_id uuid, attempt int2, kind int2, state int2 NOT NULL, ref text, PRIMARY KEY(order_id, attempt, kind)) WITH (fillfactor = 80);
CREATE TABLE notification(event_id uuid PRIMARY KEY, order_id uuid NOT NULL, reason text NOT NULL);
CREATE TABLE inbox(consumer int2, event_id uuid, PRIMARY KEY(consumer, event_id));
CREATE TABLE outbox(id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY, topic int2 NOT NULL, key bytea NOT NULL, value bytea NOT NULL)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE outbox ALTER value SET STORAGE EXTERNAL;
ALTER TABLE orders ALTER body SET STORAGE EXTERNAL;
"""
I2, I4, I8 = Struct("!h").pack, Struct("!i").pack, Struct("!q").pack
HEAD = Struct("!iiiii").pack


# --- binary parameters -------------------------------------------------------------------------------------------------------
class Param:
    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Uuids(Param): ...


class Texts(Param): ...


class Shorts(Param): ...


class Bigs(Param): ...


def dumper(oid_: int):
    return type("D", (Dumper,), {"format": Format.BINARY, "oid": oid_, "dump": lambda self, obj: obj.data})


def uuids(ids):  # 16 raw bytes each
    return Uuids(HEAD(1, 0, 2950, len(ids), 1) + b"".join([b"\0\0\0\x10" + i for i in ids]))


def texts(xs):
    return Texts(
        HEAD(1, 1, 25, len(xs), 1) + b"".join([b"\xff\xff\xff\xff" if x is None else I4(len(x)) + x for x in xs])
    )


def shorts(xs):
    return Shorts(HEAD(1, 0, 21, len(xs), 1) + b"".join([b"\0\0\0\x02" + I2(x) for x in xs]))


def bigs(xs):
    return Bigs(HEAD(1, 0, 20, len(xs), 1) + b"".join([b"\0\0\0\x08" + I8(x) for x in xs]))


def connect() -> psycopg.Connection:
    # The first plans are made, and cached, while the tables are empty. With a hash or nested loop around a scan of the table every later
    # batch is linear in the table or quadratic (measured: 10 to 15 times slower), so only "index lookup per array element" is left.
    opt = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    c = psycopg.connect(common.DSN, prepare_threshold=0, options=os.environ.get("LIMIT_PGOPT", opt))
    for cls, oid in ((Uuids, 2951), (Texts, 1009), (Shorts, 1005), (Bigs, 1016)):
        c.adapters.register_dumper(cls, dumper(oid))
    return c


def status_is(s: str) -> str:
    """As a plain "status = x" the planner, without statistics, expects hardly a row and puts orders outside of the join: quadratic."""
    return f"CASE WHEN o.status = '{s}' THEN true ELSE false END"


def copy(cur, target: str, rows) -> None:
    with cur.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as cp:
        cp.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"".join(rows) + b"\xff\xff")


# --- events -------------------------------------------------------------------------------------------------------------------
def raw(s: str) -> bytes:
    return bytes.fromhex(s.replace("-", ""))


def event_id(oid: str, kind: str) -> str:
    h = bytearray(hashlib.sha1(NS + (oid + kind).encode(), usedforsecurity=False).digest()[:16])
    h[6] = h[6] & 15 | 80
    h[8] = h[8] & 63 | 128
    x = h.hex()
    return f"{x[:8]}-{x[8:12]}-{x[12:16]}-{x[16:20]}-{x[20:]}"


def follow(e: dict, kind: str, **extra) -> bytes:
    return encode(
        {
            "event_id": event_id(e["order_id"], kind),
            "event_type": kind,
            "occurred_at": "2026-11-23T18:00:00.000000Z",
            "order_id": e["order_id"],
            "correlation_id": e["correlation_id"],
            "causation_id": e["event_id"],
            "currency": e["currency"],
            "total_minor": e["total_minor"],
            "lines": e["lines"],
            "payment_method_token": e["payment_method_token"],
            **extra,
        }
    )


TOPIC_NO = {n: i for i, n in enumerate(common.STEPS)}


def outbox_row(kind: str, e: dict, **extra) -> bytes:
    v = follow(e, kind, **extra)
    return b"\0\x03\0\0\0\x02" + I2(TOPIC_NO[kind]) + b"\0\0\0\x24" + e["order_id"].encode() + I4(len(v)) + v


def failed(e: dict, reason: str, **extra) -> bytes:
    """The order failed; with the reactions the customer is to be told."""
    row = outbox_row("PaymentFailed", e, reason=reason, **extra)
    return row + outbox_row("CustomerNotificationRequested", e, reason=reason) if REACTIONS else row


class Source:
    """A consumer group over one topic, taken in batches; offsets are committed after the database."""

    def __init__(self, name: str) -> None:
        self.c = Consumer(
            {
                "bootstrap.servers": common.BOOTSTRAP,
                "group.id": topic("g." + name),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1,
                "queued.min.messages": 20000,
                "max.partition.fetch.bytes": 4 << 20,
                "check.crcs": True,
                "enable.partition.eof": False,
            }
        )
        self.c.subscribe([topic(name)])

    def take(self, wait: float):
        m = self.c.poll(wait)
        if m is None:
            return []
        ms = [m] + (self.c.consume(BATCH - 1, 0) or [])
        if (
            LINGER and 32 <= len(ms) < BATCH
        ):  # under load a little longer for larger batches; a lone order does not wait
            ms += self.c.consume(BATCH - len(ms), LINGER)
        return [m for m in ms if m.error() is None]

    def done(self, ms) -> None:
        last = {(m.topic(), m.partition()): m.offset() for m in ms}
        self.c.commit(offsets=[TopicPartition(t, p, o + 1) for (t, p), o in last.items()], asynchronous=True)


class Role:
    NO = 0
    stats: dict

    def __init__(self) -> None:
        self.db = connect()
        self.cur = self.db.cursor(binary=True)
        self.stats = defaultdict(float)

    def inbox(self, events: list[dict]) -> list[dict]:
        """Record the events; the ones that are new. Optimistic COPY, on a duplicate the whole transaction starts again."""
        head = b"\0\x02\0\0\0\x02" + I2(self.NO) + b"\0\0\0\x10"
        copy(self.cur, "inbox", [head + raw(e["event_id"]) for e in events])
        return events

    def inbox_slow(self, events: list[dict]) -> list[dict]:
        by_id = {raw(e["event_id"]): e for e in events}
        self.cur.execute(
            "INSERT INTO inbox SELECT %s, x FROM unnest(%s) x ON CONFLICT DO NOTHING RETURNING uuid_send(event_id)",
            [self.NO, uuids(list(by_id))],
        )
        fresh = {r[0] for r in self.cur.fetchall()}
        return [e for i, e in by_id.items() if i in fresh]

    def transaction(self, body, events):
        """Run body(events, inbox function) in a transaction; after a unique violation again with the ON CONFLICT inbox."""
        t = time.perf_counter()
        try:
            r = body(events, self.inbox)
            self.db.commit()
        except psycopg.errors.UniqueViolation:
            self.db.rollback()
            self.stats["duplicates"] += 1
            r = body(events, self.inbox_slow)
            self.db.commit()
        self.stats["tx_n"] += 1
        self.stats["tx_s"] += time.perf_counter() - t
        self.stats["tx_rows"] += len(events)
        return r

    def notify(self) -> None:
        if NOTIFY:
            self.cur.execute("NOTIFY outbox")

    def move(self, ids, frm: bytes, to, auth=None, capture=None) -> None:
        """Advance the orders from one state to the given ones; all must be there."""
        s = "UPDATE orders o SET version = version + 1, status = u.s"
        args, cols, names = [uuids(ids), texts(to)], "%s, %s", "i, s"
        for name, xs in (("auth_ref", auth), ("capture_ref", capture)):
            if xs is not None:
                s += f", {name} = u.{name}"
                args.append(texts(xs))
                cols += ", %s"
                names += f", {name}"
        self.cur.execute(f"{s} FROM unnest({cols}) u({names}) WHERE o.id = u.i AND {status_is(frm.decode())}", args)
        if self.cur.rowcount != len(ids):
            raise RuntimeError(f"{len(ids) - self.cur.rowcount} of {len(ids)} orders are not {frm.decode()}")


class Gated(Role):
    """plan -> gateway -> settle, several batches in flight, settled in order."""

    TOPIC = KIND = ""
    OP = 0

    def __init__(self, loop, gateway) -> None:
        super().__init__()
        self.loop, self.gateway, self.flight, self.src = loop, gateway, deque(), Source(self.TOPIC)

    async def act(self, events):
        call, kind = self.gateway.call, self.KIND
        return await asyncio.gather(
            *[call(kind, f"{e['order_id']}:1:{kind}", e["payment_method_token"], e["total_minor"]) for e in events]
        )

    def step(self, wait: float) -> bool:
        busy = False
        if len(self.flight) < IN_FLIGHT:
            ms = self.src.take(0 if self.flight else wait)
            if ms:
                busy = True
                events = [decode(m.value()) for m in ms]
                self.stats["batches"] += 1
                events = self.plan(events)
                self.flight.append((ms, events, self.loop.create_task(self.act(events))))
        if self.flight:
            task = self.flight[0][2]
            if not task.done():  # let the gateway run; wait for it only when there is nothing else to do
                full = len(self.flight) >= IN_FLIGHT or not busy
                self.loop.run_until_complete(asyncio.wait([task], timeout=0.002) if full else asyncio.sleep(0))
            while self.flight and self.flight[0][2].done():
                ms, events, task = self.flight.popleft()
                answers = {e["event_id"]: r for e, r in zip(events, task.result())}
                if events:
                    self.transaction(lambda es, inbox: self.settle(es, answers, inbox), events)
                self.src.done(ms)
            busy = True
        return busy

    def operations(self, events, answers) -> None:
        self.cur.execute(
            f"UPDATE operation o SET state = u.s, ref = u.r FROM unnest(%s, %s, %s) u(i, s, r) WHERE o.order_id = u.i AND CASE WHEN o.attempt = 1 AND o.kind = {self.OP} THEN true ELSE false END",
            [
                uuids([raw(e["order_id"]) for e in events]),
                shorts([1 if answers[e["event_id"]]["ok"] else 2 for e in events]),
                texts([answers[e["event_id"]]["ref"].encode() for e in events]),
            ],
        )


class Authorize(Gated):
    TOPIC, KIND, OP, NO = "OrderConfirmed", "authorize", 1, 1

    def plan(self, events):
        orders, ops, t = [], [], time.perf_counter()
        for e in events:
            i, tok, body = raw(e["order_id"]), e["payment_method_token"].encode(), orjson.dumps(e["lines"])
            orders.append(
                b"\0\x07\0\0\0\x10"
                + i
                + b"\0\0\0\x04\0\0\0\x01\0\0\0\x09confirmed\0\0\0\x03"
                + e["currency"].encode()
                + b"\0\0\0\x08"
                + I8(e["total_minor"])
                + I4(len(tok))
                + tok
                + I4(len(body))
                + body
            )
            ops.append(b"\0\x04\0\0\0\x10" + i + b"\0\0\0\x02\0\x01\0\0\0\x02\0\x01\0\0\0\x02\0\0")
        cols = "(id, version, status, currency, total, token, body)"
        try:
            copy(self.cur, "orders" + cols, orders)
            copy(self.cur, "operation(order_id, attempt, kind, state)", ops)
        except psycopg.errors.UniqueViolation:
            self.db.rollback()
            c = self.cur
            for new, like in (("t_orders", "orders"), ("t_op", "operation")):
                c.execute(f"CREATE TEMP TABLE IF NOT EXISTS {new} (LIKE {like}) ON COMMIT DELETE ROWS", prepare=False)
            copy(c, "t_orders" + cols, orders)
            copy(c, "t_op(order_id, attempt, kind, state)", ops)
            c.execute(
                "INSERT INTO orders SELECT DISTINCT ON (id) * FROM t_orders ON CONFLICT DO NOTHING", prepare=False
            )
            c.execute(
                "INSERT INTO operation SELECT DISTINCT ON (order_id) * FROM t_op ON CONFLICT DO NOTHING", prepare=False
            )
            c.execute(
                "SELECT uuid_send(event_id) FROM inbox WHERE consumer = %s AND event_id = ANY(%s)",
                [self.NO, uuids([raw(e["event_id"]) for e in events])],
            )
            old = {r[0] for r in c.fetchall()}
            events = list({e["order_id"]: e for e in events if raw(e["event_id"]) not in old}.values())
        self.db.commit()
        self.stats["plan_s"] += time.perf_counter() - t
        return events

    def settle(self, events, answers, inbox):
        events = inbox(events)
        ok = [answers[e["event_id"]]["ok"] for e in events]
        ref = [answers[e["event_id"]]["ref"] for e in events]
        self.operations(events, answers)
        self.move(
            [raw(e["order_id"]) for e in events],
            b"confirmed",
            [b"payment_authorized" if o else b"payment_failed" for o in ok],
            auth=[r.encode() if o else None for o, r in zip(ok, ref)],
        )
        out = [
            outbox_row("PaymentAuthorized", e, authorization_ref=r) if o else failed(e, "card_declined")
            for e, o, r in zip(events, ok, ref)
        ]
        copy(self.cur, "outbox(topic, key, value)", out)
        self.notify()


class Settle(Gated):
    """Capture and void: the operation row is opened only for orders in the right state."""

    FROM = TO = EMIT = ""

    def plan(self, events):
        t = time.perf_counter()
        self.cur.execute(
            f"INSERT INTO operation SELECT o.id, 1, {self.OP}, 0 FROM unnest(%s) u(i) JOIN orders o ON o.id = u.i WHERE {status_is(self.FROM)} ON CONFLICT DO NOTHING",
            [uuids([raw(e["order_id"]) for e in events])],
        )
        if self.cur.rowcount != len(events):  # redelivery: keep the events whose operation is still open
            self.cur.execute(
                f"SELECT order_id::text FROM operation WHERE order_id = ANY(%s) AND attempt = 1 AND kind = {self.OP} AND state = 0",
                [uuids([raw(e["order_id"]) for e in events])],
            )
            open_ = {r[0] for r in self.cur.fetchall()}
            events = list({e["order_id"]: e for e in events if e["order_id"] in open_}.values())
        self.db.commit()
        self.stats["plan_s"] += time.perf_counter() - t
        return events

    def settle(self, events, answers, inbox):
        events = inbox(events)
        self.operations(events, answers)
        refs = [answers[e["event_id"]]["ref"] for e in events]
        self.move(
            [raw(e["order_id"]) for e in events],
            self.FROM.encode(),
            [self.TO.encode()] * len(events),
            capture=[r.encode() for r in refs] if self.OP == 2 else None,
        )
        copy(self.cur, "outbox(topic, key, value)", [self.emitted(e, r) for e, r in zip(events, refs)])
        if self.OP == 2 and REACTIONS:
            self.sell(events)
        self.notify()

    def emitted(self, e: dict, ref: str) -> bytes:
        auth = e["authorization_ref"]
        if self.OP == 2:
            return outbox_row(self.EMIT, e, authorization_ref=auth, capture_ref=ref)
        row = failed(e, "items_unavailable", authorization_ref=auth)
        return outbox_row("PaymentVoided", e, authorization_ref=auth) + row if REACTIONS else row

    def sell(self, events) -> None:
        """The holds are sold: hot rows last and sorted, as in Reserve."""
        sold: dict[str, int] = {}
        for e in events:
            for x in e["lines"]:
                sold[x["sku"]] = sold.get(x["sku"], 0) + x["quantity"]
        ks = sorted(sold)
        self.cur.execute(
            "UPDATE stock s SET reserved = reserved - u.q, sold = sold + u.q FROM unnest(%s, %s) u(k, q) WHERE s.sku = u.k",
            [texts([k.encode() for k in ks]), bigs([sold[k] for k in ks])],
        )


class Capture(Settle):
    TOPIC, KIND, OP, NO, FROM, TO, EMIT = (
        "ItemsReserved",
        "capture",
        2,
        3,
        "items_reserved",
        "paid_and_confirmed",
        "PaidAndConfirmed",
    )


class Void(Settle):
    TOPIC, KIND, OP, NO, FROM, TO, EMIT = (
        "ReservationFailed",
        "void",
        3,
        4,
        "reservation_failed",
        "payment_failed",
        "PaymentFailed",
    )


class Reserve(Role):
    NO = 2

    def __init__(self, *_) -> None:
        super().__init__()
        self.src = Source("PaymentAuthorized")

    def step(self, wait: float) -> bool:
        ms = self.src.take(wait)
        if not ms:
            return False
        self.stats["batches"] += 1
        events = [decode(m.value()) for m in ms]
        while (
            True
        ):  # the stock rows are read without locks and taken by a conditional update; a lost race repeats the batch
            try:
                self.transaction(self.reserve, events)
                break
            except BlockingIOError:
                self.db.rollback()
                self.stats["stock_races"] += 1
        self.src.done(ms)
        return True

    def reserve(self, events, inbox):
        events = inbox(events)
        if not events:
            return
        skus = list({x["sku"] for e in events for x in e["lines"]})
        self.cur.execute("SELECT sku, available FROM stock WHERE sku = ANY(%s)", [texts([s.encode() for s in skus])])
        left = dict(self.cur.fetchall())
        taken: dict[str, int] = {}
        held, to, out = [], [], []
        for e in events:
            want: dict[str, int] = {}
            for x in e["lines"]:
                want[x["sku"]] = want.get(x["sku"], 0) + x["quantity"]
            if all(left.get(s, 0) >= q for s, q in want.items()):
                i = raw(e["order_id"])
                for s, q in want.items():
                    left[s] -= q
                    taken[s] = taken.get(s, 0) + q
                    b = s.encode()
                    held.append(b"\0\x03\0\0\0\x10" + i + I4(len(b)) + b + b"\0\0\0\x04" + I4(q))
                to.append(b"items_reserved")
                out.append(outbox_row("ItemsReserved", e, authorization_ref=e["authorization_ref"]))
            else:
                to.append(b"reservation_failed")
                out.append(
                    outbox_row("ReservationFailed", e, authorization_ref=e["authorization_ref"], reason="out_of_stock")
                )
        self.move([raw(e["order_id"]) for e in events], b"payment_authorized", to)
        copy(self.cur, "reservation", held)
        copy(self.cur, "outbox(topic, key, value)", out)
        if (
            taken
        ):  # last, so that the hot rows are locked for the shortest time; sorted, so that two reservers cannot deadlock
            ks = sorted(taken)
            self.cur.execute(
                "UPDATE stock s SET available = available - u.q, reserved = reserved + u.q FROM unnest(%s, %s) u(k, q) WHERE s.sku = u.k AND s.available >= u.q",
                [texts([k.encode() for k in ks]), bigs([taken[k] for k in ks])],
            )
            if self.cur.rowcount != len(ks):
                raise BlockingIOError
        self.notify()


class Reaction(Role):
    """One transaction a batch, no gateway, nothing to lose a race for."""

    TOPIC = ""

    def __init__(self, *_) -> None:
        super().__init__()
        self.src = Source(self.TOPIC)

    def step(self, wait: float) -> bool:
        ms = self.src.take(wait)
        if not ms:
            return False
        self.stats["batches"] += 1
        self.transaction(self.react, [decode(m.value()) for m in ms])
        self.src.done(ms)
        return True


class Release(Reaction):
    """A failed order gives its hold back, if it has one."""

    TOPIC, NO = "PaymentFailed", 5

    def react(self, events, inbox):
        events = inbox(events)
        if not events:
            return
        ids = uuids([raw(e["order_id"]) for e in events])
        self.cur.execute(
            "DELETE FROM reservation r USING unnest(%s) u(i) WHERE r.order_id = u.i RETURNING r.order_id::text, r.sku, r.qty",
            [ids],
        )
        back: dict[str, int] = {}
        released = set()
        for order, sku, quantity in self.cur.fetchall():
            released.add(order)
            back[sku] = back.get(sku, 0) + quantity
        if released:
            copy(
                self.cur,
                "outbox(topic, key, value)",
                [outbox_row("ReservationReleased", e) for e in events if e["order_id"] in released],
            )
            ks = sorted(back)
            self.cur.execute(
                "UPDATE stock s SET available = available + u.q, reserved = reserved - u.q FROM unnest(%s, %s) u(k, q) WHERE s.sku = u.k",
                [texts([k.encode() for k in ks]), bigs([back[k] for k in ks])],
            )
            self.notify()


class Notify(Reaction):
    """The customer is told once; that is recorded."""

    TOPIC, NO = "CustomerNotificationRequested", 6

    def react(self, events, inbox):
        events = inbox(events)
        rows = []
        for e in events:
            reason = e["reason"].encode()
            rows.append(
                b"\0\x03\0\0\0\x10" + raw(e["event_id"]) + b"\0\0\0\x10" + raw(e["order_id"]) + I4(len(reason)) + reason
            )
        copy(self.cur, "notification", rows)


class Relay(Role):
    def __init__(self, *_) -> None:
        super().__init__()
        self.cur.execute("SET synchronous_commit = off")  # a delete lost in a crash sends again, and the inbox drops it
        self.cur.execute("LISTEN outbox")
        self.db.commit()
        self.bad: list = []
        self.p = Producer(
            {
                "bootstrap.servers": common.BOOTSTRAP,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": RELAY_LINGER,
                "batch.size": 1 << 20,
                "batch.num.messages": 10000,
                "queue.buffering.max.messages": 1_000_000,
                "delivery.report.only.error": True,
            }
        )
        self.topics = [topic(n) for n in common.STEPS]

    def step(self, wait: float) -> bool:
        c = self.cur
        t = time.perf_counter()
        c.execute("SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT %s", [RELAY_BATCH])
        rows = c.fetchall()
        if not rows:
            self.db.commit()
            if wait:
                self.db.autocommit = True
                for _ in self.db.notifies(timeout=wait, stop_after=1):
                    pass
                self.db.autocommit = False
            return False
        produce, topics, cb = self.p.produce, self.topics, self._report
        t1 = time.perf_counter()
        for _, tp, key, value in rows:
            produce(topics[tp], value, key, on_delivery=cb)
        if self.p.flush(30) or self.bad:
            raise RuntimeError(
                f"not published: {self.bad[:1]}"
            )  # nothing was deleted; a restart sends from the lowest row
        t2 = time.perf_counter()
        c.execute("DELETE FROM outbox WHERE id = ANY(%s)", [bigs([r[0] for r in rows])])
        self.db.commit()
        t3 = time.perf_counter()
        for k, v in (
            ("batches", 1),
            ("rows", len(rows)),
            ("select_s", t1 - t),
            ("kafka_s", t2 - t1),
            ("delete_s", t3 - t2),
        ):
            self.stats[k] += v
        return True

    def _report(self, err, msg) -> None:
        if err is not None:
            self.bad.append(err)


ROLES = {
    "authorize": [Authorize],
    "reserve": [Reserve],
    "capture": [Capture, Void],
    "relay": [Relay],
    "after": [Release, Notify],
    "everything": [Authorize, Reserve, Capture, Void, Release, Notify, Relay],
}


def main(names: str) -> None:
    if names == "setup":
        with psycopg.connect(common.DSN) as c:
            c.execute(DDL)
        return
    loop = uvloop.new_event_loop()
    gateway = common.Gateway()
    roles = [cls(loop, gateway) for n in names.split("+") for cls in ROLES[n]]
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    wait = 0.05 / len(roles) if len(roles) > 1 else 0.05
    busy = True
    while not stop:
        now = busy and len(roles) > 1
        busy = False
        for r in roles:
            busy |= r.step(0 if now else (wait if len(roles) == 1 else 0.002))
    for r in roles:
        if STATS:
            print(type(r).__name__, {k: round(v, 3) for k, v in r.stats.items()}, flush=True)
        if hasattr(r, "src"):
            r.src.c.close()


if __name__ == "__main__":
    main(sys.argv[1])
