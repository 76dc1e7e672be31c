"""The roles that need no gateway: reserve, release, notify. One transaction a batch."""

from abc import abstractmethod
from typing import Any, ClassVar

from tests.bench.peers.limit.events import OUTBOX, Event, decode, ids_of, outbox_row, raw
from tests.bench.peers.limit.postgres import I4, bigs, copy, texts, uuids
from tests.bench.peers.limit.role import Inbox, Role, Source


class Reaction(Role):
    """A batch, a transaction."""

    TOPIC: ClassVar[str] = ""

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.src: Source = Source(self.TOPIC)

    @abstractmethod
    def react(self, events: list[Event], inbox: Inbox) -> None:
        """Do what follows from the events."""

    def step(self, wait_s: float) -> bool:
        taken = self.src.take(wait_s)
        if not taken:
            return False
        self.stats["batches"] += 1
        self.handle([decode(m.value()) for m in taken])
        self.src.done(taken)
        return True

    def handle(self, events: list[Event]) -> None:
        """React in a transaction: there is no race to lose."""
        self.transaction(self.react, events)


class Reserve(Reaction):
    """Every line of an order is held, or none."""

    TOPIC, NO = "PaymentAuthorized", 2

    def handle(self, events: list[Event]) -> None:
        """Read the stock without locks and take it by a conditional update; a lost race repeats the batch."""
        while True:
            try:
                self.transaction(self.react, events)
            except BlockingIOError:
                self.db.rollback()
                self.stats["stock_races"] += 1
            else:
                return

    def react(self, events: list[Event], inbox: Inbox) -> None:
        events = inbox(events)
        if not events:
            return
        skus = list({x["sku"] for e in events for x in e["lines"]})
        self.cur.execute("SELECT sku, available FROM stock WHERE sku = ANY(%s)", [texts([s.encode() for s in skus])])
        left: dict[str, int] = dict(self.cur.fetchall())
        taken: dict[str, int] = {}
        held, after, out = [], [], []
        for e in events:
            want: dict[str, int] = {}
            for x in e["lines"]:
                want[x["sku"]] = want.get(x["sku"], 0) + x["quantity"]
            auth = e["authorization_ref"]
            if all(left.get(s, 0) >= q for s, q in want.items()):
                for s, q in want.items():
                    left[s] -= q
                    taken[s] = taken.get(s, 0) + q
                held.append(_hold_rows(raw(e["order_id"]), want))
                after.append(b"items_reserved")
                out.append(outbox_row("ItemsReserved", e, authorization_ref=auth))
            else:
                after.append(b"reservation_failed")
                out.append(outbox_row("ReservationFailed", e, authorization_ref=auth, reason="out_of_stock"))
        self.move(ids_of(events), "payment_authorized", after)
        copy(self.cur, "reservation", held)
        copy(self.cur, OUTBOX, out)
        # Last, so that the hot rows are locked for the shortest time; sorted, so that two reservers cannot deadlock.
        self._take(taken)
        self.notify()

    def _take(self, taken: dict[str, int]) -> None:
        """Take so many of each SKU. Raises BlockingIOError when somebody else took them in between."""
        if not taken:
            return
        skus = sorted(taken)
        self.cur.execute(
            "UPDATE stock s SET available = available - u.q, reserved = reserved + u.q FROM unnest(%s, %s) u(k, q) "
            "WHERE s.sku = u.k AND s.available >= u.q",
            [texts([k.encode() for k in skus]), bigs([taken[k] for k in skus])],
        )
        if self.cur.rowcount != len(skus):
            raise BlockingIOError


def _hold_rows(order: bytes, want: dict[str, int]) -> bytes:
    head = b"\0\x03\0\0\0\x10" + order
    return b"".join([head + I4(len(s)) + s.encode() + b"\0\0\0\x04" + I4(q) for s, q in want.items()])


class Release(Reaction):
    """A failed order gives its hold back, if it has one."""

    TOPIC, NO = "PaymentFailed", 5

    def react(self, events: list[Event], inbox: Inbox) -> None:
        events = inbox(events)
        if not events:
            return
        self.cur.execute(
            "DELETE FROM reservation r USING unnest(%s) u(i) WHERE r.order_id = u.i "
            "RETURNING r.order_id::text, r.sku, r.qty",
            [uuids(ids_of(events))],
        )
        back: dict[str, int] = {}
        released = set()
        for order, sku, quantity in self.cur.fetchall():
            released.add(order)
            back[sku] = back.get(sku, 0) + quantity
        if released:
            copy(self.cur, OUTBOX, [outbox_row("ReservationReleased", e) for e in events if e["order_id"] in released])
            skus = sorted(back)
            self.cur.execute(
                "UPDATE stock s SET available = available + u.q, reserved = reserved - u.q "
                "FROM unnest(%s, %s) u(k, q) WHERE s.sku = u.k",
                [texts([k.encode() for k in skus]), bigs([back[k] for k in skus])],
            )
            self.notify()


class Notify(Reaction):
    """The customer is told once; that is recorded."""

    TOPIC, NO = "CustomerNotificationRequested", 6

    def react(self, events: list[Event], inbox: Inbox) -> None:
        rows = []
        for e in inbox(events):
            reason = e["reason"].encode()
            order = b"\0\0\0\x10" + raw(e["order_id"])
            rows.append(b"\0\x03\0\0\0\x10" + raw(e["event_id"]) + order + I4(len(reason)) + reason)
        copy(self.cur, "notification", rows)
