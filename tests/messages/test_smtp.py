"""What a mail server's behaviour makes of a message: sent, to be tried again, or never. Real sockets throughout."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest

from consumers.adapters.notifier.mail import Sender
from consumers.adapters.notifier.smtp import Server, SmtpMessenger
from consumers.adapters.notifier.texts import Texts
from domain.messages import NO_ADDRESS, Delivery, Never, NotNow, Sent
from domain.ports.messages import Customer
from tests.messages.builders import EMAIL, KEY, Known, message
from tests.messages.mail_server import mail_server, on_the_wire, polite

SENDER = Sender("A Shop", "no-reply@shop.example")


@asynccontextmanager
async def messenger(
    server: Server, directory: Known | None = None, timeout_s: float = 2
) -> AsyncIterator[SmtpMessenger]:
    made = SmtpMessenger(server, SENDER, Texts(), directory or Known(), timeout_s=timeout_s)
    try:
        yield made
    finally:
        await made.close()


async def send_to(server: Server, directory: Known | None = None, timeout_s: float = 2) -> Delivery:
    async with messenger(server, directory, timeout_s) as made:
        return await made.send(message())


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return cast("str", found.get_content())


async def test_a_mail_has_both_forms_and_its_id_from_the_event() -> None:
    async with mail_server() as server:
        assert await send_to(server.place) == Sent()
    (mail,) = server.mails
    assert (server.senders, server.recipients) == (["no-reply@shop.example"], [EMAIL])
    assert mail["Message-ID"] == f"<{KEY}@shop.example>"
    assert mail["From"] == "A Shop <no-reply@shop.example>"
    assert mail["Subject"] == "Your payment for order order-1 did not go through"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert part(mail, "plain").splitlines() == [
        "Hello,",
        "",
        "The payment of 30.80 EUR for your order order-1 did not go through.",
        "",
        "This card has expired. Please try another payment method.",
        "",
        "You have not been charged.",
        "",
        "You can pay with another payment method until 2026-11-29 12:00 UTC.",
    ]
    assert "<p>You have not been charged.</p>" in part(mail, "html")


async def test_the_same_message_has_the_same_id_each_time() -> None:
    async with mail_server() as server, messenger(server.place) as made:
        await made.send(message())
        await made.send(message())
        assert server.keys == [str(KEY), str(KEY)]


async def test_a_burst_needs_one_connection() -> None:
    async with mail_server() as server, messenger(server.place) as made:
        for _ in range(5):
            assert await made.send(message()) == Sent()
        assert (len(server.mails), server.connections) == (5, 1)


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    async with AsyncExitStack() as stack:
        async with mail_server() as first:
            made = await stack.enter_async_context(messenger(first.place))
            assert await made.send(message()) == Sent()
        async with mail_server(first.port) as again:
            assert await made.send(message()) == Sent()
            assert len(again.mails) == 1


@pytest.mark.parametrize(
    ("rcpt", "data", "delivery"),
    [
        (f"550 5.1.1 <{EMAIL}>: no such user", None, Never("RCPT: SMTP 550 5.1.1")),
        ("550 nobody", None, Never("RCPT: SMTP 550")),
        ("452 4.2.2 mailbox full", None, NotNow("RCPT: SMTP 452 4.2.2")),
        ("421 closing", None, NotNow("RCPT: SMTP 421", down=True)),
        (None, "554 5.7.1 looks like spam", Never("DATA: SMTP 554 5.7.1")),
        (None, "451 4.3.0 try again", NotNow("DATA: SMTP 451 4.3.0")),
    ],
)
async def test_a_refusal_is_final_exactly_if_the_server_says_so(
    rcpt: str | None, data: str | None, delivery: Delivery
) -> None:
    async with mail_server() as server:
        server.on_rcpt = lambda _: rcpt
        server.on_data = data
        assert await send_to(server.place) == delivery
        assert server.mails == []


async def test_after_a_refusal_the_connection_serves_the_next_customer() -> None:
    directory = Known({"customer-1": Customer(EMAIL), "customer-2": Customer("no@customers.example")})
    async with mail_server() as server, messenger(server.place, directory) as made:
        server.on_rcpt = lambda address: "550 no" if address.startswith("no@") else None
        assert isinstance(await made.send(message(customer_id="customer-2")), Never)
        assert await made.send(message()) == Sent()
        assert (server.recipients, server.connections) == ([EMAIL], 1)


async def test_a_server_that_refuses_our_sender_refuses_everybody() -> None:
    async with mail_server() as server:
        server.on_mail = "550 5.7.1 sender not allowed"
        assert await send_to(server.place) == NotNow("MAIL: SMTP 550 5.7.1", down=True)


async def test_a_server_that_is_not_there_is_down() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        delivery = await send_to(Server("127.0.0.1", taken.getsockname()[1]))
    assert delivery == NotNow("the mail server cannot be used: SMTPConnectError", down=True)


async def test_a_server_that_says_nothing_is_down() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with on_the_wire(silent) as port:
        delivery = await send_to(Server("127.0.0.1", port), timeout_s=0.1)
    assert delivery == NotNow("the mail server cannot be used: SMTPConnectTimeoutError", down=True)


async def test_a_server_that_speaks_no_smtp_is_down() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>\r\n")
        await reader.read()

    async with on_the_wire(garbage) as port:
        delivery = await send_to(Server("127.0.0.1", port), timeout_s=0.5)
    assert isinstance(delivery, NotNow)
    assert delivery.down


@pytest.mark.parametrize("command", ["RCPT", "DATA", "."])
async def test_a_connection_that_breaks_is_no_refusal(command: str) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await polite(reader, writer, command)

    async with on_the_wire(breaks) as port:
        delivery = await send_to(Server("127.0.0.1", port))
    stage = "DATA" if command == "." else command
    assert delivery == NotNow(f"{stage}: SMTPServerDisconnected")


async def test_a_server_that_is_slow_after_the_mail_is_no_refusal() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await polite(reader, writer, ".")
        await reader.read()

    async with on_the_wire(slow) as port:
        delivery = await send_to(Server("127.0.0.1", port), timeout_s=0.2)
    assert delivery == NotNow("DATA: SMTPReadTimeoutError")


async def test_garbage_in_place_of_an_answer_is_no_refusal() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await polite(reader, writer, "RCPT")
        writer.write(b"\xff\xfe nonsense\r\n")
        await reader.read()

    async with on_the_wire(garbage) as port:
        delivery = await send_to(Server("127.0.0.1", port), timeout_s=0.5)
    assert isinstance(delivery, NotNow)


async def test_a_customer_without_an_address_is_never_told() -> None:
    async with mail_server() as server:
        assert await send_to(server.place, Known({})) == Never(NO_ADDRESS)
        assert server.connections == 0


async def test_a_directory_that_is_down_is_waited_for() -> None:
    async with mail_server() as server:
        delivery = await send_to(server.place, Known(down="it answers 503"))
    assert delivery == NotNow("customer directory: it answers 503", down=True)


@pytest.mark.parametrize(
    "address", ["ada", "a@b@c", "ada@x\r\nBcc: all@x.example", "<ada@x.example>", "ada@", "a b@x.example"]
)
async def test_an_address_that_is_none_is_never_used(address: str) -> None:
    async with mail_server() as server:
        delivery = await send_to(server.place, Known({"customer-1": Customer(address)}))
        assert isinstance(delivery, Never)
        assert address not in delivery.why
        assert server.connections == 0


async def test_an_address_in_other_letters_is_reached_if_the_server_can() -> None:
    directory = Known({"customer-1": Customer("jürgen@bücher.example")})
    async with mail_server() as server:
        assert await send_to(server.place, directory) == Sent()
        assert server.recipients == ["jürgen@xn--bcher-kva.example"]
    async with mail_server(utf8=False) as older:
        assert isinstance(await send_to(older.place, directory), Never)


async def test_odd_characters_stay_text() -> None:
    odd = message(text="Zahlung fehlgeschlagen: 5 € <b>&\r\n.\r\nBcc: x@x.example\u2028\x07", order_id="o<1>")
    async with mail_server() as server, messenger(server.place) as made:
        assert await made.send(odd) == Sent()
    (mail,) = server.mails
    assert server.recipients == [EMAIL]
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Your payment for order o<1> did not go through"
    assert "5 € <b>&" in part(mail, "plain")
    assert "5 € &lt;b&gt;&amp;" in part(mail, "html")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself; the key is in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "server.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def served_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


async def test_with_starttls_the_password_is_sent_under_tls_alone(certificate: Path) -> None:
    async with mail_server(start_tls=served_with(certificate), login=True) as server:
        place = Server(
            "127.0.0.1", server.port, start_tls=True, username="shop", password="secret", cafile=str(certificate)
        )
        assert await send_to(place) == Sent()
        assert server.logins == [(b"shop", b"secret")]


async def test_tls_from_the_start(certificate: Path) -> None:
    async with mail_server(tls=served_with(certificate)) as server:
        place = Server("127.0.0.1", server.port, tls=True, cafile=str(certificate))
        assert await send_to(place) == Sent()


async def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    heard = []

    async def without(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 wire.test\r\n")
        while line := await reader.readline():
            heard.append(line[:4])
            writer.write(b"250-wire.test\r\n250 AUTH PLAIN LOGIN\r\n")

    async with on_the_wire(without) as port:
        delivery = await send_to(Server("127.0.0.1", port, start_tls=True, username="shop", password="secret"))
    assert isinstance(delivery, NotNow)
    assert delivery.down
    assert set(heard) <= {b"EHLO", b"QUIT"}


async def test_a_server_with_a_foreign_certificate_gets_nothing(certificate: Path) -> None:
    async with mail_server(tls=served_with(certificate)) as server:
        delivery = await send_to(Server("127.0.0.1", server.port, tls=True))
        assert isinstance(delivery, NotNow)
        assert delivery.down
        assert server.mails == []


async def test_a_wrong_password_is_down_for_everybody_and_gives_no_message_up(certificate: Path) -> None:
    async with mail_server(start_tls=served_with(certificate), login=True) as server:
        place = Server(
            "127.0.0.1", server.port, start_tls=True, username="shop", password="wrong", cafile=str(certificate)
        )
        delivery = await send_to(place)
        assert isinstance(delivery, NotNow)
        assert delivery.down
        assert "wrong" not in delivery.why
