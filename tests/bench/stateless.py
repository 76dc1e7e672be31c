"""A gateway that several processes may share: it keeps nothing, for each answer follows from its call alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from deploy.playbank.methods import method_of
from deploy.settings import Settings
from domain.failure_codes import FailureCode
from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.operation import GatewayCall, OperationKind
from domain.outcome import Approved, Declined, GatewayOutcome
from domain.ports.gateway import Begin, Gateway, GatewayAnswer, at_once

AUTHORIZATION_TTL = timedelta(days=7)


class StatelessGateway:
    """A `Gateway` whose answers follow from the calls."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Answer all after the latency."""
        calls = [call for call in calls if begin(call)]
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        yield [GatewayAnswer(call.operation_id, answer(call)) for call in calls]

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        """Answer as if everything had been performed."""
        async for group in self.perform(calls):
            yield group

    async def late_refunds(self, _: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        """List none: no refund of this gateway fails."""
        nothing: Sequence[RefundFailure | Notice] = ()
        yield nothing

    async def news_of(self, _: str, *, with_disputes: bool) -> TransactionNews | None:
        """Know nothing: this gateway tells nothing unasked."""
        return None

    async def close(self) -> None:
        """Nothing to give up."""


def answer(call: GatewayCall) -> GatewayOutcome:
    """Say what becomes of a call: always the same of the same."""
    match call.kind:
        case OperationKind.AUTHORIZE:
            transaction_id = f"pi_{call.operation_id.hex}"
            method = method_of(call.token or "")
            if method is None or method.decline is not None:
                code = method.decline.code if method is not None and method.decline is not None else "no_such_method"
                return Declined(FailureCode.CARD_DECLINED, code, transaction_id)
            expires_at = call.opened_at + AUTHORIZATION_TTL
            return Approved(transaction_id, amount_minor=call.amount_minor, expires_at=expires_at)
        case OperationKind.CAPTURE:
            return Approved(call.transaction_id, amount_minor=call.amount_minor, captured=True)
        case OperationKind.VOID:
            return Approved(call.transaction_id, amount_minor=call.amount_minor)
        case OperationKind.REFUND:
            return Approved(call.transaction_id, f"re_{call.operation_id.hex}", call.amount_minor)
        case _:
            raise ValueError(f"a gateway does not {call.kind}")


def gateway_of(settings: Settings, known_before: object = None) -> Gateway:
    """Make it with the simulated gateway's latency."""
    return StatelessGateway(settings.simulated_latency_ms / 1000)
