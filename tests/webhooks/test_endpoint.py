"""The endpoint takes what the gateway signed, answers 200 only when it is kept, and nobody can hold it up."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from deploy.webhooks.endpoint import BODY_MAX, PATH
from deploy.webhooks.keeping import Keeper
from deploy.webhooks.tally import Came, Tally
from domain.errors import DownForEverybody
from domain.notices import Notice
from domain.ports.notices import KeepsNotices
from tests.webhooks.gateway import SECRET, Sender, endpoint, event, header, now_s

EVENT = event(1, "order-1", "pi_1")


class Shelf(KeepsNotices):
    """Notices in memory. down: the database does not answer. stuck: a transaction does not end."""

    def __init__(self) -> None:
        self.kept: dict[str, Notice] = {}
        self.transactions = 0
        self.down = False
        self.stuck: asyncio.Event | None = None

    async def keep(self, notices: Sequence[Notice]) -> int:
        self.transactions += 1
        if self.stuck is not None:
            await self.stuck.wait()
        if self.down:
            raise DownForEverybody("gone")
        new = [n for n in notices if n.notice_id not in self.kept]
        self.kept |= {n.notice_id: n for n in notices}
        return len(new)


async def test_what_is_kept_is_answered_200_and_a_repetition_too() -> None:
    shelf = Shelf()
    async with endpoint(shelf) as sender:
        assert await sender.send(EVENT) + await sender.send(EVENT) == [200, 200]
    assert [(n.notice_id, n.order_id, n.intent_id) for n in shelf.kept.values()] == [("evt_1", "order-1", "pi_1")]


async def test_what_is_not_ours_is_answered_200_and_dropped() -> None:
    shelf = Shelf()
    foreign = [{**EVENT, "type": "customer.created"}, {**EVENT, "data": {"object": {"id": "pi_1", "object": "x"}}}]
    async with endpoint(shelf) as sender:
        assert await sender.send(*foreign) == [200, 200]
        assert sender.tally.counts == {Came.NOT_OURS: 2}
    assert shelf.transactions == 0


async def test_nothing_is_answered_200_while_the_database_is_down_and_all_is_taken_afterwards() -> None:
    shelf = Shelf()
    shelf.down = True
    async with endpoint(shelf) as sender:
        assert await sender.send(*(event(n, "order-1", "pi_1") for n in range(20))) == [503] * 20
        shelf.down = False
        assert await sender.send(*(event(n, "order-1", "pi_1") for n in range(20))) == [200] * 20
    assert len(shelf.kept) == 20


async def test_a_slow_database_is_not_waited_for_without_end_and_holds_a_bounded_number() -> None:
    shelf = Shelf()
    shelf.stuck = asyncio.Event()
    async with endpoint(shelf, make_keeper=partial(Keeper, waiting_max=3, keep_s=0.2)) as sender:
        assert await sender.send(*(event(n, "order-1", "pi_1") for n in range(10))) == [503] * 10
        shelf.stuck.set()
        assert await sender.send(EVENT) == [200]


async def test_requests_that_come_at_once_share_transactions() -> None:
    shelf = Shelf()
    shelf.stuck = asyncio.Event()
    async with endpoint(shelf) as sender:
        sending = [asyncio.create_task(sender.post(orjson.dumps(event(n, "o", "pi_1")))) for n in range(40)]
        while shelf.transactions == 0 or sender_open(sending) < 40:  # noqa: ASYNC110 - the first one has begun to write
            await asyncio.sleep(0)
        shelf.stuck.set()
        assert await asyncio.gather(*sending) == [200] * 40
    assert shelf.transactions < 20


def sender_open(tasks: list["asyncio.Task[int]"]) -> int:
    return sum(not task.done() for task in tasks)


async def test_what_is_forged_has_no_effect_and_rings_once_without_its_body() -> None:
    shelf, body = Shelf(), orjson.dumps(EVENT)
    forged = ["", "t=1,v1=1", header(body, "whsec_other"), header(body + b" "), header(body, at_s=now_s() - 301)]
    with capture_logs() as log:
        async with endpoint(shelf) as sender:
            assert [await sender.post(body, signature) for signature in forged] == [400] * 5
    assert shelf.transactions == 0
    assert [line["reason"] for line in log if line.get("alarm")] == ["webhook_refused"]
    assert "jane@example.com" not in str(log)
    assert SECRET not in str(log)
    assert header(body)[20:] not in str(log)


def test_forged_ones_ring_once_a_minute_with_their_number() -> None:
    tally = Tally()
    with capture_logs() as log:
        for second in range(130):
            tally.note(Came.FORGED, second, "no signature of ours")
            tally.note(Came.KEPT, second)
        tally.tell()
        tally.tell()
    assert [line["requests"] for line in log if line.get("alarm")] == [1, 60, 60]
    assert [(line["kept"], line["forged"]) for line in log if line["event"] == "webhooks"] == [(130, 130)]


async def test_while_the_secret_is_changed_the_old_and_the_new_one_count() -> None:
    body = orjson.dumps(EVENT)
    async with endpoint(Shelf(), "whsec_old", "whsec_new") as sender:
        statuses = [await sender.post(body, header(body, secret)) for secret in ("whsec_old", "whsec_new", "whsec_x")]
    assert statuses == [200, 200, 400]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"type":"payment_intent.succeeded"}'])
async def test_a_signed_body_that_is_no_event_is_refused_and_the_next_one_taken(body: bytes) -> None:
    async with endpoint(Shelf()) as sender:
        assert await sender.post(body) == 400
        assert await sender.send(EVENT) == [200]


async def test_another_path_or_method_is_not_here() -> None:
    async with endpoint(Shelf()) as sender:
        assert await sender.post(orjson.dumps(EVENT), path="/webhooks/other") == 404
        assert b" 404 " in (await raw(sender, f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))[:20]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_1_mb_is_refused_unread(chunked: bool) -> None:  # noqa: FBT001
    size = 1 << 20
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    piece = b"x" * 65_536
    pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece] * (size // len(piece))
    async with endpoint(Shelf()) as sender:
        answer = await raw(sender, request_head(length), *pieces)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert sender.tally.counts == {Came.TOO_LARGE: 1}
        assert await sender.send(EVENT) == [200]


async def test_the_largest_body_that_is_taken() -> None:
    padded = {**EVENT, "pad": "x" * (BODY_MAX - len(orjson.dumps({**EVENT, "pad": ""})))}
    async with endpoint(Shelf()) as sender:
        assert await sender.send(padded, {**padded, "pad": padded["pad"] + "x"}) == [200, 413]


async def test_slow_clients_are_closed_and_hold_up_nobody() -> None:
    async with endpoint(Shelf(), body_s=0.3, silent_s=0.3) as sender:
        slow = [
            await begin(sender, b""),
            await begin(sender, b"POST /webhooks/stripe HTTP/1.1\r\nHos"),
            await begin(sender, request_head(b"Content-Length: 1000") + b"{"),
        ]
        assert await sender.send(*(event(n, "order-1", "pi_1") for n in range(50))) == [200] * 50
        async with asyncio.timeout(10):
            answers = [await ending(reader) for reader, _ in slow]
        for _, writer in slow:
            writer.close()
        assert [answer[:13] for answer in answers] == [b"", b"", b"HTTP/1.1 408 "]


async def test_a_client_that_trickles_its_head_is_closed() -> None:
    async with endpoint(Shelf(), silent_s=0.3) as sender:
        reader, writer = await begin(sender, b"POST /webhooks/stripe HTTP/1.1\r\n")
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                while not reader.at_eof():
                    writer.write(b"X-A: b\r\n")
                    await writer.drain()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1), 0.02)
        writer.close()
        assert await sender.send(EVENT) == [200]


async def test_more_connections_than_the_bound_are_refused_until_some_end() -> None:
    async with endpoint(Shelf(), connections_max=3, silent_s=0.5) as sender:
        held = [await begin(sender, b"POST ") for _ in range(3)]
        assert await raw(sender, request_head(b"Content-Length: 0")) == b""
        async with asyncio.timeout(10):
            for reader, writer in held:
                await ending(reader)
                writer.close()
        assert await sender.send(EVENT) == [200]


@pytest.mark.parametrize("junk", [b"\x16\x03\x01" + b"\x00" * 600, b"HELLO\r\n\r\n", b"POST " + b"/" * 20_000])
async def test_what_is_no_http_is_closed(junk: bytes) -> None:
    async with endpoint(Shelf(), silent_s=0.3) as sender:
        async with asyncio.timeout(10):
            assert (await raw(sender, junk))[:13] in {b"", b"HTTP/1.0 400 ", b"HTTP/1.1 400 "}
        assert await sender.send(EVENT) == [200]


async def test_what_a_stranger_sends_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    body, secret_words = orjson.dumps(EVENT), b"S3CRET-WORDS"
    good = b"POST %s HTTP/1.1\r\nHost: x\r\nStripe-Signature: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        PATH.encode(),
        header(body).encode(),
        len(body),
        body,
    )
    async with endpoint(Shelf(), silent_s=0.3) as sender:
        # aiohttp logs what is malformed as an error, but for the first request of a connection.
        reader, writer = await begin(sender, good)
        first = await reader.readuntil(b"kept\n")
        writer.write(secret_words + b"\r\n\r\n")
        second = await ending(reader)
        writer.close()
    assert (first[:13], second[:13]) == (b"HTTP/1.1 200 ", b"HTTP/1.0 400 ")
    assert caplog.records == []


async def test_a_bug_about_one_webhook_takes_no_other_down() -> None:
    shelf = Shelf()

    class Raising(Keeper):
        async def keep(self, notice: Notice) -> None:
            if notice.notice_id == "evt_bad":
                raise KeyError("bug")
            await super().keep(notice)

    with capture_logs() as log:
        async with endpoint(shelf, make_keeper=Raising) as sender:
            assert await sender.send(event("bad", "order-1", "pi_1"), EVENT) == [503, 200]
    assert [line["log_level"] for line in log] == ["error"]
    assert list(shelf.kept) == ["evt_1"]


async def test_a_compressed_body_is_never_unpacked() -> None:
    head = request_head(b"Content-Encoding: gzip\r\nContent-Length: 3")
    async with endpoint(Shelf()) as sender:
        assert (await raw(sender, head, b"\x1f\x8b\x08")).startswith(b"HTTP/1.1 400 ")
        assert sender.tally.counts == {Came.FORGED: 1}


def request_head(lines: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n" % (PATH.encode(), lines)


async def begin(sender: Sender, sent: bytes) -> tuple[asyncio.StreamReader, Any]:
    host, _, port = sender.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def ending(reader: asyncio.StreamReader) -> bytes:
    """Read until the other side closes the connection, in whatever way."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def raw(sender: Sender, *pieces: bytes) -> bytes:
    """Send these bytes as they are; return all that comes back."""
    reader, writer = await begin(sender, b"")
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    answer = await ending(reader)
    writer.close()
    return answer
