"""The topics alone give the orders of a whole run; whatever is changed on one side is found, and named."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field

import pytest
from psycopg.conninfo import make_conninfo

from domain.decision import event_id
from domain.ids import OrderId
from outbox.audit import TopicMessage
from outbox.audit.rebuild import Kind, Rebuilt, ScratchRefused, Sides, Verdict, open_scratch, rebuild
from outbox.driver.conninfo import connect, libpq_url
from tests.outbox.world import CANCELLED, FAILED, PAID, REVIEWED, Case, Topics
from tests.schemas import builders
from tests.servers.databases import fresh_database

pytestmark = pytest.mark.integration

ORDERS = len((*PAID, *FAILED, *CANCELLED, *REVIEWED))


@dataclass(frozen=True)
class History(Topics):
    """Topics, some of which have lost their first messages."""

    short: Collection[str] = ()

    async def shortened(self) -> Collection[str]:
        return self.short


@dataclass
class Found:
    """What a rebuild says."""

    rebuilt: Rebuilt
    verdicts: list[Verdict] = field(default_factory=list)

    def fields(self, order_id: str) -> dict[str, tuple[object, object]]:
        """Return the fields of an order that differ: live, topics."""
        differing = {v.order_id: v for v in self.verdicts if v.kind is Kind.DIFFERS}
        return {f.field: (f.live, f.topics) for f in differing[order_id].fields}

    def apart(self) -> dict[str, str]:
        return {v.order_id: str(v.reason) for v in self.verdicts if v.kind is Kind.APART}


async def rebuilt(
    case: Case,
    held: Sequence[TopicMessage] | None = None,
    *,
    short: Collection[str] = (),
    history: History | None = None,
) -> Found:
    """Rebuild the case from what stood on its topics, or from these messages."""
    topics = case.world.topics
    history = history or History(topics.held if held is None else held, topics.offsets, short=short)
    found: list[Verdict] = []
    async with await connect(case.url, name="test", autocommit=True) as live:
        sides = Sides(live, case.world.scope, history)
        async with open_scratch(case.url, "scratch", live, keep=False) as scratch:
            return Found(await rebuild(sides, scratch, tell=found.append), found)


def of(case: Case, event_type: str, order_id: str) -> list[TopicMessage]:
    topic = case.world.prefix + event_type
    return [m for m in case.world.topics.held if m.topic == topic and m.key == order_id.encode()]


def without(case: Case, *messages: TopicMessage) -> list[TopicMessage]:
    assert messages
    return [m for m in case.world.topics.held if m not in messages]


PENDING = {"pending": "under_way"}
"""Its refund waits for a bank."""


async def test_every_story_of_a_run_is_rebuilt_equal(case: Case) -> None:
    found = await rebuilt(case)
    assert (found.rebuilt.equal, found.rebuilt.differing, found.apart()) == (ORDERS - 1, 0, PENDING)
    assert found.rebuilt.hash_live == found.rebuilt.hash_topics
    assert [line.rpartition(" ")[2] for line in found.rebuilt.left_out] == ["undecodable", "card_number"]


PLANTED = {
    "paid": ("UPDATE orders SET status = 'payment_failed' WHERE order_id = 'paid'", "status"),
    "captured": ("UPDATE attempt SET captured_minor = 1 WHERE order_id = 'captured'", "attempts[1].captured_minor"),
    "retried": (
        "UPDATE attempt SET transaction_id = 'pi_other' WHERE order_id = 'retried' AND attempt = 2",
        "attempts[2].transaction_id",
    ),
    "free": ("UPDATE orders SET version = version + 1 WHERE order_id = 'free'", "version"),
    "declined": ("UPDATE orders SET attempt = 2 WHERE order_id = 'declined'", "attempt"),
    "short-captured": (
        "UPDATE attempt SET refunded_minor = 0 WHERE order_id = 'short-captured'",
        "attempts[1].refunded_minor",
    ),
    "void-refunded": (
        "UPDATE operation SET reference = 're_other' WHERE order_id = 'void-refunded' AND kind = 'refund'",
        "attempts[1].refund_ids",
    ),
    "void-captured": (
        "UPDATE reservation SET reservation_id = gen_random_uuid() WHERE order_id = 'void-captured'",
        "attempts[1].reservation_id",
    ),
    "short": ("UPDATE attempt SET voided = false WHERE order_id = 'short'", "attempts[1].held_minor"),
    "capture-refused": ("UPDATE orders SET total_minor = 1 WHERE order_id = 'capture-refused'", "total_minor"),
    "free-short": ("UPDATE orders SET currency = 'USD' WHERE order_id = 'free-short'", "currency"),
    "cancelled-unpaid": ("DELETE FROM attempt WHERE order_id = 'cancelled-unpaid'", "attempts[1]"),
    "unknown": ("UPDATE attempt SET authorized_minor = -1 WHERE order_id = 'unknown'", "attempts[1].authorized_minor"),
    "lost-answer": ("DELETE FROM orders WHERE order_id = 'lost-answer'", "order"),
}
"""By order: a change of the live side, and the field that shows it."""


async def test_whatever_is_changed_in_the_database_is_found_and_named(case: Case) -> None:
    await case.run(*(statement for statement, _ in PLANTED.values()))
    found = await rebuilt(case)
    assert {v.order_id for v in found.verdicts if v.kind is Kind.DIFFERS} == PLANTED.keys() - {"unknown"}
    for order_id, (_, name) in PLANTED.items() - {("unknown", PLANTED["unknown"])}:
        assert name in found.fields(order_id), order_id
    assert found.apart() == PENDING | {"unknown": "reviewed"}
    assert found.fields("captured") == {"attempts[1].captured_minor": (1, 3_080)}
    assert not found.rebuilt.holds
    assert found.rebuilt.hash_live != found.rebuilt.hash_topics


LOST = {
    "paid": ("PaidAndConfirmed", "version 3"),
    "short": ("ReservationFailed", "version 2"),
    "declined": ("PaymentFailed", "version 1 ordinal 0"),
    "captured": ("OrderConfirmed", "an OrderConfirmed with its total"),
    "free": ("PaymentAuthorized", "versions before 2"),
}


async def test_a_message_that_the_topics_lack_is_found_unless_retention_explains_it(case: Case) -> None:
    lost = [m for order_id, (event_type, _) in LOST.items() for m in of(case, event_type, order_id)]
    found = await rebuilt(case, without(case, *lost))
    said = {order_id: str(found.fields(order_id)["events"][1]) for order_id in LOST}
    assert said == {order_id: f"they lack {what}" for order_id, (_, what) in LOST.items()}

    shortened = await rebuilt(case, without(case, *lost), short=["OrderConfirmed"])
    assert shortened.apart() == PENDING | {"captured": "deleted", "free": "deleted"}
    assert shortened.rebuilt.differing == 3


async def test_an_order_of_which_nothing_is_left_is_no_equal_one(case: Case) -> None:
    gone = [m for m in case.world.topics.held if m.key in {b"paid", b"pending"}]
    assert (await rebuilt(case, without(case, *gone))).fields("paid")["events"][1] == "they lack everything"
    left = await rebuilt(case, without(case, *gone), short=["PaymentAuthorized"])
    assert left.apart() == {"paid": "deleted", "pending": "deleted"}


async def test_copies_and_any_order_of_topics_make_no_difference(case: Case) -> None:
    held = case.world.topics.held
    again = [m._replace(offset=m.offset + 1_000) for m in held]
    found = await rebuilt(case, [*reversed(again), *held])
    once = await rebuilt(case)
    assert found.rebuilt.copies - 2 * once.rebuilt.copies == once.rebuilt.messages - once.rebuilt.left_out_count
    assert (found.rebuilt.hash_topics, found.rebuilt.equal) == (once.rebuilt.hash_topics, ORDERS - 1)


async def test_two_messages_under_one_event_id_are_a_difference(case: Case) -> None:
    (paid,) = of(case, "PaidAndConfirmed", "paid")
    event = case.world.scope.codec.decode("PaidAndConfirmed", paid.key, paid.value)
    other = case.world.scope.codec.encode(
        event.model_copy(update={"captured_at": event.occurred_at.replace(year=2020)})
    )
    found = await rebuilt(case, [*case.world.topics.held, paid._replace(value=other, offset=1_000)])
    assert found.fields("paid") == {"events": (None, f"two messages under the event id {event.event_id}")}
    assert found.rebuilt.two_bodies == 1


async def test_what_others_put_on_our_topics_is_left_out_and_what_the_database_lost_is_not(case: Case) -> None:
    codec = case.world.scope.codec
    forged = builders.payment_failed(order_id="paid", order_version=4, ordinal=0)
    name = event_id(OrderId("lost"), 1, 0, "PaymentFailed")
    lost = builders.payment_failed(order_id="lost", order_version=1, ordinal=0, event_id=name)
    topic = case.world.prefix + "PaymentFailed"
    more = [TopicMessage(topic, 0, 1_000, e.order_id.encode(), codec.encode(e), ()) for e in (forged, lost)]
    found = await rebuilt(case, [*case.world.topics.held, *more])
    assert found.rebuilt.left_out[-1] == f"{topic}-0 offset 1000: its id is not that of an event of ours"
    assert found.fields("lost") == {"order": (None, "payment_failed, version 1")}
    assert (found.rebuilt.equal, found.rebuilt.differing) == (ORDERS - 1, 1)


async def test_an_order_that_never_began_is_apart_if_it_waits_or_was_refused(case: Case) -> None:
    codec, topic = case.world.scope.codec, case.world.prefix + "OrderConfirmed"
    late, taken, refused = (builders.order_confirmed(order_id=name) for name in ("late", "taken", "refused"))
    more = [
        TopicMessage(topic, 0, offset, e.order_id.encode(), codec.encode(e), ())
        for e, offset in ((late, 1_000), (taken, 0), (refused, 0))
    ]
    await case.run("UPDATE dead_letter SET order_id = 'refused' WHERE key = 'garbage'")
    found = await rebuilt(case, [*case.world.topics.held, *more])
    assert found.apart() == PENDING | {"late": "not_consumed", "refused": "refused"}
    assert found.fields("taken") == {"order": (None, "an OrderConfirmed that was consumed")}


async def test_an_open_operation_sets_an_order_apart_but_not_one_that_is_behind_its_events(case: Case) -> None:
    opened = (
        "UPDATE operation SET state = 'open', due_at = now() WHERE order_id IN ('paid', 'captured') AND kind = '{}'"
    )
    await case.run(opened.format("authorize"), "UPDATE orders SET version = 1 WHERE order_id = 'captured'")
    found = await rebuilt(case)
    assert found.apart() == PENDING | {"paid": "under_way"}
    assert found.fields("captured") == {"version": (1, 3)}


async def test_events_in_the_outbox_are_still_to_come(case: Case) -> None:
    await case.run(
        """INSERT INTO outbox (event_ids)
           SELECT ARRAY[id] FROM event WHERE order_id = 'paid' AND topic = 'world.PaidAndConfirmed'"""
    )
    found = await rebuilt(case, without(case, *of(case, "PaidAndConfirmed", "paid")))
    assert found.apart() == PENDING | {"paid": "unsent"}


@dataclass(frozen=True)
class Meanwhile(History):
    """Topics during whose reading something happens in the database."""

    case: Case | None = None

    async def messages(self) -> AsyncIterator[Sequence[TopicMessage]]:
        assert self.case is not None
        await self.case.run("UPDATE orders SET version = version + 1, updated_at = now() WHERE order_id = 'paid'")
        yield self.held


async def test_an_order_that_moves_meanwhile_is_no_difference(case: Case) -> None:
    await case.run("UPDATE orders SET version = version - 1 WHERE order_id IN ('paid', 'captured')")
    topics = case.world.topics
    found = await rebuilt(case, history=Meanwhile(topics.held, topics.offsets, case=case))
    assert found.apart() == PENDING | {"paid": "moved"}
    assert found.fields("captured") == {"version": (2, 3)}


async def test_the_schema_is_refused_unless_it_is_empty_and_nobody_elses(case: Case, database_server_url: str) -> None:
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'scratch%%' ORDER BY 1"
    async with await connect(case.url, name="test", autocommit=True) as live:

        async def build(url: str, schema: str, *, keep: bool = False) -> Sequence[tuple[str]]:
            async with open_scratch(url, schema, live, keep=keep) as scratch:
                tables = await scratch.connection.execute("SELECT count(*) FROM said")
                assert await tables.fetchone() == (0,)
            return await (await live.execute(schemas)).fetchall()

        with pytest.raises(ScratchRefused, match="public is the live schema: name another one"):
            await build(make_conninfo(case.url, application_name="another name of it"), "public")
        with pytest.raises(ScratchRefused, match="not empty"):
            await build(case.url, "saved")
        await live.execute("CREATE SCHEMA scratch_empty")
        assert await build(case.url, "scratch_empty") == [("scratch_empty",)]
        assert await build(case.url, "scratch_made") == [("scratch_empty",)]
        assert await build(case.url, "scratch_made", keep=True) == [("scratch_empty",), ("scratch_made",)]
        with pytest.raises(ScratchRefused, match='DROP SCHEMA "scratch_made" CASCADE'):
            await build(case.url, "scratch_made")
        await live.execute("DROP SCHEMA scratch_empty, scratch_made CASCADE")
        with fresh_database(database_server_url, None) as elsewhere:
            assert await build(libpq_url(elsewhere), "public") == []


async def test_what_a_killed_run_has_left_is_dropped_by_the_next_unless_something_else_is_in_it(case: Case) -> None:
    async with await connect(case.url, name="test", autocommit=True) as live:

        async def killed() -> None:
            async with open_scratch(case.url, "scratch_left", live, keep=False) as scratch:
                await scratch.connection.close()

        await killed()
        async with open_scratch(case.url, "scratch_left", live, keep=False):
            with pytest.raises(ScratchRefused, match="another rebuild uses the schema scratch_left"):
                async with open_scratch(case.url, "scratch_left", live, keep=False):
                    pass
        await killed()
        await live.execute("CREATE TABLE scratch_left.of_somebody ()")
        with pytest.raises(ScratchRefused, match="not empty"):
            async with open_scratch(case.url, "scratch_left", live, keep=False):
                pass
        await live.execute("DROP SCHEMA scratch_left CASCADE")
