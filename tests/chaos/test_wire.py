"""The wire in front of the gateway looks like the gateway, notes every call, and can be cut."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from deploy.embedded.ports import free_port
from tests.chaos.wire import HOST, Wire
from tests.eventually import eventually

KEY = "payments:order-1:1:authorize:1"


class Gateway(BaseHTTPRequestHandler):
    """Answers once it is let; breaks off on /cut."""

    protocol_version = "HTTP/1.1"
    may_answer = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/cut":
            self.close_connection = True
            return
        self.may_answer.wait(10)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture
def wire() -> Iterator[Wire]:
    Gateway.may_answer.clear()
    with ThreadingHTTPServer((HOST, 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = Wire(free_port(), (HOST, server.server_address[1]))
        made.listen()
        try:
            yield made
        finally:
            Gateway.may_answer.set()
            made.close()
            server.shutdown()
            thread.join()


def post(client: httpx.Client, path: str = "/", **how: Any) -> httpx.Response:
    return client.post(path, content=b"amount=1", headers={"Idempotency-Key": KEY}, **how)


def client_of(wire: Wire) -> httpx.Client:
    return httpx.Client(base_url=wire.url, trust_env=False, timeout=10)


def test_calls_on_one_connection_are_passed_on_and_noted_one_by_one(wire: Wire) -> None:
    Gateway.may_answer.set()
    with client_of(wire) as client:
        answers = [post(client).text for _ in range(3)]
    assert answers == ["ok"] * 3
    # The caller may have its answer a moment before the wire notes that.
    eventually(lambda: all(call.ended for call in wire.calls), "all calls have ended", 10)
    assert [(call.key, call.ended) for call in wire.calls] == [(KEY, "answered")] * 3
    assert all(a.ended_at <= b.begun_at for a, b in zip(wire.calls, wire.calls[1:], strict=False) if a.ended_at)


def test_a_call_ends_when_its_caller_gives_up_and_another_may_overlap_it(wire: Wire) -> None:
    with client_of(wire) as client, client_of(wire) as other:
        with pytest.raises(httpx.ReadTimeout):
            post(client, timeout=0.2)
        eventually(lambda: [call.ended for call in wire.calls] == ["gone"], "the first call has ended", 10)
        waiting = threading.Thread(target=post, args=(other,))
        waiting.start()
        eventually(lambda: len(wire.calls) == 2, "the second call has begun", 10)
        Gateway.may_answer.set()
        waiting.join()
    first, second = wire.calls
    assert first.ended_at is not None
    assert first.ended_at <= second.begun_at
    assert second.ended == "answered"


def test_what_breaks_off_there_is_reset_here(wire: Wire) -> None:
    with client_of(wire) as client, pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        post(client, "/cut")
    assert [call.ended for call in wire.calls] == ["reset"]


def test_a_wire_that_is_cut_loses_everything_and_one_that_is_shut_refuses(wire: Wire) -> None:
    Gateway.may_answer.set()
    wire.cut(is_cut=True)
    with client_of(wire) as client, pytest.raises(httpx.ReadTimeout):
        post(client, timeout=0.2)
    wire.cut(is_cut=False)
    wire.shut()
    with client_of(wire) as client, pytest.raises(httpx.ConnectError):
        post(client)
    wire.listen()
    with client_of(wire) as client:
        assert post(client).text == "ok"
