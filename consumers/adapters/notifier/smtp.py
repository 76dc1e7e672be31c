"""The notifier that sends mails over SMTP.

Connections are kept for some seconds: a burst of messages needs few. A message whose answer after DATA is lost may be
sent once more, with the same Message-ID: SMTP has no way to ask what became of it (RFC 1047).
"""

import asyncio
import re
import ssl
from contextlib import suppress
from typing import Final, NamedTuple

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from consumers.adapters.notifier.mail import Mail, Sender, compose, usable
from consumers.adapters.notifier.texts import Texts
from domain.errors import Transient
from domain.messages import NO_ADDRESS, Delivery, Message, Never, NotNow, Sent
from domain.ports.messages import CustomerDirectory

TIMEOUT_S: Final = 15.0
"""For the server's answer to one command."""
IDLE_S: Final = 10.0
"""A connection without work is closed then."""
IDLE_MAX: Final = 8
UNAVAILABLE: Final = 421
PERMANENT: Final = range(500, 600)
_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")


class Server(NamedTuple):
    """Where the mail server is and how to speak to it. tls: from the start. start_tls: demanded after the greeting.

    cafile: certificates to trust; None: the system's.
    """

    host: str
    port: int
    tls: bool = False
    start_tls: bool = False
    username: str | None = None
    password: str | None = None
    cafile: str | None = None


class SmtpMessenger:
    """domain.ports.messages.Messenger over SMTP."""

    def __init__(
        self,
        server: Server,
        sender: Sender,
        texts: Texts,
        directory: CustomerDirectory,
        *,
        timeout_s: float = TIMEOUT_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._server = server
        self._sender = sender
        self._texts = texts
        self._directory = directory
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._idle: list[tuple[SMTP, asyncio.TimerHandle]] = []
        self._tls = ssl.create_default_context(cafile=server.cafile) if server.tls or server.start_tls else None

    async def send(self, message: Message) -> Delivery:
        """Look up the address, write the mail, and hand it over."""
        mail = await self._mail(message)
        if not isinstance(mail, Mail):
            return mail
        try:
            client = await self._connection()
        except (OSError, SMTPException) as error:
            return NotNow(_why("the mail server cannot be used", error), down=True)
        try:
            delivery = await self._hand_over(client, mail)
        except BaseException:
            client.close()
            raise
        if client.is_connected and (isinstance(delivery, Sent | Never) or not delivery.down):
            self._keep(client)
        else:
            client.close()
        return delivery

    async def close(self) -> None:
        """Take leave of the server, and close the directory."""
        idle, self._idle = self._idle, []
        for client, timer in idle:
            timer.cancel()
            with suppress(OSError, SMTPException):
                await client.quit()
            client.close()
        await self._directory.close()

    async def _mail(self, message: Message) -> Mail | Never | NotNow:
        notification = message.notification
        try:
            customer = await self._directory.customer(notification.customer_id)
        except Transient as error:
            return NotNow(f"customer directory: {error}", down=True)
        if customer is None:
            return Never(NO_ADDRESS)
        recipient = usable(customer.email)
        written = self._texts.write(notification, customer.language)
        if written is None:
            return Never(f"there is no text for {notification.kind}")
        if recipient is None:
            return Never("the address in the customer directory is none that mail can be sent to")
        return compose(notification, written, self._sender, recipient)

    async def _connection(self) -> SMTP:
        """Return a connection that answers: one that is kept, or a new one."""
        while self._idle:
            client, timer = self._idle.pop()
            timer.cancel()
            try:
                await client.rset()
            except (OSError, SMTPException):
                client.close()  # the server has closed it meanwhile
            else:
                return client
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            # Not this machine's name: that would have to be looked up, and many a pod's name is none in the DNS.
            local_hostname=self._sender.domain,
            timeout=self._timeout_s,
            use_tls=server.tls,
            start_tls=server.start_tls,
            tls_context=self._tls,
        )
        try:
            await client.connect()
            await client.ehlo()
        except BaseException:
            client.close()
            raise
        return client

    async def _hand_over(self, client: SMTP, mail: Mail) -> Delivery:
        if mail.utf8 and not client.supports_extension("smtputf8"):
            return Never("the mail server does not take addresses with other letters than ASCII")
        options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.utf8 else []
        encoding = "utf-8" if mail.utf8 else "ascii"
        stage = "MAIL"
        try:
            await client.mail(self._sender.address, options=options, encoding=encoding)
            stage = "RCPT"
            await client.rcpt(mail.recipient, encoding=encoding)
            stage = "DATA"
            await client.data(mail.body)
        except SMTPSenderRefused as error:
            return NotNow(_why("MAIL", error), down=True)  # it would refuse any mail of ours
        except (SMTPRecipientRefused, SMTPDataError) as error:
            if error.code in PERMANENT:
                return Never(_why(stage, error))
            return NotNow(_why(stage, error), down=error.code == UNAVAILABLE)
        except (OSError, SMTPException) as error:
            # What it answers after this, if it does, would be taken for the answer to something else.
            client.close()
            return NotNow(_why(stage, error), down=isinstance(error, SMTPServerDisconnected) and stage == "MAIL")
        return Sent()

    def _keep(self, client: SMTP) -> None:
        """Keep a connection for a while."""
        if len(self._idle) >= IDLE_MAX:
            client.close()
            return
        timer = asyncio.get_running_loop().call_later(self._idle_s, self._drop, client)
        self._idle.append((client, timer))

    def _drop(self, client: SMTP) -> None:
        self._idle = [kept for kept in self._idle if kept[0] is not client]
        client.close()


def _why(stage: str, error: Exception) -> str:
    """Say what went wrong. Not the server's own text: it quotes addresses."""
    if isinstance(error, SMTPResponseException):
        enhanced = _ENHANCED.search(error.message)
        return f"{stage}: SMTP {error.code}{f' {enhanced[0]}' if enhanced else ''}"
    return f"{stage}: {type(error).__name__}"
