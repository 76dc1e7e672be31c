"""dbos: one durable workflow per order (DBOS Transact for Python), started by its Kafka consumer, transactions by its datasource.

Variants: all       every domain event is produced, each in its own step, as the choreography would publish them
          terminal  only PaidAndConfirmed and PaymentFailed are produced: the least a DBOS team would do
DBOS makes the outbox and the inbox needless: workflow id = topic, partition and offset, each step is checkpointed.
Synchronous functions on DBOS's threads: the async flavour of the same code was measured slower (README).
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future

import sqlalchemy as sa
from confluent_kafka import Producer
from dbos import DBOS, DBOSConfig, KafkaMessage, SQLAlchemyDatasource

from tests.bench.peers import common
from tests.bench.peers.common import follow, topic

CONCURRENCY = int(os.environ.get("DBOS_CONCURRENCY", "8"))
POLL = float(os.environ.get("DBOS_POLL", "0.05"))
KAFKA_BATCH = int(os.environ.get("DBOS_KAFKA_BATCH", "250"))  # DBOS's default; its consumer waits up to 1 s to fill it


def call(kind: str, oid: str, token: str) -> dict:
    """The gateway of common.py, in blocking form."""
    time.sleep(common.LATENCY_S)
    return {"ok": not common.declines(kind, token), "ref": f"{kind[:2]}_{oid}:1:{kind}"}


def main() -> None:
    base, db = common.sa_url().rsplit("/", 1)
    DBOS(
        config=DBOSConfig(
            name="payments",
            system_database_url=f"{base}/{db}_sys",
            log_level="WARNING",
            sys_db_pool_size=20,
            max_executor_threads=32,
            executor_id=str(os.getpid()),
        )
    )
    ds = SQLAlchemyDatasource.create(common.sa_url(), engine_kwargs={"pool_size": 30, "max_overflow": 30})
    producer = Producer(
        {"bootstrap.servers": common.BOOTSTRAP, "acks": "all", "enable.idempotence": True, "linger.ms": 0}
    )
    threading.Thread(target=lambda: [producer.poll(0.5) for _ in iter(int, 1)], daemon=True).start()

    @DBOS.step()
    def authorize(oid: str, token: str, amount: int) -> dict:
        return call("authorize", oid, token)

    @DBOS.step()
    def capture(oid: str, token: str, amount: int) -> dict:
        return call("capture", oid, token)

    @DBOS.step()
    def void(oid: str, token: str, amount: int) -> dict:
        return call("void", oid, token)

    @DBOS.step()
    def emit(event: dict, kind: str, extra: dict) -> None:
        acked: Future = Future()
        producer.produce(
            topic(kind),
            json.dumps(follow(event, kind, **extra)),
            event["order_id"],
            on_delivery=lambda err, _: acked.set_exception(RuntimeError(str(err))) if err else acked.set_result(None),
        )
        acked.result(30)

    @ds.transaction(isolation_level="READ COMMITTED")
    def store_authorized(event: dict, r: dict) -> None:
        ds.sql_session().execute(
            sa.text(
                "INSERT INTO orders(id, version, status, currency, total, token, auth_ref, body) VALUES (:id, 1, :status, :currency, :total, :token, :ref, :body)"
            ),
            {
                "id": event["order_id"],
                "status": "payment_authorized" if r["ok"] else "payment_failed",
                "currency": event["currency"],
                "total": event["total_minor"],
                "token": event["payment_method_token"],
                "ref": r["ref"] if r["ok"] else None,
                "body": json.dumps(event).encode(),
            },
        )

    @ds.transaction(isolation_level="READ COMMITTED")
    def reserve(event: dict) -> bool:
        s = ds.sql_session()
        want = {x["sku"]: x["quantity"] for x in event["lines"]}
        rows = s.execute(
            sa.text("SELECT sku, available FROM stock WHERE sku = ANY(:skus) ORDER BY sku FOR UPDATE"),
            {"skus": list(want)},
        ).all()
        ok = len(rows) == len(want) and all(r.available >= want[r.sku] for r in rows)
        if ok:
            args = [{"id": event["order_id"], "sku": k, "q": q} for k, q in sorted(want.items())]
            s.execute(
                sa.text("UPDATE stock SET available = available - :q, reserved = reserved + :q WHERE sku = :sku"), args
            )
            s.execute(sa.text("INSERT INTO reservation VALUES (:id, :sku, :q)"), args)
        s.execute(
            sa.text(
                "UPDATE orders SET version = version + 1, status = :st WHERE id = :id AND status = 'payment_authorized'"
            ),
            {"id": event["order_id"], "st": "items_reserved" if ok else "reservation_failed"},
        )
        return ok

    @ds.transaction(isolation_level="READ COMMITTED")
    def finish(oid: str, status: str, capture_ref: str | None) -> None:
        ds.sql_session().execute(
            sa.text("UPDATE orders SET version = version + 1, status = :st, capture_ref = :ref WHERE id = :id"),
            {"id": oid, "st": status, "ref": capture_ref},
        )

    every = common.VARIANT == "all"

    @DBOS.kafka_consumer(
        {"bootstrap.servers": common.BOOTSTRAP, "group.id": topic("dbos")},
        [topic("OrderConfirmed")],
        queue_name="orders",
        batch_size=KAFKA_BATCH,
    )
    @DBOS.workflow()
    def process_order(msg: KafkaMessage) -> None:
        event = json.loads(msg.value)
        oid, tok, amount = event["order_id"], event["payment_method_token"], event["total_minor"]
        auth = authorize(oid, tok, amount)
        store_authorized(event, auth)
        if not auth["ok"]:
            emit(event, "PaymentFailed", {"reason": "card_declined"})
            return
        if every:
            emit(event, "PaymentAuthorized", {"authorization_ref": auth["ref"]})
        if reserve(event):
            if every:
                emit(event, "ItemsReserved", {"authorization_ref": auth["ref"]})
            cap = capture(oid, tok, amount)
            finish(oid, "paid_and_confirmed", cap["ref"])
            emit(event, "PaidAndConfirmed", {"authorization_ref": auth["ref"], "capture_ref": cap["ref"]})
        else:
            if every:
                emit(event, "ReservationFailed", {"authorization_ref": auth["ref"], "reason": "out_of_stock"})
            void(oid, tok, amount)
            finish(oid, "payment_failed", None)
            emit(event, "PaymentFailed", {"reason": "items_unavailable"})

    DBOS.launch()
    DBOS.register_queue("orders", worker_concurrency=CONCURRENCY, polling_interval_sec=POLL)
    signal.sigwait({signal.SIGTERM})
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] != "setup":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        main()
