"""The sandbox's ledger, for the audit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp

from domain.errors import Transient
from domain.ids import OrderId
from domain.ports.gateway import Effect, LedgerEntry


class SandboxLedger:
    """`GatewayLedger` over `GET /sandbox/ledger`. base_url is the sandbox's address, as the API base is."""

    def __init__(self, base_url: str, *, timeout_s: float = 60.0) -> None:
        self._url = f"{base_url.rstrip('/')}/sandbox/ledger"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every transaction, newest first. Raises Transient when the sandbox does not answer."""
        try:
            async with aiohttp.ClientSession(timeout=self._timeout) as session, session.get(self._url) as answer:
                answer.raise_for_status()
                ledger = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as lost:
            raise Transient(f"The sandbox's ledger does not answer at {self._url}: start the sandbox.") from lost
        return [_entry(intent) for intent in ledger["payment_intents"]]


def _entry(intent: Mapping[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        transaction_id=intent["id"],
        order_id=None if intent["order_id"] is None else OrderId(intent["order_id"]),
        operation_id=intent["operation_id"],
        status=intent["status"],
        currency=intent["currency"],
        amount_minor=intent["amount_minor"],
        captured_minor=intent["amount_captured_minor"],
        refunded_minor=intent["amount_refunded_minor"],
        effects=tuple(
            Effect(effect["kind"], effect["key"], datetime.fromisoformat(effect["at"]), effect["amount_minor"])
            for effect in intent["effects"]
        ),
    )
