"""With a schema registry: whose ids are believed, what is remembered, and what its silence means."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from schemas.codec import Codec
from schemas.confluent import REFUSAL_REMEMBERED_S, ConfluentRegistry
from schemas.events import OrderConfirmed, PaymentMethodKind
from schemas.registry import NotRegistered, RegistryUnavailable
from schemas.rejection import Reason, Rejected
from schemas.shapes import load
from tests.schemas import wire
from tests.schemas.builders import one_of_each, order_confirmed, payment_retry_requested

SUBJECT = "shop.OrderConfirmed-value"
KEY = b"order-1"


class FakeRegistry:
    """A registry in memory, in the protocol's terms."""

    def __init__(self) -> None:
        self.schemas: dict[int, tuple[str, dict[str, Any]]] = {}

    def add(self, subject: str, schema: dict[str, Any]) -> int:
        schema_id = len(self.schemas) + 1
        self.schemas[schema_id] = subject, schema
        return schema_id

    def id_of(self, subject: str, schema: dict[str, Any]) -> int:
        for schema_id, registered in self.schemas.items():
            if registered == (subject, schema):
                return schema_id
        raise NotRegistered(subject)

    def schema_of(self, subject: str, schema_id: int) -> dict[str, Any]:
        if schema_id not in self.schemas:
            raise Rejected(Reason.UNKNOWN_SCHEMA, "Not there.")
        where, schema = self.schemas[schema_id]
        if where != subject:
            raise Rejected(Reason.WRONG_SCHEMA, "Not here.")
        return schema


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry()
    for event in one_of_each():
        registry.add(f"shop.{event.TYPE}-value", load(event.TYPE))
    return registry


def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    schema = load("OrderConfirmed")
    change(schema)
    return schema


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return next(field for field in schema["fields"] if field["name"] == name)


def test_every_event_survives_confluents_framing(registry: FakeRegistry) -> None:
    codec = Codec(registry=registry, prefix="shop.")
    for schema_id, event in enumerate(one_of_each(), start=1):
        value = codec.encode(event)

        assert value[:5] == b"\x00" + schema_id.to_bytes(4, "big")
        key = event.subject.encode()
        assert codec.decode(event.TYPE, key, value) == event
        assert codec.decode(event.TYPE, key, Codec().encode(event)) == event, "single objects are read as well"


def test_an_event_is_not_written_under_a_schema_that_is_not_registered() -> None:
    with pytest.raises(NotRegistered):
        Codec(registry=FakeRegistry()).encode(order_confirmed())


def test_ids_are_pinned_to_the_topic(registry: FakeRegistry) -> None:
    codec = Codec(registry=registry, prefix="shop.")
    retry = codec.encode(payment_retry_requested())

    with pytest.raises(Rejected) as wrong:
        codec.decode("OrderConfirmed", KEY, retry)
    with pytest.raises(Rejected) as unknown:
        codec.decode("OrderConfirmed", KEY, wire.confluent(99, wire.order()))

    assert (wrong.value.reason, unknown.value.reason) == (Reason.WRONG_SCHEMA, Reason.UNKNOWN_SCHEMA)


def test_an_older_writer_without_a_field_gets_its_default(registry: FakeRegistry) -> None:
    older = changed(lambda schema: schema["fields"].remove(field(schema, "tax_minor")))
    schema_id = registry.add(SUBJECT, older)
    value = wire.confluent(schema_id, wire.order(tax_minor=b"", total_minor=wire.long(3_000)))

    assert Codec(registry=registry, prefix="shop.").decode("OrderConfirmed", KEY, value) == order_confirmed(tax_minor=0)


def test_a_newer_writers_field_and_symbol_are_read_around(registry: FakeRegistry) -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["fields"].append({"name": "note", "type": "string", "default": ""})
        field(schema, "payment_method")["type"][1]["fields"][0]["type"]["symbols"].append("CRYPTO")

    schema_id = registry.add(SUBJECT, changed(change))
    method = wire.long(1) + wire.long(4) + wire.method("pm_crypto")[1:]
    value = wire.confluent(schema_id, wire.order(payment_method=method) + wire.text("new"))
    codec = Codec(registry=registry, prefix="shop.")

    order = codec.decode("OrderConfirmed", KEY, value)

    assert isinstance(order, OrderConfirmed)
    assert order.payment_method is not None
    assert order.payment_method.kind is PaymentMethodKind.OTHER
    with pytest.raises(Rejected) as refused:
        codec.decode("OrderConfirmed", KEY, value + b"\x00")
    assert refused.value.reason is Reason.NOT_CANONICAL


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda schema: field(schema, "occurred_at")["type"].update(logicalType="timestamp-millis"),
            id="other meaning",
        ),
        pytest.param(lambda schema: field(schema, "total_minor").update(type="string"), id="other type"),
        pytest.param(lambda schema: schema["fields"].remove(field(schema, "total_minor")), id="field missing"),
        pytest.param(
            lambda schema: schema["fields"].append({"name": "n", "type": {"type": "array", "items": "null"}}), id="bomb"
        ),
        pytest.param(
            lambda schema: schema["fields"].append({"name": "n", "type": ["null", "OrderConfirmed"]}), id="recursive"
        ),
        pytest.param(lambda schema: field(schema, "total_minor").update(type="nonsense"), id="no Avro"),
        pytest.param(lambda schema: schema.pop("fields"), id="no fields"),
    ],
)
def test_a_registered_schema_that_would_be_misread_is_an_unknown_schema(
    registry: FakeRegistry, change: Callable[[dict[str, Any]], None]
) -> None:
    schema_id = registry.add(SUBJECT, changed(change))

    with pytest.raises(Rejected) as refused:
        Codec(registry=registry, prefix="shop.").decode("OrderConfirmed", KEY, wire.confluent(schema_id, wire.order()))

    assert refused.value.reason is Reason.UNKNOWN_SCHEMA


def without_uuids(schema: Any) -> Any:
    """Copy a schema without the logical type uuid, which some tools drop."""
    if isinstance(schema, list):
        return [without_uuids(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") == "uuid":
        return "string"
    return {name: without_uuids(part) for name, part in schema.items()}


def test_schemas_that_lack_only_uuids_are_read_and_the_text_is_checked(registry: FakeRegistry) -> None:
    codec = Codec(registry=registry, prefix="shop.")
    for event in one_of_each():
        schema_id = registry.add(f"shop.{event.TYPE}-value", without_uuids(load(event.TYPE)))
        body = Codec().encode(event)[10:]
        assert codec.read(event.TYPE, event.subject.encode(), wire.confluent(schema_id, body)) == event

    schema_id = registry.add(SUBJECT, without_uuids(load("OrderConfirmed")))
    for text in ("not-a-uuid", "z" * 36, "7d0f5a5254ce5b0f9a550c8b52a4a9d1"):
        with pytest.raises(Rejected) as refused:
            codec.decode("OrderConfirmed", KEY, wire.confluent(schema_id, wire.order(event_id=wire.text(text))))
        assert refused.value.reason is Reason.INVALID_FIELD


def test_a_newer_schema_that_lacks_uuids_is_read_as_ours(registry: FakeRegistry) -> None:
    newer = without_uuids(load("OrderConfirmed"))
    newer["fields"].append({"name": "note", "type": ["null", "string"], "default": None})
    body = wire.confluent(registry.add(SUBJECT, newer), wire.order() + wire.long(0))
    assert Codec(registry=registry, prefix="shop.").decode("OrderConfirmed", KEY, body) == order_confirmed()


class Handler(BaseHTTPRequestHandler):
    """Confluent's interface, as far as reading goes. schemas: (subject, schema text) by id; status: of every answer."""

    schemas: ClassVar[dict[int, tuple[str, str]]] = {}
    status: ClassVar[int] = 200
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        parts = urlsplit(self.path).path.strip("/").split("/")
        found = self.schemas.get(int(parts[2]))
        if found is None:
            self.answer(404, {"error_code": 40403, "message": "Schema not found"})
        elif parts[3:] == ["versions"]:
            self.answer(200, [{"subject": found[0], "version": 1}])
        else:
            self.answer(200, {"schema": found[1]})

    def do_POST(self) -> None:
        self.asked.append(self.path)
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["schema"]
        subject = unquote(urlsplit(self.path).path.split("/")[2])
        for schema_id, (where, text) in self.schemas.items():
            if where == subject and json.loads(text) == json.loads(sent):
                self.answer(200, {"id": schema_id, "subject": subject, "version": 1, "schema": text})
                return
        self.answer(404, {"error_code": 40403, "message": "Schema not found"})

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body if self.status == 200 else {"error_code": self.status, "message": "no"}).encode()
        self.send_response(status if self.status == 200 else self.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(
        Handler, "schemas", {7: (SUBJECT, json.dumps(load("OrderConfirmed"))), 8: ("other-value", '"int"')}
    )
    monkeypatch.setattr(Handler, "status", 200)
    monkeypatch.setattr(Handler, "asked", [])
    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_registry_is_asked_once_about_an_id(server: str) -> None:
    writer, reader = (Codec(registry=ConfluentRegistry.at(server), prefix="shop.") for _ in range(2))
    for _ in range(3):
        value = writer.encode(order_confirmed())
        assert value[:5] == b"\x00\x00\x00\x00\x07"
        assert reader.decode("OrderConfirmed", KEY, value) == order_confirmed()

    assert [urlsplit(path).path for path in Handler.asked] == [
        f"/subjects/{SUBJECT}",
        "/schemas/ids/7/versions",
        "/schemas/ids/7",
    ]
    with pytest.raises(NotRegistered):
        ConfluentRegistry.at(server).id_of("shop.PaymentFailed-value", load("PaymentFailed"))


def test_a_refused_id_is_asked_for_again_only_after_a_while(server: str) -> None:
    now = [0.0]
    registry = ConfluentRegistry(ConfluentRegistry.at(server)._client, clock=lambda: now[0])
    for schema_id, reason in ((99, Reason.UNKNOWN_SCHEMA), (8, Reason.WRONG_SCHEMA)):
        for _ in range(2):
            with pytest.raises(Rejected) as refused:
                registry.schema_of(SUBJECT, schema_id)
            assert refused.value.reason is reason
    assert len(Handler.asked) == 2

    now[0] = REFUSAL_REMEMBERED_S
    Handler.schemas[99] = SUBJECT, json.dumps(load("OrderConfirmed"))

    assert registry.schema_of(SUBJECT, 99) == load("OrderConfirmed")


def test_an_id_beyond_any_registrys_count_is_not_asked_for(server: str) -> None:
    with pytest.raises(Rejected) as refused:
        ConfluentRegistry.at(server).schema_of(SUBJECT, 2**32 - 1)

    assert refused.value.reason is Reason.UNKNOWN_SCHEMA
    assert Handler.asked == []


def test_what_is_not_one_record_is_an_unknown_schema(server: str) -> None:
    registry = ConfluentRegistry.at(server)
    for schema_id, text in enumerate(('"int"', "{", '["null"]', '{"type": "enum"}'), start=20):
        Handler.schemas[schema_id] = SUBJECT, text
        with pytest.raises(Rejected) as refused:
            registry.schema_of(SUBJECT, schema_id)
        assert refused.value.reason is Reason.UNKNOWN_SCHEMA


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_registry_that_refuses_to_answer_is_unavailable_and_condemns_no_message(
    server: str, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    codec = Codec(registry=ConfluentRegistry.at(server), prefix="shop.")
    value = wire.confluent(7, wire.order())
    monkeypatch.setattr(Handler, "status", status)

    with pytest.raises(RegistryUnavailable):
        codec.decode("OrderConfirmed", KEY, value)
    with pytest.raises(RegistryUnavailable):
        codec.encode(order_confirmed())

    monkeypatch.setattr(Handler, "status", 200)
    assert codec.decode("OrderConfirmed", KEY, value) == order_confirmed()


def test_a_registry_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(RegistryUnavailable):
        ConfluentRegistry.at("http://127.0.0.1:1").schema_of(SUBJECT, 7)
