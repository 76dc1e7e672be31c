"""What our adapter does in the life of an order, played before any server: every request that it can send."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, product
from typing import Final

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from domain.ids import OrderId
from domain.operation import Frozen, GatewayCall, OperationKind, idempotency_key, operation_id
from domain.outcome import GatewayOutcome
from domain.ports.gateway import GatewayAnswer

AMOUNTS: Final = ((1250, "EUR"), (50, "USD"), (500, "JPY"), (12340, "KWD"), (700, "ISK"), (500, "MGA"), (17500, "HUF"))
"""Of every kind of currency: two decimals, none, three, and those that Stripe counts in its own way."""
_URL: Final = "https://shop.example/back?order=conformance"
_CUSTOMER: Final = "cus_play_1"
FROZEN: Final = (
    Frozen(statement_suffix="ORDER 7", description="Order 7"),
    Frozen(return_url=_URL),
    Frozen(customer_id=_CUSTOMER),
    Frozen(customer_id=_CUSTOMER, off_session=True),
    Frozen(method_kind="WALLET"),
    Frozen(method_kind="BANK", return_url=_URL, description="Order 7"),
    Frozen(method_kind="OTHER", customer_id=_CUSTOMER, off_session=True),
    Frozen("ORDER 7", "Order 7", _URL, _CUSTOMER),
)
"""What can be frozen with an authorize, alone and together: every parameter, in every form that it has."""
TOKENS: Final = ("pm_card_visa", "ctoken_1")
_orders = count(1)


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes calls of one order and performs them."""

    gateway: StripeGateway
    order: OrderId

    def call(
        self,
        kind: OperationKind,
        transaction_id: str | None = None,
        *,
        token: str | None = None,
        money: tuple[int, str] = (1250, "EUR"),
        reference: str | None = None,
        try_number: int = 1,
        frozen: Frozen | None = None,
    ) -> GatewayCall:
        """Build a call of this order."""
        identity = (self.order, 1, kind, try_number)
        return GatewayCall(
            operation_id(*identity),
            kind,
            idempotency_key(*identity),
            self.order,
            1,
            *money,
            token,
            transaction_id,
            reference,
            datetime.now(UTC),  # noqa: TID251 - the servers live in real time
            frozen=frozen,
        )

    async def perform(self, call: GatewayCall) -> GatewayOutcome:
        """Perform one call."""
        return await _only(self.gateway.perform([call]))

    async def look_up(self, call: GatewayCall) -> GatewayOutcome:
        """Look one call up."""
        return await _only(self.gateway.look_up([call]))


@asynccontextmanager
async def telling(address: str) -> AsyncIterator[StripeGateway]:
    """Open our adapter before a server."""
    gateway = StripeGateway("sk_test_conformance", api_base=address, timeout_s=30.0)
    try:
        yield gateway
    finally:
        await gateway.close()


def teller(gateway: StripeGateway) -> Teller:
    """Return a teller of an order that nobody used before."""
    return Teller(gateway, OrderId(f"conformance-{next(_orders)}"))


async def send_everything(gateway: StripeGateway) -> int:
    """Send every request that the adapter can send, with every kind of value; return how many calls that were.

    What comes back is not looked at: the server may have no state.
    """
    calls = 0
    for money in AMOUNTS:
        told = teller(gateway)
        each = [
            told.call(OperationKind.AUTHORIZE, token="pm_card_visa", money=money),
            told.call(OperationKind.CAPTURE, "pi_1", money=money),
            told.call(OperationKind.VOID, "pi_1", money=money),
            told.call(OperationKind.REFUND, "pi_1", money=money),
        ]
        for call in each:
            await told.perform(call)
            await told.look_up(call)
        await told.look_up(told.call(OperationKind.REFUND, "pi_1", money=money, reference="re_1"))
        calls += 2 * len(each) + 1
    for frozen, token in product((None, *FROZEN), TOKENS):
        told = teller(gateway)
        await told.perform(told.call(OperationKind.AUTHORIZE, token=token, frozen=frozen))
        calls += 1
    for reference in ("pi_1", "re_1"):
        await gateway.order_of(reference)
        calls += 1
    return calls


async def _only(groups: AsyncIterator[Sequence[GatewayAnswer]]) -> GatewayOutcome:
    [answer] = [answer async for group in groups for answer in group]
    return answer.outcome
