"""A schema registry of the tests' own, which speaks Confluent's interface on loopback and can misbehave."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from schemas.compatibility import unreadable


def equal(old: Any, new: Any) -> bool:
    return bool(old == new)


@dataclass(slots=True)
class Entry:
    """A version of a subject."""

    subject: str
    number: int
    schema_id: int
    body: dict[str, Any]
    deleted: bool = False


@dataclass(slots=True)
class Answer:
    """What is answered in place of the truth: a body of bytes, with this status and these headers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class RegistryServer:
    """What the registry holds, how it is ill, and what it was asked.

    hidden: ids that it does not know yet. behind: so often each id is not there for who asks. ill: the answer to
    everything. answers: to one question, as `GET /config`. healthy: unless it is set, nothing is answered. hanging:
    questions that have no answer. trickling: whose answers never end. same: whether two schemas are one to it.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.levels: dict[str, str] = {}
        self.hidden: set[int] = set()
        self.behind = 0
        self.ill: Answer | None = None
        self.answers: dict[str, Answer] = {}
        self.healthy = Event()
        self.healthy.set()
        self.hanging: set[str] = set()
        self.trickling: set[str] = set()
        self.ended = Event()
        self.asked: list[str] = []
        self.same: Callable[[Any, Any], bool] = equal
        self.url = ""

    def hold(self, question: str) -> None:
        """Let a question wait for its answer as long as it must."""
        self.healthy.wait()
        if question in self.hanging:
            self.ended.wait()

    def add(self, subject: str, schema: dict[str, Any] | str, **others: Any) -> int:
        """Register a schema by hand; equal schemas have one id, whatever the subject."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        body = {"schema": text, **others}
        known = next((e.schema_id for e in self.entries if e.body == body), None)
        schema_id = known or max((e.schema_id for e in self.entries), default=0) + 1
        number = 1 + sum(e.subject == subject for e in self.entries)
        self.entries.append(Entry(subject, number, schema_id, body))
        return schema_id

    def of(self, subject: str, *, deleted: bool = False) -> list[Entry]:
        return [e for e in self.entries if e.subject == subject and (deleted or not e.deleted)]

    def answer(self, method: str, path: str, query: dict[str, list[str]], sent: Any) -> tuple[int, Any]:
        deleted = query.get("deleted") == ["true"] or query.get("deleted") == ["True"]
        match (method, *path.strip("/").split("/")):
            case ("GET", "schemas", "ids", number, *rest):
                return self._by_id(int(number), rest, deleted=deleted)
            case ("GET", "subjects", subject, "versions", *rest):
                return self._by_subject(unquote(subject), rest, deleted=deleted)
            case ("POST", "subjects", subject):
                return self._look_up(unquote(subject), sent)
            case ("POST", "subjects", subject, "versions"):
                return self._register(unquote(subject), sent)
            case ("GET", "config", subject):
                level = self.levels.get(unquote(subject))
                return (200, {"compatibilityLevel": level}) if level else (404, _error(40408, "No level"))
            case ("PUT", "config", subject):
                self.levels[unquote(subject)] = sent["compatibility"]
                return 200, sent
            case _:
                return 404, _error(404, "HTTP 404 Not Found")

    def _by_id(self, schema_id: int, rest: list[str], *, deleted: bool) -> tuple[int, Any]:
        found = [
            e for e in self.entries if e.schema_id == schema_id and (deleted or rest != ["versions"] or not e.deleted)
        ]
        lags = self.asked.count(f"GET /schemas/ids/{schema_id}/versions") <= self.behind
        if schema_id in self.hidden or lags or not found:
            return 404, _error(40403, "Schema not found")
        if rest == ["versions"]:
            return 200, [{"subject": e.subject, "version": e.number} for e in found]
        return 200, found[0].body

    def _by_subject(self, subject: str, rest: list[str], *, deleted: bool) -> tuple[int, Any]:
        found = self.of(subject, deleted=deleted)
        if not found:
            return 404, _error(40401, "Subject not found")
        if not rest:
            return 200, [e.number for e in found]
        (entry,) = [e for e in found if e.number == int(rest[0])]
        return 200, {"subject": subject, "version": entry.number, "id": entry.schema_id, **entry.body}

    def _look_up(self, subject: str, sent: Any) -> tuple[int, Any]:
        found = self.of(subject)
        for entry in found:
            if self.same(json.loads(entry.body["schema"]), json.loads(sent["schema"])):
                return 200, {"id": entry.schema_id, "subject": subject, "version": entry.number, **entry.body}
        return (404, _error(40403, "Schema not found")) if found else (404, _error(40401, "Subject not found"))

    def _register(self, subject: str, sent: Any) -> tuple[int, Any]:
        new = json.loads(sent["schema"])
        for entry in self.of(subject):
            old = json.loads(entry.body["schema"])
            if self.same(old, new):
                return 200, {"id": entry.schema_id}
            problems = unreadable(new, old) + unreadable(old, new)
            if problems and self.levels.get(subject) == "FULL_TRANSITIVE":
                return 409, _error(409, f"Schema being registered is incompatible: {problems[0]}")
        return 200, {"id": self.add(subject, sent["schema"])}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error_code": code, "message": message}


def _trickle(handler: BaseHTTPRequestHandler, ended: Event) -> None:
    """Answer a byte at a time, until the test ends or nobody listens."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000000")
    handler.end_headers()
    while not ended.wait(0.05):
        handler.wfile.write(b" ")


def _handler(registry: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.serve(None)

        def do_POST(self) -> None:
            self.serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_PUT(self) -> None:
            self.do_POST()

        def serve(self, sent: Any) -> None:
            parts = urlsplit(self.path)
            registry.asked.append(f"{self.command} {parts.path}")
            registry.hold(f"{self.command} {parts.path}")
            if f"{self.command} {parts.path}" in registry.trickling:
                _trickle(self, registry.ended)
            answer = registry.ill or registry.answers.get(f"{self.command} {parts.path}")
            if answer is None:
                status, body = registry.answer(self.command, parts.path, parse_qs(parts.query), sent)
                answer = Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a client that gave up waiting: that is no error of the test."""


@contextmanager
def registry_server() -> Iterator[RegistryServer]:
    """Run one; what it holds back is let go at the end."""
    registry = RegistryServer()
    with _Server(("127.0.0.1", 0), _handler(registry)) as http:
        registry.url = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield registry
        finally:
            registry.healthy.set()
            registry.ended.set()
            http.shutdown()
            thread.join()
