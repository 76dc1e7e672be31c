"""Parts alone: the relay beside the peers' polling relays, the codec, and the Stripe adapter against the sandbox."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from deploy.gateways import SANDBOX_KEY
from deploy.running import now
from deploy.running import run as run_async
from domain.ids import OrderId
from domain.operation import GatewayCall, OperationKind, idempotency_key, operation_id
from domain.outcome import Approved
from schemas.codec import Codec
from schemas.topics import TOPICS
from tests.bench.checks import Connection, count_outbox
from tests.bench.contestants import Contestant
from tests.bench.figures import spread
from tests.bench.orders import event_of, make_orders
from tests.bench.peers import common
from tests.bench.places import Plan, place_for
from tests.bench.processes import Processes
from tests.bench.servers import Servers, cpu_s
from tests.bench.watching import counting
from tests.sandbox.process import running as running_sandbox
from tests.schemas.builders import one_of_each

WHO = ("python", "postgresql", "kafka")
BODY_BYTES = 300
RELAYS = ("naive", "naive-concurrent", "faststream-outbox", "handwritten", "limit", "ours")
RELAY_MESSAGES = {"ours": 200_000, "limit": 200_000, "handwritten": 40_000}
RELAY_MESSAGES_OTHERS = 5_000
RELAY_MAX_S = 120.0
EMPTY_S = 10.0
EVENT = "PaymentAuthorized"
CLIENT_ORDERS = 2_000
CLIENT_BATCH = 500
CODEC_ROUNDS = 5
CODEC_EVENTS = 5_000

_FILL_OURS = """
WITH made AS (
  INSERT INTO event (event_id, order_id, order_version, ordinal, topic, body, occurred_at)
  SELECT gen_random_uuid(), 'order-' || i, 2, 0, %s, %s, now()
    FROM generate_series(1, %s) i RETURNING id)
INSERT INTO outbox (event_ids)
SELECT array_agg(id ORDER BY id) FROM made GROUP BY id / 200 ORDER BY id / 200
"""
_FILL_TEXT = """
INSERT INTO outbox (topic, key, {value}) SELECT %s, 'order-' || i, %s FROM generate_series(1, %s) i
"""
_FILL_LIMIT = """
INSERT INTO outbox (topic, key, value) SELECT %s, convert_to('order-' || i, 'UTF8'), %s FROM generate_series(1, %s) i
"""
_FILL_FASTSTREAM = """
INSERT INTO outbox (queue, payload, headers)
SELECT 'relay', %s, jsonb_build_object('topic', %s::text, 'key', 'order-' || i, 'content-type', 'application/json')
  FROM generate_series(1, %s) i
"""


def measure_relay(servers: Servers, plan: Plan, contestant: Contestant) -> dict[str, Any]:
    """Fill the outbox, start the relay alone, and count how fast the messages arrive, from the first one on."""
    count = RELAY_MESSAGES.get(contestant.name, RELAY_MESSAGES_OTHERS)
    with place_for(servers, plan, contestant, 0.0) as place:
        topic = place.prefix + EVENT
        with place.database.connect() as connection:
            _fill(connection, contestant, topic, count)
            connection.execute("VACUUM ANALYZE")
        servers.checkpoint()
        argv = contestant.argv(plan.peers_python, ["relay"])
        postgresql, kafka = servers.postgres_cpu_s(), servers.kafka_cpu_s()
        with Processes([argv], place.settings, place.log) as processes:
            sent, seconds, cpu = _watch(servers, plan, topic, count, processes)
            with place.database.connect() as connection:
                left = _wait_until_empty(connection)
        failures = [f"only {sent} of {count} messages came"] if sent < count else []
        failures += [f"{left} rows left in the outbox"] if left else []
    return {
        "contestant": contestant.name,
        "messages": count,
        "messages_per_s": sent / seconds if seconds else 0.0,
        "cpu_us_per_message": {
            "python": 1e6 * cpu / count,
            "postgresql": 1e6 * (servers.postgres_cpu_s() - postgresql) / count,
            "kafka": 1e6 * (servers.kafka_cpu_s() - kafka) / count,
        },
        "failures": failures,
    }


def _wait_until_empty(connection: Connection) -> int:
    """Wait for the deletes behind the last messages; return how many rows are left after EMPTY_S."""
    end = time.monotonic() + EMPTY_S
    while (left := count_outbox(connection)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def _fill(connection: Connection, contestant: Contestant, topic: str, count: int) -> None:
    """Put so many messages of BODY_BYTES into the outbox, as this contestant's own code would have."""
    body = bytes(BODY_BYTES)
    if contestant.ours:
        connection.execute(_FILL_OURS, [topic, body, count])
    elif contestant.peer == "limit":
        connection.execute(_FILL_LIMIT, [common.STEPS.index(EVENT), body, count])
    elif contestant.variant == "fsoutbox":
        text = b'{"body": "%s"}' % (b"x" * (BODY_BYTES - 13))
        connection.execute(_FILL_FASTSTREAM, [text, topic, count])
    else:
        column = "value" if contestant.peer == "handwritten" else "payload"
        connection.execute(_FILL_TEXT.format(value=column).encode(), [topic, body, count])


def _watch(servers: Servers, plan: Plan, topic: str, count: int, processes: Processes) -> tuple[int, float, float]:
    """Return how many messages came, within how many seconds of the first, for how much CPU of the process."""
    with counting(servers.clients) as count_of:

        def arrived() -> int:
            return count_of(topic, plan.partitions)

        end = time.monotonic() + RELAY_MAX_S
        while (first := arrived()) == 0 and time.monotonic() < end and not processes.dead():
            time.sleep(0.001)
        begun, cpu = time.perf_counter(), processes.cpu_s()
        sent, at = first, begun
        while sent < count and time.monotonic() < end and not processes.dead():
            time.sleep(0.01)
            sent, at = arrived(), time.perf_counter()
    counted = sent - first
    share = count / counted if counted else 1.0
    return sent, (at - begun) * (sent / counted if counted else 1.0), (processes.cpu_s() - cpu) * share


def relay_table(results: Sequence[dict[str, Any]]) -> str:
    """Show messages a second, and what each costs."""
    lines = ["| relay | messages/s | CPU us a message: Python + PostgreSQL + Kafka | check |", "|---|---|---|---|"]
    for name in dict.fromkeys(one["contestant"] for one in results):
        mine = [one for one in results if one["contestant"] == name]
        cost = [spread([one["cpu_us_per_message"][who] for one in mine]).median for who in WHO]
        bad = "; ".join(dict.fromkeys(failure for one in mine for failure in one["failures"])) or "right"
        rate = spread([one["messages_per_s"] for one in mine]).text()
        lines.append(f"| {name} | {rate} | {' + '.join(f'{us:,.0f}' for us in cost)} | {bad} |")
    return "\n".join(lines)


def measure_codec() -> list[dict[str, Any]]:
    """Decode, with every check, and encode each event; microseconds by the best of some rounds."""
    codec = Codec()
    first = next(make_orders(1, 1))
    by_type = {event.TYPE: event for event in one_of_each()}
    by_type["OrderConfirmed"] = event_of(first, now())
    results = []
    for event_type in TOPICS:
        event = by_type[event_type]
        body, key = codec.encode(event), event.subject.encode()
        decode_us = _best_us(lambda t=event_type, k=key, b=body: codec.decode(t, k, b))  # type: ignore[misc]
        encode_us = _best_us(lambda e=event: codec.encode(e))  # type: ignore[misc]
        results.append({"event": event_type, "bytes": len(body), "decode_us": decode_us, "encode_us": encode_us})
    return results


def _best_us(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(CODEC_ROUNDS):
        begun = time.process_time()
        for _ in range(CODEC_EVENTS):
            work()
        best = min(best, (time.process_time() - begun) / CODEC_EVENTS)
    return 1e6 * best


def codec_table(results: Sequence[dict[str, Any]]) -> str:
    """Show events a second of one core."""
    lines = ["| event | bytes | decoded, events/s (us) | encoded, events/s (us) |", "|---|---|---|---|"]
    for one in results:
        decoded, encoded = one["decode_us"], one["encode_us"]
        lines.append(
            f"| {one['event']} | {one['bytes']} | {1e6 / decoded:,.0f} ({decoded:.1f}) "
            f"| {1e6 / encoded:,.0f} ({encoded:.1f}) |"
        )
    return "\n".join(lines)


def measure_client(folder: Path, orders: int = CLIENT_ORDERS) -> dict[str, Any]:
    """Authorize and capture so many orders with the Stripe adapter at the sandbox, and nothing else."""
    with running_sandbox(folder / "client.jsonl") as sandbox:
        process = psutil.Process(sandbox._process.pid)
        return run_async(_client(sandbox.address, orders, process))


async def _client(address: str, count: int, sandbox: psutil.Process) -> dict[str, Any]:
    gateway = StripeGateway(SANDBOX_KEY, api_base=address)
    orders = [OrderId(order.order_id) for order in make_orders(count, 1)]
    await _perform(gateway, [_call(order, OperationKind.AUTHORIZE, None) for order in orders[:100]])
    begun, cpu, theirs = time.perf_counter(), time.process_time(), cpu_s([sandbox])
    for start in range(100, count, CLIENT_BATCH):
        part = orders[start : start + CLIENT_BATCH]
        made = await _perform(gateway, [_call(order, OperationKind.AUTHORIZE, None) for order in part])
        await _perform(gateway, [_call(order, OperationKind.CAPTURE, made[order]) for order in part])
    calls = 2 * (count - 100)
    seconds = time.perf_counter() - begun
    result = {
        "calls": calls,
        "calls_per_s": calls / seconds,
        "client_ms_per_call": 1000 * (time.process_time() - cpu) / calls,
        "sandbox_ms_per_call": 1000 * (cpu_s([sandbox]) - theirs) / calls,
    }
    await gateway.close()
    return result


def _call(order: OrderId, kind: OperationKind, transaction_id: str | None) -> GatewayCall:
    return GatewayCall(
        operation_id(order, 1, kind, 1),
        kind,
        idempotency_key(order, 1, kind, 1),
        order,
        1,
        2_000,
        "EUR",
        "pm_card_visa" if kind is OperationKind.AUTHORIZE else None,
        transaction_id,
        None,
        now(),
    )


async def _perform(gateway: StripeGateway, calls: Sequence[GatewayCall]) -> dict[OrderId, str]:
    """Perform them; return the transaction of each order. Raises RuntimeError unless all are approved."""
    order_of = {call.operation_id: call.order_id for call in calls}
    made: dict[OrderId, str] = {}
    async for group in gateway.perform(calls):
        for answer in group:
            if not isinstance(answer.outcome, Approved):
                raise RuntimeError(f"the sandbox answered {answer.outcome}")  # noqa: TRY004 - a result, no type
            made[order_of[answer.operation_id]] = answer.outcome.transaction_id or ""
    return made


def client_table(result: dict[str, Any]) -> str:
    """Show what a call costs."""
    calls, rate = result["calls"], result["calls_per_s"]
    client, sandbox = result["client_ms_per_call"], result["sandbox_ms_per_call"]
    return (
        f"Stripe adapter against the sandbox: {calls:,} calls, {rate:,.0f} calls/s; "
        f"CPU ms a call: client {client:.2f}, sandbox {sandbox:.2f}"
    )
