"""Peers other than Kafka are killed, too. On uvloop their clients raise only what we expect of them.

Each looks at its transport before it writes (aiohttp, aiosmtplib), or has none (psycopg waits for a socket itself).
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import psycopg
import pytest
from aiohttp.connector import BaseConnector
from aiosmtplib import SMTP, SMTPException

from consumers.adapters.gateway.stripe_requests import CONNECTION_ERRORS
from deploy.running import run
from outbox.driver.conninfo import connect, conninfo_of

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
TURNS = (0, 1, 2, 3)
"""How many turns of the event loop pass between the break and the next write."""

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        while (await reader.readline()).strip():
            pass
        writer.write(ANSWER)
    writer.close()


async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 here\r\n")
    while await reader.readline():
        writer.write(b"250 yes\r\n")
    writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def cut(transport: Any, turns: int) -> None:
    transport.abort()
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", TURNS)
def test_a_request_over_http_that_is_cut_off_is_a_connection_error(monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    real = BaseConnector.connect

    async def connect_and_cut(*args: Any, **options: Any) -> Any:
        connection = await real(*args, **options)
        await cut(connection.transport, turns)
        return connection

    async def work() -> None:
        async with serving(http) as port, aiohttp.ClientSession() as session:
            async with session.post(f"http://127.0.0.1:{port}/", data=b"{}") as answer:
                assert await answer.read() == b"{}"
            monkeypatch.setattr(BaseConnector, "connect", connect_and_cut)
            with pytest.raises(CONNECTION_ERRORS):
                await session.post(f"http://127.0.0.1:{port}/", data=b"{}")

    run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize("turns", TURNS)
def test_a_mail_server_that_is_cut_off_is_an_smtp_error(turns: int) -> None:
    async def work() -> None:
        async with serving(smtp) as port:
            client = SMTP(hostname="127.0.0.1", port=port, local_hostname="here", start_tls=False)
            await client.connect()
            await client.ehlo()
            await cut(client.transport, turns)
            with pytest.raises((OSError, SMTPException)):
                await client.rset()
            client.close()

    run(asyncio.wait_for(work(), 60))


@pytest.mark.integration
@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT pg_sleep(60)"])
def test_a_database_that_is_cut_off_before_or_during_a_statement_is_an_error_of_its_driver(
    database_url: str, statement: str
) -> None:
    async def work() -> None:
        connection = await connect(conninfo_of(database_url), name="payments test", autocommit=True)
        await connection.execute("SELECT 1")
        broken = socket.socket(fileno=os.dup(connection.fileno()))
        try:
            asked = asyncio.ensure_future(connection.execute(statement))
            if "sleep" in statement:
                await asyncio.sleep(0)
            broken.shutdown(socket.SHUT_RDWR)
            with pytest.raises(psycopg.OperationalError):
                await asked
        finally:
            broken.close()
            await connection.close()

    run(asyncio.wait_for(work(), 60))
