#!/usr/bin/env bash
# 2026-11-30. aiokafka 0.14.0 on uvloop 0.23.0: a connection that breaks ends tasks of the client with RuntimeError, and close() raises it again.
#
# Expected: a broken connection is a KafkaError (KafkaConnectionError), as the client's documentation says; its background tasks
# try again; close() closes.
# Seen: between the moment at which a transport closes and the one at which the client's reader hears of it, a request is
# written to the closed transport. asyncio's own loop drops the bytes, and the client gets KafkaConnectionError a moment later.
# uvloop raises RuntimeError ("the handler is closed"). AIOKafkaConnection.send() expects OSError alone and lets it through. The
# task that refreshes the metadata dies of it: force_metadata_update() never answers again, new partitions and leaders are never seen,
# the client says nothing, and its close() raises the RuntimeError before it comes to the connections.
# Fails when that changes.
# Needs python3.11 or newer. No Kafka: a server of twenty lines answers the two requests. Listens on 127.0.0.1 only, on a free port.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiokafka==0.14.0 uvloop==0.23.0
"$work/venv/bin/python" - <<'PY'
import asyncio, logging, struct

import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

logging.disable(logging.CRITICAL)
VERSIONS, METADATA = 18, 3


async def broker(reader, writer):
    """Answer ApiVersions (Metadata version 0 is all there is) and Metadata: one broker, no topics."""
    host, port = writer.get_extra_info("sockname")
    name = host.encode()
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            key, _, correlation = struct.unpack_from(">hhi", await reader.readexactly(size))
            if key == VERSIONS:
                body = struct.pack(">hi", 0, 2) + struct.pack(">hhh", VERSIONS, 0, 0) + struct.pack(">hhh", METADATA, 0, 0)
            else:
                body = struct.pack(">iih", 1, 1, len(name)) + name + struct.pack(">ii", port, 0)
            writer.write(struct.pack(">ii", 4 + len(body), correlation) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def break_below(connection):
    """Close the transport; let the client hear of it after its next request, as happens when a socket breaks."""
    transport = connection._writer.transport
    connection._read_task.cancel()
    transport.abort()
    for _ in range(3):
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(connection.close, CloseReason.CONNECTION_BROKEN)


async def told(client):
    """What a caller of send() is told."""
    node = client.get_random_node()
    await client.ready(node)
    connection = client._conns[node, 0]
    await break_below(connection)
    try:
        return await connection.send(MetadataRequest([]))
    except Exception as error:
        return error


async def refreshed(client):
    """What becomes of the task that refreshes the metadata, and of close()."""
    real = client._get_conn

    async def broken(*args, **options):
        connection = await real(*args, **options)
        client._get_conn = real
        await break_below(connection)
        return connection

    client._get_conn = broken
    try:
        answer = await asyncio.wait_for(client.force_metadata_update(), 5)
    except asyncio.TimeoutError:
        answer = "no answer"
    died = client._sync_task.done()
    try:
        await client.close()
    except Exception as error:
        return answer, died, error
    return answer, died, None


async def main():
    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen = []
    for ask in (told, refreshed):
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
        await client.bootstrap()
        seen.append(await ask(client))
        if ask is told:
            await client.close()
    server.close()
    return seen


for name, run in ("asyncio", asyncio.run), ("uvloop", uvloop.run):
    error, (answer, died, closing) = run(main())
    print(f"{name}: send() gives {type(error).__name__}; the metadata task {'died' if died else 'lives'}, "
          f"a refresh gives {answer}; close() raises {closing and type(closing).__name__}")
    if name == "asyncio":
        assert isinstance(error, KafkaError), repr(error)
        assert (died, closing) == (False, None), (died, closing)
    else:
        assert type(error) is RuntimeError and "handler is closed" in str(error), repr(error)
        assert died and answer == "no answer" and type(closing) is RuntimeError, (died, answer, closing)
print("as described")
PY
