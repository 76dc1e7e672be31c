"""restate: a Restate server (journal in RocksDB) drives one handler invocation per order; its Kafka subscription is the ingress.

The server binary comes from `npm i @restatedev/restate-server`; RESTATE_BIN names it. It is a child of this process, so its CPU is
counted under py. A journaled step may run again after a crash, so each database step is conditional on the order's state.
"""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import restate
from aiokafka import AIOKafkaProducer
from hypercorn.asyncio import serve
from hypercorn.config import Config
from psycopg_pool import AsyncConnectionPool

from tests.bench.peers import common
from tests.bench.peers.common import follow, topic

gateway = common.Gateway()
payments = restate.Service("Payments")
pool: AsyncConnectionPool
producer: AIOKafkaProducer


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def emit(event: dict, kind: str, extra: dict) -> None:
    await producer.send_and_wait(
        topic(kind), json.dumps(follow(event, kind, **extra)).encode(), key=event["order_id"].encode()
    )


async def store_authorized(event: dict, r: dict) -> None:
    async with pool.connection() as c:
        await c.execute(
            "INSERT INTO orders(id, version, status, currency, total, token, auth_ref, body) VALUES (%s, 1, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                event["order_id"],
                "payment_authorized" if r["ok"] else "payment_failed",
                event["currency"],
                event["total_minor"],
                event["payment_method_token"],
                r["ref"] if r["ok"] else None,
                json.dumps(event).encode(),
            ],
        )


async def reserve(event: dict) -> bool:
    want = {x["sku"]: x["quantity"] for x in event["lines"]}
    async with pool.connection() as c:
        st = (
            await (
                await c.execute("SELECT status FROM orders WHERE id = %s FOR UPDATE", [event["order_id"]])
            ).fetchone()
        )[0]
        if st != "payment_authorized":
            return st == "items_reserved"
        rows = await (
            await c.execute(
                "SELECT sku, available FROM stock WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE", [list(want)]
            )
        ).fetchall()
        ok = len(rows) == len(want) and all(a >= want[s] for s, a in rows)
        if ok:
            for s, q in sorted(want.items()):
                await c.execute(
                    "UPDATE stock SET available = available - %s, reserved = reserved + %s WHERE sku = %s", [q, q, s]
                )
                await c.execute("INSERT INTO reservation VALUES (%s, %s, %s)", [event["order_id"], s, q])
        await c.execute(
            "UPDATE orders SET version = version + 1, status = %s WHERE id = %s",
            ["items_reserved" if ok else "reservation_failed", event["order_id"]],
        )
        return ok


async def finish(oid: str, status: str, ref: str | None) -> None:
    async with pool.connection() as c:
        await c.execute(
            "UPDATE orders SET version = version + 1, status = %s, capture_ref = %s WHERE id = %s AND status <> %s",
            [status, ref, oid, status],
        )


@payments.handler()
async def process(ctx: restate.Context, event: dict) -> None:
    oid, tok, amount = event["order_id"], event["payment_method_token"], event["total_minor"]

    async def gate(kind: str) -> dict:
        return await gateway.call(kind, f"{oid}:1:{kind}", tok, amount)

    auth = await ctx.run_typed("authorize", gate, restate.RunOptions(), "authorize")
    await ctx.run_typed("store authorized", store_authorized, restate.RunOptions(), event, auth)
    if not auth["ok"]:
        await ctx.run_typed("emit", emit, restate.RunOptions(), event, "PaymentFailed", {"reason": "card_declined"})
        return
    ref = {"authorization_ref": auth["ref"]}
    await ctx.run_typed("emit", emit, restate.RunOptions(), event, "PaymentAuthorized", ref)
    if await ctx.run_typed("reserve", reserve, restate.RunOptions(), event):
        await ctx.run_typed("emit", emit, restate.RunOptions(), event, "ItemsReserved", ref)
        cap = await ctx.run_typed("capture", gate, restate.RunOptions(), "capture")
        await ctx.run_typed("store paid", finish, restate.RunOptions(), oid, "paid_and_confirmed", cap["ref"])
        await ctx.run_typed(
            "emit", emit, restate.RunOptions(), event, "PaidAndConfirmed", {**ref, "capture_ref": cap["ref"]}
        )
    else:
        await ctx.run_typed(
            "emit", emit, restate.RunOptions(), event, "ReservationFailed", {**ref, "reason": "out_of_stock"}
        )
        await ctx.run_typed("void", gate, restate.RunOptions(), "void")
        await ctx.run_typed("store failed", finish, restate.RunOptions(), oid, "payment_failed", None)
        await ctx.run_typed(
            "emit", emit, restate.RunOptions(), event, "PaymentFailed", {**ref, "reason": "items_unavailable"}
        )


def admin(port: int, path: str, body: dict) -> dict:
    req = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(req, timeout=10) as r:
            return json.load(r)
    except urllib.error.HTTPError as e:
        raise RuntimeError(f"{path}: {e.code} {e.read()[:500]!r}") from e


async def main() -> None:
    global pool, producer
    home = pathlib.Path(tempfile.mkdtemp(prefix="restate-"))
    node, ingress, adm, svc = (free_port() for _ in range(4))
    (home / "restate.toml").write_text(f"""
base-dir = "{home / "data"}"
bind-address = "127.0.0.1:{node}"
advertised-address = "http://127.0.0.1:{node}/"
listen-mode = "tcp"
default-num-partitions = 4
rocksdb-total-memory-size = "512 MiB"
disable-telemetry = true
log-filter = "warn"
[admin]
bind-address = "127.0.0.1:{adm}"
disable-web-ui = true
[ingress]
bind-address = "127.0.0.1:{ingress}"
[[ingress.kafka-clusters]]
name = "k"
brokers = ["PLAINTEXT://{common.BOOTSTRAP}"]
""")
    server = subprocess.Popen(
        [
            os.environ.get("RESTATE_BIN") or shutil.which("restate-server") or "restate-server",
            "--no-logo",
            "-c",
            str(home / "restate.toml"),
        ],
        start_new_session=True,
    )  # npm's launcher starts the real binary: end the whole group
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = AsyncConnectionPool(common.DSN, min_size=8, max_size=32, open=False)
    await pool.open()
    producer = AIOKafkaProducer(bootstrap_servers=common.BOOTSTRAP, acks="all", enable_idempotence=True)
    await producer.start()
    cfg = Config()
    cfg.bind = [f"127.0.0.1:{svc}"]
    serving = asyncio.create_task(serve(restate.app([payments]), cfg, shutdown_trigger=stop.wait))
    try:
        for attempt in range(60):
            await asyncio.sleep(0.5)
            try:
                await asyncio.to_thread(admin, adm, "/deployments", {"uri": f"http://127.0.0.1:{svc}"})
                break
            except Exception as e:  # still starting
                print(attempt, e, flush=True)
        await asyncio.to_thread(
            admin,
            adm,
            "/subscriptions",
            {
                "source": f"kafka://k/{topic('OrderConfirmed')}",
                "sink": "service://Payments/process",
                "options": {"auto.offset.reset": "earliest", "group.id": topic("restate")},
            },
        )
        await asyncio.wait([serving, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(5)
        shutil.rmtree(home, ignore_errors=True)
        os._exit(0)  # hypercorn would wait for the server's connections


if __name__ == "__main__":
    if sys.argv[1] != "setup":
        asyncio.run(main())
