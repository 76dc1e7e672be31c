"""A real SMTP server on this machine that takes mails, refuses them as the test says, or misbehaves on the wire."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from threading import Thread
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from consumers.adapters.notifier.smtp import Server

CLOSING_TURNS = 4
"""Of the loop, until an aborted connection has closed its socket, TLS included."""


class MailServer:
    """What came in, and how the server behaves. on_rcpt, on_data: the answer to that command, in place of 250."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.senders: list[str] = []
        self.connections = 0
        self.on_mail: str | None = None
        self.on_rcpt: Callable[[str], str | None] = lambda _: None
        self.on_data: str | None = None
        self.silent_about = "(nobody)"
        """It never answers an RCPT to an address that begins so."""
        self.logins: list[tuple[bytes, bytes]] = []
        self.password = b"secret"
        self.port = 0

    # what aiosmtpd calls

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.on_mail is not None:
            return self.on_mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith(self.silent_about):
            await asyncio.Event().wait()
        refused = self.on_rcpt(address)
        if refused is not None:
            return refused
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.on_data is not None:
            return self.on_data
        self.take(cast("bytes", envelope.content), str(envelope.mail_from), envelope.rcpt_tos)
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == self.password)

    def take(self, content: bytes, sender: str, recipients: list[str]) -> None:
        self.mails.append(message_from_bytes(content, policy=SMTPUTF8))
        self.senders.append(sender)
        self.recipients += recipients

    @property
    def place(self) -> Server:
        return Server("127.0.0.1", self.port)

    @property
    def keys(self) -> list[str]:
        """Return the part before the @ of each mail's Message-ID, in the order of their coming."""
        return [str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in self.mails]


@asynccontextmanager
async def mail_server(
    port: int = 0,
    *,
    utf8: bool = True,
    tls: ssl.SSLContext | None = None,
    start_tls: ssl.SSLContext | None = None,
    login: bool = False,
) -> AsyncIterator[MailServer]:
    """Listen on a free port, or on this one."""
    behaviour = MailServer()
    connections: set[asyncio.Transport] = set()

    class Counting(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            behaviour.connections += 1
            connections.add(cast("asyncio.Transport", transport))
            super().connection_made(transport)

    def make() -> SMTP:
        return Counting(
            behaviour,
            hostname="mail.test",
            enable_SMTPUTF8=utf8,
            tls_context=start_tls,
            require_starttls=start_tls is not None,
            authenticator=behaviour.authenticate if login else None,
            auth_required=login,
            auth_require_tls=start_tls is not None,
        )

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, ssl=tls)
    behaviour.port = server.sockets[0].getsockname()[1]
    try:
        yield behaviour
    finally:
        server.close()
        for transport in connections:
            transport.abort()
        for _ in range(CLOSING_TURNS):
            await asyncio.sleep(0)
        await server.wait_closed()


Wire = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def on_the_wire(talk: Wire) -> AsyncIterator[int]:
    """Listen on a free port and talk as the test says; yield the port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def polite(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: str, answers: dict[str, str] | None = None
) -> bytes:
    """Speak SMTP as usual up to this command, and return without answering it. `.` is the end of the mail."""
    writer.write(b"220 wire.test\r\n")
    said = {"EHLO": "250 wire.test", "MAIL": "250 OK", "RCPT": "250 OK", "DATA": "354 go on"} | (answers or {})
    while True:
        line = (await reader.readuntil(b"\r\n")).decode()
        command = line[:4].upper().strip()
        if command == until:
            return line.encode()
        writer.write(f"{said[command]}\r\n".encode())
        if command == "DATA":
            body = await reader.readuntil(b"\r\n.\r\n")
            if until == ".":
                return body
            writer.write(b"250 taken\r\n")


@contextmanager
def mail_server_aside() -> Iterator[MailServer]:
    """Run a mail server in a thread of its own, for tests that wait for processes."""
    started: Future[MailServer] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with mail_server() as server:
            started.set_result(server)
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = Thread(target=run)
    thread.start()
    try:
        yield started.result(10)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
