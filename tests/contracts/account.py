"""An account at Stripe after somebody has been at its dashboard, and a world before it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from consumers.adapters.gateway.stripe_account import KnownBefore
from domain.operation import GatewayCall
from tests.contracts.gateway_worlds import World, stripe_world

PAID = 1250


class Account:
    """An account at Stripe after somebody has been at its dashboard."""

    def __init__(self) -> None:
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.refuses_refunds = False

    def add(self, intent_id: str, status: str, **fields: Any) -> None:
        self.intents[intent_id] = {
            "id": intent_id,
            "object": "payment_intent",
            "amount": PAID,
            "amount_received": PAID if status == "succeeded" else 0,
            "amount_capturable": 0,
            "currency": "eur",
            "livemode": False,
            "status": status,
            "metadata": {},
            "latest_charge": {"id": "ch_1", "object": "charge", "amount": PAID, "amount_refunded": 0},
            **fields,
        }

    def add_refund(self, amount: int, status: str = "succeeded", **fields: Any) -> None:
        refund = {
            "id": f"re_{len(self.refunds)}",
            "object": "refund",
            "amount": amount,
            "balance_transaction": "txn_1",
            "currency": "eur",
            "status": status,
            "metadata": {},
        }
        self.refunds.insert(0, refund | fields)
        for intent in self.intents.values():
            # Stripe counts what is pending, too.
            intent["latest_charge"]["amount_refunded"] += 0 if status == "failed" else amount

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        match request.method, request.path.split("/")[2:]:
            case "GET", ["payment_intents"]:
                listed = [_expanded(request, intent) for intent in self.intents.values()]
                return web.json_response({"object": "list", "data": listed, "has_more": False})
            case "GET", ["payment_intents", name] if name in self.intents:
                return web.json_response(_expanded(request, self.intents[name]))
            case "GET", ["refunds"] if (name := request.query["payment_intent"]) not in self.intents:
                return _refused(404, "resource_missing", f"No such payment_intent: '{name}'")
            case "GET", ["refunds"]:
                return web.json_response({"object": "list", "data": self.refunds, "has_more": False})
            case _, ["payment_intents", name, *_] if name not in self.intents:
                return _refused(404, "resource_missing", f"No such payment_intent: '{name}'")
            case "POST", ["payment_intents", *_]:
                return _refused(400, "payment_intent_unexpected_state", "This PaymentIntent has another status.")
            case "POST", ["refunds"] if (name := str((await request.post())["payment_intent"])) not in self.intents:
                return _refused(404, "resource_missing", f"No such payment_intent: '{name}'")
            case "POST", ["refunds"]:
                left = 0 if self.refuses_refunds else PAID - sum(refund["amount"] for refund in self.refunds)
                code = None if left else "charge_already_refunded"
                return _refused(400, code, f"Refund amount is greater than unrefunded amount ({left}).")
            case _:
                raise AssertionError(request.path)


def _refused(status: int, code: str | None, message: str) -> web.Response:
    error = {"type": "invalid_request_error", "message": message} | ({} if code is None else {"code": code})
    return web.json_response({"error": error}, status=status)


def _expanded(request: web.Request, intent: dict[str, Any]) -> dict[str, Any]:
    """Return the intent with its charge only if the request asks for it."""
    expanded = any(name.startswith("expand[") for name in request.query)
    return intent if expanded else intent | {"latest_charge": "ch_1"}


def named(call: GatewayCall) -> dict[str, str]:
    """Return the metadata that we give what a call makes."""
    return {"order_id": call.order_id, "attempt": str(call.attempt), "operation_id": str(call.operation_id)}


@asynccontextmanager
async def world_at(account: Account, known_before: KnownBefore | None = None) -> AsyncIterator[World]:
    """Run the account, and give a world before it."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", account.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made = stripe_world(f"http://{host}:{port}", known_before)
    yield made
    await made.gateway.close()
    await runner.cleanup()
