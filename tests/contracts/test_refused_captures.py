"""What a refused capture means: the payment's state decides, and an authorization that ran out is no refusal."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from domain.failure_codes import FailureCode
from domain.operation import OperationKind as K
from domain.outcome import Approved, Declined, GatewayOutcome, Lapsed
from tests.contracts.gateway_worlds import stripe_world

TAKEN = Approved("pi_1", amount_minor=1250, captured=True)
LEFT_OPEN = {
    "charge_expired_for_capture": Lapsed(),
    "capture_charge_authorization_expired": Lapsed(),
    "capture_unauthorized_payment": Declined(FailureCode.CAPTURE_REFUSED, "capture_unauthorized_payment"),
    "intent_invalid_state": Declined(FailureCode.CAPTURE_REFUSED, "intent_invalid_state"),
    "payment_intent_unexpected_state": Declined(FailureCode.CAPTURE_REFUSED, "payment_intent_unexpected_state"),
}
"""By Stripe's code: the outcome if the payment still looks authorized."""


class Refusing:
    """A Stripe that refuses every capture with one code, and whose payment has one status."""

    code, status = "", ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            error = {"type": "invalid_request_error", "code": self.code, "message": "no"}
            return web.json_response({"error": error}, status=400)
        received = 1250 if self.status == "succeeded" else 0
        intent: dict[str, Any] = {"id": "pi_1", "object": "payment_intent", "status": self.status, "livemode": False}
        return web.json_response(intent | {"amount": 1250, "amount_received": received, "currency": "eur"})


@pytest.fixture
async def capture() -> AsyncIterator[Callable[[str, str], Any]]:
    stripe = Refusing()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", stripe.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    world = stripe_world(f"http://{host}:{port}")

    async def capture(code: str, status: str) -> GatewayOutcome:
        stripe.code, stripe.status = code, status
        return await world.perform(world.call(K.CAPTURE, transaction_id="pi_1"))

    yield capture
    await world.gateway.close()
    await runner.cleanup()


@pytest.mark.parametrize("code", sorted(LEFT_OPEN))
async def test_the_state_of_the_payment_decides_first(capture: Callable[[str, str], Any], code: str) -> None:
    assert await capture(code, "succeeded") == TAKEN
    assert await capture(code, "canceled") == Lapsed()
    assert await capture(code, "requires_capture") == LEFT_OPEN[code]
