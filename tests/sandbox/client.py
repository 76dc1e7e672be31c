"""A bare HTTP client of the sandbox: what a test sends is what goes over the wire."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

KEY = "sk_test_play"
_keys = count(1)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    replayed: bool

    @property
    def error(self) -> tuple[int, str | None, str | None]:
        """Status, code and param of a refusal."""
        return self.status, self.body["error"].get("code"), self.body["error"].get("param")


class Client:
    """The few requests that the tests need."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, form: Mapping[str, Any], key: str | None = None) -> Answer:
        """Post a form under a key, a fresh one when none is given."""
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": key or f"key-{next(_keys)}"}
        return _answer(self.http.post(path, data=dict(form), headers=headers))

    def get(self, path: str) -> Answer:
        """Get a resource."""
        return _answer(self.http.get(path, headers={"Authorization": f"Bearer {KEY}"}))

    def intent(self, key: str | None = None, **changes: Any) -> Answer:
        """Create and confirm an authorization."""
        form = {
            "amount": 1250,
            "currency": "eur",
            "confirm": "true",
            "capture_method": "manual",
            "payment_method": "pm_card_visa",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            **changes,
        }
        return self.post("/v1/payment_intents", {name: value for name, value in form.items() if value is not None}, key)

    def ledger(self) -> Any:
        """Get the ledger."""
        return self.http.get("/sandbox/ledger").json()


@contextmanager
def client_of(address: str) -> Iterator[Client]:
    """Open a client."""
    with httpx.Client(base_url=address, timeout=10, trust_env=False) as http:
        yield Client(http)


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.json(), response.headers.get("Idempotent-Replayed") == "true")
