"""Relays as processes: one sends, and whoever is frozen, killed or stopped is followed in time, with order kept."""

import asyncio
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import uuid5

import psutil
import psycopg
import pytest

from tests.consumers.topics import read_topics
from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import Deployment
from tests.e2e.script import write_script
from tests.eventually import eventually
from tests.processes import Process, started
from tests.schemas.builders import event_id

pytestmark = [pytest.mark.kill, pytest.mark.timeout(300)]

LEASE_S: Final = 10.0
"""The default. A frozen relay is followed within it."""
ROLE: Final = ("relay",)
TOPIC: Final = "PaymentAuthorized"
SMALL: Final = {"PAYMENTS_RELAY_BATCH": "50"}
ORDERS: Final = 40
ROUNDS: Final = 3
UNSENT: Final = "select count(*) from outbox, unnest(event_ids)"
SENT: Final = "select (select count(*) from event) - (select count(*) from outbox, unnest(event_ids))"


def begin_relays(shop: Deployment, *names: str, **settings: str) -> list[Process]:
    relays = [shop.begin(name, ROLE, **settings) for name in names]
    for relay in relays:
        relay.await_line('"running"')
    return relays


def await_active(*relays: Process) -> Process:
    """Wait until one of them has said more often that it is active than that another is; return it."""

    def active() -> list[Process]:
        return [r for r in relays if r.log.count('"active"') > r.log.count('"another relay is active"')]

    eventually(active, "a relay is active")
    return active()[0]


@contextmanager
def writing(shop: Deployment) -> Iterator[None]:
    """Meanwhile have the versions of many orders written into journal and outbox, as transactions would."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        draw = random.Random(7)
        versions: dict[str, int] = defaultdict(int)
        try:
            with psycopg.connect(shop.database_url.replace("+psycopg", ""), autocommit=True) as connection:
                while not stop.wait(0.01):
                    _append(connection, shop.prefix + TOPIC, draw.choices(range(ORDERS), k=20), versions)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


def _append(connection: psycopg.Connection, topic: str, orders: list[int], versions: dict[str, int]) -> None:
    rows = []
    for number in orders:
        order_id = f"order-{number}"
        versions[order_id] += 1
        version = versions[order_id]
        name = uuid5(event_id("relays"), f"{order_id} {version}")
        rows.append((name, order_id, version, topic, b"%d" % version))
    with connection.transaction(), connection.cursor() as cursor:
        ids = []
        for row in rows:
            cursor.execute(
                """INSERT INTO event (event_id, order_id, order_version, ordinal, topic, body, occurred_at)
                   VALUES (%s, %s, %s, 0, %s, %s, now()) RETURNING id""",
                row,
            )
            ids += [row_id for (row_id,) in cursor.fetchall()]
        cursor.execute("INSERT INTO outbox (event_ids) VALUES (%s)", [ids])
        cursor.execute("NOTIFY payments_outbox")


def check_order(shop: Deployment) -> int:
    """Every version is on its topic, and of each order the first occurrences are in order; return how many repeat."""
    first: dict[bytes | None, list[int]] = defaultdict(list)
    repeated = 0
    for read in asyncio.run(read_topics(shop.kafka, [shop.prefix + TOPIC], shop.prefix)):
        version = int(read.value or b"")
        if version in first[read.key]:
            repeated += 1
        else:
            first[read.key].append(version)
    last = dict(shop.rows("select order_id, max(order_version) from event group by 1"))
    assert first == {order_id.encode(): list(range(1, n + 1)) for order_id, n in last.items()}
    return repeated


def test_a_frozen_relay_is_followed_within_its_lease_and_sends_nothing_out_of_order_when_it_wakes_up(
    shop: Deployment,
) -> None:
    draw = random.Random(1)
    relays = begin_relays(shop, "one", "other", **SMALL)
    took = []
    with writing(shop):
        for _ in range(ROUNDS):
            frozen = await_active(*relays)
            (other,) = [relay for relay in relays if relay is not frozen]
            busy = shop.number(SENT) + draw.randrange(200, 1_000)
            eventually(lambda: shop.number(SENT) > busy, "the active one is at work")  # noqa: B023 - it is awaited here
            begun = time.monotonic()
            frozen.signal(signal.SIGSTOP)
            assert await_active(other) is other
            sent = shop.number(SENT)
            eventually(lambda: shop.number(SENT) > sent, "the other one sends")  # noqa: B023 - as above
            took.append(time.monotonic() - begun)
            more = shop.number(SENT) + 1_000
            eventually(lambda: shop.number(SENT) > more, "the other one has done much")  # noqa: B023 - as above
            woken = frozen.log.count('"another relay is active"')
            frozen.signal(signal.SIGCONT)
            eventually(lambda: frozen.log.count('"another relay is active"') > woken, "the woken one stands by")  # noqa: B023
    eventually(lambda: shop.number(UNSENT) == 0, "all is sent")
    shop.stop()
    repeated = check_order(shop)
    assert max(took) <= LEASE_S, took
    assert repeated <= ROUNDS * 2 * int(SMALL["PAYMENTS_RELAY_BATCH"]), "no more than what each had in hand"


def test_a_relay_frozen_amid_orders_changes_no_outcome(shop: Deployment) -> None:
    orders = write_script(600, seed=21)
    relays = begin_relays(shop, "one", "other")
    shop.start("consumers", "sweep")
    shop.publish(orders[:300])
    shop.await_settled(50)
    frozen = await_active(*relays)
    frozen.signal(signal.SIGSTOP)
    assert shop.settled() < 300, "the relay was not frozen amid the orders"
    shop.publish(orders[300:450])
    shop.await_settled(400)
    frozen.signal(signal.SIGCONT)
    shop.publish(orders[450:])
    check_as_scripted(shop)
    shop.stop()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_relay_that_ends_is_followed_at_once(shop: Deployment, end: signal.Signals) -> None:
    relays = begin_relays(shop, "one", "other", PAYMENTS_RELAY_LEASE_S="600")
    with writing(shop):
        ending = await_active(*relays)
        (other,) = [relay for relay in relays if relay is not ending]
        begun = time.monotonic()
        ending.signal(end)
        assert ending.wait() == (0 if end is signal.SIGTERM else -signal.SIGKILL)
        assert await_active(other) is other
        assert time.monotonic() - begun < LEASE_S
    eventually(lambda: shop.number(UNSENT) == 0, "all is sent")
    check_order(shop)


def test_one_that_is_to_send_once_leaves_it_to_the_active_one_and_is_it_when_there_is_none(shop: Deployment) -> None:
    def once() -> str:
        with started(shop.directory, "relay", "--once", **shop.settings) as process:
            assert process.wait() == 0
            return process.out

    (active,) = begin_relays(shop, "one")
    await_active(active)
    active.signal(signal.SIGSTOP)
    with psycopg.connect(shop.database_url.replace("+psycopg", ""), autocommit=True) as connection:
        _append(connection, shop.prefix + TOPIC, [1, 2, 1], defaultdict(int))
    assert once() == "0 messages sent\n"
    eventually(lambda: shop.rows("select until < now() from relay_lease") == [(True,)], "the lease is over")
    assert once() == "3 messages sent\n"
    active.signal(signal.SIGCONT)
    shop.stop()
    assert check_order(shop) == 0


@pytest.mark.parametrize("server", ["kafka", "postgres"])
def test_a_relay_that_is_told_to_stop_while_a_server_is_frozen_ends_within_the_drain_time_out(
    shop: Deployment, server: str
) -> None:
    drain_s = 20.0
    (relay,) = begin_relays(shop, "one", PAYMENTS_DRAIN_TIMEOUT_S=f"{drain_s:g}")
    with writing(shop):
        await_active(relay)
        pid = getattr(shop.servers, server).pid
        assert pid is not None
        if server == "kafka":
            with _frozen(pid):
                eventually(lambda: shop.number(UNSENT) > 500, "the relay is amid a request")
                _stops(relay, drain_s)
    if server == "postgres":
        with _frozen(pid):
            _stops(relay, drain_s)


def _stops(relay: Process, drain_s: float) -> None:
    begun = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - begun < drain_s


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    """Freeze a server and its children meanwhile: itself first, so that it begins none; one may end before its turn."""
    server = psutil.Process(pid)
    server.suspend()
    processes = [server]
    try:
        for child in server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.suspend()
                processes.append(child)
        yield
    finally:
        for process in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                process.resume()
