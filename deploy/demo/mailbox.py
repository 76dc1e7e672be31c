"""A real mail server in the process of the demo: it takes every mail of the shop, and keeps it in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from threading import Event, Thread
from typing import Final, NamedTuple
from uuid import UUID

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST: Final = "127.0.0.1"
NAME: Final = "mail.example"
START_S: Final = 10.0


class Mail(NamedTuple):
    """One mail that came. event_id: of the event that asked for it, from its Message-ID; None: it has another one."""

    event_id: UUID | None
    recipient: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        """Its subject."""
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """Its plain text."""
        part = self.message.get_body(("plain",))
        return "" if part is None else str(part.get_content())


class Mailbox:
    """What came in. port: where it listens."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 - aiosmtpd's names
        """Take one mail. Called by aiosmtpd, in the thread of the server."""
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        message = message_from_bytes(raw, policy=SMTPUTF8)
        for recipient in envelope.rcpt_tos:
            self.mails.append(Mail(_event_id(message), recipient, message))
        return "250 taken"


@contextmanager
def listening(port: int = 0) -> Iterator[Mailbox]:
    """Listen on this machine while inside, in a thread: the demo's own loop may be busy. port: 0: any that is free."""
    mailbox, listens = Mailbox(), Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    raised: list[BaseException] = []

    async def serve() -> None:
        server = await loop.create_server(lambda: SMTP(mailbox, hostname=NAME, enable_SMTPUTF8=True), HOST, port)
        async with server:
            mailbox.port = server.sockets[0].getsockname()[1]
            listens.set()
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            raised.append(error)
            listens.set()

    thread = Thread(target=run, name="mail server", daemon=True)
    thread.start()
    if not listens.wait(START_S) or raised:
        raise OSError("the demo's mail server does not start") from next(iter(raised), None)
    try:
        yield mailbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_S)


def _event_id(message: EmailMessage) -> UUID | None:
    """Return the event's id, with which our Message-IDs begin."""
    try:
        return UUID(str(message["Message-ID"]).strip("<> ").partition("@")[0])
    except ValueError:
        return None
