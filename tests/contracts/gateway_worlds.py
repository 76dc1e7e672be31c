"""The worlds that the gateway contract is told in: the simulated gateway, and the Stripe adapter before a sandbox."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from consumers.adapters.gateway.stripe_account import KnownBefore
from consumers.adapters.gateway.stripe_adapter import StripeGateway
from deploy.playbank.in_process import SimulatedGateway
from deploy.playbank.ledger import SandboxLedger
from domain.ids import OrderId
from domain.operation import GatewayCall, OperationKind, idempotency_key, operation_id
from domain.outcome import Approved, GatewayOutcome
from domain.ports.gateway import Gateway, GatewayAnswer, GatewayLedger, LedgerEntry
from domain.values import replace

TIMEOUT_S = 1.0  # of the client: shorter than a slow call, longer than a busy machine takes for a quick one
CONCURRENCY = 16  # so few that each is answered within TIMEOUT_S on a busy machine
PENDING_S = 0.2
PATIENCE_S = 10.0

_orders = count(1)


def new_order() -> OrderId:
    """Name an order that no test used before."""
    return OrderId(f"order-{next(_orders)}")


@dataclass
class World:
    """A gateway, its books, its clock, and the shorthand that the tests speak."""

    gateway: Gateway
    ledger: GatewayLedger
    now: Callable[[], datetime]
    pause: Callable[[float], object]

    def call(
        self,
        kind: OperationKind,
        order: OrderId | None = None,
        token: str | None = None,
        transaction_id: str | None = None,
        amount_minor: int = 1250,
        currency: str = "EUR",
        try_number: int = 1,
    ) -> GatewayCall:
        """Build a complete call."""
        order = order or new_order()
        return GatewayCall(
            operation_id(order, 1, kind, try_number),
            kind,
            idempotency_key(order, 1, kind, try_number),
            order,
            1,
            amount_minor,
            currency,
            token,
            transaction_id,
            None,
            self.now(),
        )

    def authorize(self, token: str = "pm_card_visa", amount_minor: int = 1250, currency: str = "EUR") -> GatewayCall:
        """Build an authorize call of a new order."""
        return self.call(OperationKind.AUTHORIZE, token=token, amount_minor=amount_minor, currency=currency)

    def follow_up(
        self, first: GatewayCall, kind: OperationKind, transaction_id: str, amount_minor: int | None = None, n: int = 1
    ) -> GatewayCall:
        """Build a capture, void or refund of an authorized order."""
        amount = first.amount_minor if amount_minor is None else amount_minor
        return self.call(kind, first.order_id, None, transaction_id, amount, first.currency, n)

    async def perform(self, call: GatewayCall) -> GatewayOutcome:
        """Perform one call."""
        [answer] = await collect(self.gateway.perform([call]))
        assert answer.operation_id == call.operation_id
        return answer.outcome

    async def look_up(self, call: GatewayCall) -> GatewayOutcome:
        """Look one call up."""
        [answer] = await collect(self.gateway.look_up([call]))
        assert answer.operation_id == call.operation_id
        return answer.outcome

    async def approved(self, call: GatewayCall) -> str:
        """Perform a call that must be approved, and return its transaction."""
        outcome = await self.perform(call)
        assert isinstance(outcome, Approved), outcome
        assert outcome.transaction_id is not None
        return outcome.transaction_id

    async def entry(self, order: OrderId) -> LedgerEntry | None:
        """Return the order's one transaction in the books; fail when there are several."""
        found = [entry for entry in await self.ledger.entries() if entry.order_id == order]
        assert len(found) <= 1, f"{order} was charged {len(found)} times"
        return found[0] if found else None

    async def effects(self, order: OrderId) -> list[tuple[str, int]]:
        """Return what truly happened for the order."""
        entry = await self.entry(order)
        return [] if entry is None else [(effect.kind, effect.amount_minor) for effect in entry.effects]

    async def look_up_until(self, call: GatewayCall, expected: type[GatewayOutcome]) -> GatewayOutcome:
        """Look up until the outcome is of the kind that must come, for PATIENCE_S at the most."""
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(outcome := await self.look_up(call), expected):
                self.pause(PENDING_S)
                await asyncio.sleep(0.02)
        return outcome


async def collect(groups: AsyncIterator[Sequence[GatewayAnswer]]) -> list[GatewayAnswer]:
    """Return all answers of an iteration."""
    return [answer async for group in groups for answer in group]


def simulated_world(**settings: float) -> World:
    """Build a world whose time passes only by waiting."""
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def pause(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    async def sleep(seconds: float) -> None:
        pause(seconds)
        await asyncio.sleep(0)

    options = {"timeout_s": TIMEOUT_S, "pending_s": PENDING_S} | settings
    gateway = SimulatedGateway(lambda: now, sleep, **options)  # type: ignore[arg-type]
    return World(gateway, gateway, lambda: now, pause)


def stripe_world(address: str, known_before: KnownBefore | None = None) -> World:
    """Build a world in the real time of a sandbox."""
    gateway = StripeGateway(
        "sk_test_contract",
        api_base=address,
        concurrency=CONCURRENCY,
        timeout_s=TIMEOUT_S,
        connect_timeout_s=TIMEOUT_S,
        known_before=known_before,
    )
    return World(gateway, SandboxLedger(address), lambda: datetime.now(UTC), lambda _: None)  # noqa: TID251 - real time


def same(outcome: GatewayOutcome) -> GatewayOutcome:
    """Return an outcome without what every gateway names and times in its own way."""
    fields = getattr(outcome, "__struct_fields__", ())
    own = {"transaction_id": "", "reference": None, "expires_at": None, "detail": ""}
    return replace(outcome, **{name: value for name, value in own.items() if name in fields})
