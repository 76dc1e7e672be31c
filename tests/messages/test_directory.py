"""Who the customers' addresses come from. No error quotes one."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from consumers.adapters.notifier.directory import DirectoryDown, FileDirectory, UrlDirectory, read_customers
from domain.ports.messages import Customer
from tests.messages.builders import EMAIL
from tests.messages.mail_server import on_the_wire

ANSWER = b'{"email": "ada@customers.example", "language": "de_AT", "phone": "0"}'


@asynccontextmanager
async def service(answer: Callable[[web.BaseRequest], web.Response]) -> AsyncIterator[str]:
    async def serve(request: web.BaseRequest) -> web.Response:
        return answer(request)

    runner = web.ServerRunner(web.Server(serve), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def directory(url: str, **options: float) -> AsyncIterator[UrlDirectory]:
    made = UrlDirectory(url, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def test_a_service_is_asked_by_the_escaped_id_and_only_once_in_a_while() -> None:
    asked = []

    def answer(request: web.BaseRequest) -> web.Response:
        asked.append(
            (
                request.raw_path if hasattr(request, "raw_path") else request.path_qs,
                request.headers.get("Authorization"),
            )
        )
        return web.Response(body=ANSWER)

    async with service(answer) as place, directory(f"http://shop:s%40cret@{place}/c/{{customer_id}}?x=1") as made:
        assert await made.customer("a/../ü?&") == Customer(EMAIL, "de-AT")
        assert await made.customer("a/../ü?&") == Customer(EMAIL, "de-AT")
    assert asked == [("/c/a%2F..%2F%C3%BC%3F%26?x=1", "Basic " + b64encode(b"shop:s@cret").decode())]


async def test_what_is_kept_is_forgotten_by_time_and_by_number() -> None:
    asked = []

    def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(body=ANSWER)

    async with service(answer) as place:
        async with directory(f"http://{place}/{{customer_id}}", kept_max=2) as made:
            for customer_id in ("1", "2", "3", "3", "1"):
                await made.customer(customer_id)
            assert len(made._kept) <= 2
        assert asked == ["/1", "/2", "/3", "/1"]
        asked.clear()
        async with directory(f"http://{place}/{{customer_id}}", kept_s=0) as made:
            await made.customer("1")
            await made.customer("1")
        assert asked == ["/1", "/1"]


@pytest.mark.parametrize(
    ("status", "body"), [(404, b""), (410, b""), (200, b"{}"), (200, b'{"email": null}'), (200, b'{"email": " "}')]
)
async def test_no_address_is_a_definite_answer(status: int, body: bytes) -> None:
    url = "http://{}/{{customer_id}}"
    async with service(lambda _: web.Response(status=status, body=body)) as place, directory(url.format(place)) as made:
        assert await made.customer("1") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, ANSWER),
        (401, ANSWER),
        (403, b""),
        (302, b""),
        (200, b"<html>"),
        (200, b'["ada@customers.example"]'),
        (200, b" " * 70_000),
    ],
)
async def test_anything_else_is_no_answer(status: int, body: bytes) -> None:
    url = "http://{}/{{customer_id}}"
    async with service(lambda _: web.Response(status=status, body=body)) as place, directory(url.format(place)) as made:
        with pytest.raises(DirectoryDown) as raised:
            await made.customer("1")
    assert EMAIL not in str(raised.value)


@pytest.mark.parametrize(
    "said", [b"", b"garbage\r\n\r\n", b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"email": "ada@']
)
async def test_a_connection_that_breaks_is_no_answer(said: bytes) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with on_the_wire(breaks) as port, directory(f"http://127.0.0.1:{port}/{{customer_id}}") as made:
        with pytest.raises(DirectoryDown):
            await made.customer("1")


async def test_a_slow_service_is_no_answer() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with on_the_wire(slow) as port, directory(f"http://127.0.0.1:{port}/{{customer_id}}", timeout_s=0.1) as made:
        with pytest.raises(DirectoryDown):
            await made.customer("1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "customer_id,email,language\nc-1,ada@customers.example,de\nc-2,bob@customers.example,\nc-3,,\n"),
        (
            "c.jsonl",
            """{"customer_id": "c-1", "email": "ada@customers.example", "language": "de"}

{"customer_id": "c-2", "email": "bob@customers.example"}
{"customer_id": "c-3"}
""",
        ),
    ],
)
async def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    made = FileDirectory(path)
    assert await made.customer("c-1") == Customer(EMAIL, "de")
    assert await made.customer("c-2") == Customer("bob@customers.example")
    assert await made.customer("c-3") is None
    path.write_text(text.replace("ada@", "eve@"))
    os.utime(path, ns=(1, 1))
    assert await made.customer("c-1") == Customer("eve@customers.example", "de")
    path.unlink()
    with pytest.raises(DirectoryDown):
        await made.customer("c-1")


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("c.csv", "id,email\n1,ada@customers.example\n", "must name the columns"),
        ("c.csv", 'customer_id,email\n1,"ada@customers.example\n', "line 1"),
        ("c.jsonl", '{"customer_id": "1"}\nada@customers.example\n', "line 2 is no JSON"),
        ("c.jsonl", '{"email": "ada@customers.example"}\n', "line 1 has no customer_id"),
        ("c.jsonl", "[]\n", "line 1 is no JSON object"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_alone(tmp_path: Path, name: str, text: str, wrong: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=wrong) as raised:
        read_customers(tmp_path / name)
    assert EMAIL not in str(raised.value)
