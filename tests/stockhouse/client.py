"""A bare HTTP client of the inventory sandbox. Every answer that it gets must follow the contract."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import httpx

from tests.stockhouse.contract import operations, wrong_with_answer

HOLD = "7d8f4f6e-0f0b-5a57-9a0e-2f5a3c1b9d10"
RESTOCK = "0b7a0b52-3c56-5d0b-8a7b-6d3f2c9f1e22"
_keys = count(1)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def word(self) -> str:
        """The last part of a problem's type; of a hold, its state."""
        return str(self.body["type"].rpartition(":")[2]) if "type" in self.body else str(self.body["state"])


class Client:
    """The calls of the contract, and what is the sandbox's own."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def call(
        self, operation: str, body: Any = None, *, key: str | None = None, thing: str = HOLD, **query: Any
    ) -> Answer:
        """Make a call; what changes something gets a new key if none is given. The answer follows the contract."""
        told = operations()[operation]
        path = told.path.replace("{reservation_id}", thing).replace("{restock_id}", thing)
        headers = {"Idempotency-Key": key or f"key-{next(_keys)}"} if body is not None and operation != "batch" else {}
        sent = {"json": body} if body is not None else {}
        response = self.http.request(told.method, path, headers=headers, params=query, **sent)
        content_type = response.headers["content-type"]
        answer = Answer(response.status_code, response.json(), response.headers)
        assert not wrong_with_answer(operation, answer.status, content_type, answer.body)
        return answer

    def reserve(
        self, lines: Mapping[str, int], until: str, *, thing: str = HOLD, order: str = "A-1", **more: Any
    ) -> Answer:
        """Reserve."""
        listed = [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()]
        return self.call("reserve", {"order_id": order, "lines": listed, "until": until}, thing=thing, **more)

    def in_minutes(self, count: float) -> str:
        """Return the time in so many minutes, by the clock of the inventory."""
        now = datetime.fromisoformat(self.http.get("/v1").json()["now"])
        return (now + timedelta(minutes=count)).isoformat().replace("+00:00", "Z")

    def stock(self, units: Mapping[str, int]) -> None:
        """Set how many units are free."""
        self.http.put("/inventory/stock", json={"available": units}).raise_for_status()

    def shelf(self, sku: str) -> tuple[int, int, int]:
        """Return the units of a SKU: available, held, sold."""
        found = {one["sku"]: one for one in self.ledger()["stock"]}[sku]
        assert found["put_in"] == found["available"] + found["held"] + found["sold"]
        return found["available"], found["held"], found["sold"]

    def effects(self, hold: str = HOLD) -> list[tuple[str, str | None]]:
        """Return what truly happened to a hold: what, and by which key."""
        (found,) = (one for one in self.ledger()["holds"] if one["reservation_id"] == hold)
        return [(effect["kind"], effect["key"]) for effect in found["effects"]]

    def faults(self, **wanted: Any) -> Any:
        """Set the faults of all calls."""
        return self.http.post("/inventory/faults", json=wanted).raise_for_status().json()

    def ledger(self) -> Any:
        """Get the ledger."""
        return self.http.get("/inventory/ledger").json()


@contextmanager
def client_of(address: str, timeout_s: float = 10) -> Iterator[Client]:
    """Open a client."""
    with httpx.Client(base_url=address, timeout=timeout_s, trust_env=False) as http:
        yield Client(http)
