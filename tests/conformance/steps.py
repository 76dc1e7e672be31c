"""The three steps. Each returns what it found; a tool that is not here makes a step missing, never a pass."""

import re
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from domain.operation import OperationKind
from domain.outcome import Approved, Declined, GatewayOutcome, NotFound, Unknown
from tests.conformance import deviations, tools
from tests.conformance.caller import calling
from tests.conformance.judging import judging
from tests.conformance.kinds import ask_for_every_kind
from tests.conformance.recorder import Exchange, Recorder, recording
from tests.conformance.specification import load
from tests.conformance.stories import Teller, send_everything, teller, telling
from tests.conformance.walking import Walker
from tests.sandbox.process import running as running_sandbox

ADAPTER_SENDS: Final = frozenset(
    {
        "POST /v1/payment_intents",
        "POST /v1/payment_intents/{id}/capture",
        "POST /v1/payment_intents/{id}/cancel",
        "POST /v1/refunds",
        "GET /v1/payment_intents",
        "GET /v1/payment_intents/{id}",
        "GET /v1/refunds",
        "GET /v1/refunds/{id}",
    }
)
"""Every endpoint that our adapter uses."""
_ID = re.compile(r"(/v1/\w+)/[^/]+")


@dataclass(slots=True)
class Found:
    """What a step found. figures: for the report; faults: what must not be, one line each."""

    step: str
    figures: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    known: tuple[str, ...] = ()


async def requests(*, install: bool, progress: tools.Progress) -> Found:
    """Send every request of our adapter to stripe-mock: none is refused."""
    mock = tools.stripe_mock(install=install, progress=progress)
    found = Found("requests of our adapter before stripe-mock", known=deviations.MOCK_DIFFERS)
    with tools.running_mock(mock) as address:
        async with recording(Recorder(address)) as recorder, telling(recorder.address) as gateway:
            calls = await send_everything(gateway)
    endpoints = {_endpoint(exchange) for exchange in recorder.exchanges}
    found.figures.append(f"{calls} calls, {len(recorder.exchanges)} requests to {len(endpoints)} endpoints")
    found.faults += [_refused(exchange) for exchange in recorder.exchanges if exchange.status != 200]
    found.faults += [f"{endpoint} was never sent" for endpoint in sorted(ADAPTER_SENDS - endpoints)]
    found.faults += [f"{endpoint} is not in ADAPTER_SENDS" for endpoint in sorted(endpoints - ADAPTER_SENDS)]
    return found


async def specification(*, install: bool, progress: tools.Progress, every: int = 1) -> Found:
    """Judge every answer of our sandbox by Stripe's specification, and walk every parameter that it has.

    every: walk only each so-manieth parameter.
    """
    mock = tools.stripe_mock(install=install, progress=progress)
    python = tools.tools_python(install=install, progress=progress)
    found = Found("our sandbox before Stripe's specification", known=deviations.SANDBOX_DIFFERS)
    spec = load(mock.specification)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sandbox(Path(folder) / "journal.jsonl") as sandbox,
        calling(sandbox.address) as caller,
        judging(python, mock.specification) as judge,
    ):
        ask_for_every_kind(caller)
        kinds = len(caller.answers)
        walk = Walker(spec, caller).all(every)
        violations = [text for answer in caller.answers for text in judge.violations(answer)]
    parameters = sum(walk.counts[end] for end in ("taken", "refused", "not_played"))
    counts = ", ".join(f"{count} {end}" for end, count in sorted(walk.counts.items()))
    found.figures += [
        f"version {spec['info']['version']}; {kinds} answers of every kind, {len(caller.answers)} in all judged",
        f"{parameters} parameters walked in {walk.requests} requests: {counts}",
        f"refused with Stripe's error: {', '.join(sorted(walk.refused)) or 'none'}",
        f"{len(violations)} violations of the specification",
    ]
    found.faults += [*caller.faults, *walk.faults, *violations]
    return found


async def localstripe(*, install: bool, progress: tools.Progress) -> Found:
    """Tell the ordinary stories of an order before localstripe."""
    python = tools.tools_python(install=install, progress=progress)
    found = Found("ordinary stories of our adapter before localstripe", known=deviations.LOCALSTRIPE_DIFFERS)
    recorder = Recorder("", deviations.drops_of_localstripe, deviations.mend_localstripe)
    with tools.running_localstripe(python) as address:
        recorder.target = address
        async with recording(recorder), telling(recorder.address) as gateway:
            for name, story in _STORIES.items():
                wrong = await story(teller(gateway))
                found.faults += [f"{name}: {text}" for text in wrong]
    listed = {root for _, root in deviations.LOCALSTRIPE_DROPS}
    found.figures.append(f"{len(_STORIES)} stories, {len(recorder.exchanges)} requests")
    found.faults += [f"{root} is listed as a deviation, and never was one" for root in listed - recorder.dropped]
    found.known += tuple(f"{root} is left out: {why}" for (_, root), why in deviations.LOCALSTRIPE_DROPS.items())
    found.known += tuple(f"{name} is filled in: {why}" for name, why in deviations.LOCALSTRIPE_FILLS.items())
    return found


async def _paid_and_refunded(told: Teller) -> list[str]:
    first = told.call(OperationKind.AUTHORIZE, token="pm_card_visa")
    held = await told.perform(first)
    transaction = getattr(held, "transaction_id", None)
    capture = told.call(OperationKind.CAPTURE, transaction)
    refund = told.call(OperationKind.REFUND, transaction)
    wrong = [
        *_differs("authorize", held, Approved, 1250),
        *_differs("its look-up", await told.look_up(first), Approved, 1250),
        *_differs("a look-up of a capture that was not sent", await told.look_up(capture), NotFound),
        *_differs("capture", await told.perform(capture), Approved, 1250),
        *_differs("its look-up", await told.look_up(capture), Approved, 1250),
        *_differs("a look-up of a refund that was not sent", await told.look_up(refund), NotFound),
        *_differs("refund", await told.perform(refund), Approved, 1250),
        *_differs("its look-up", await told.look_up(refund), Approved, 1250),
    ]
    named = await told.gateway.order_of(transaction or "")
    return wrong if named == told.order else [*wrong, f"the transaction names the order {named}"]


async def _held_and_voided(told: Teller) -> list[str]:
    held = await told.perform(told.call(OperationKind.AUTHORIZE, token="pm_card_visa"))
    void = told.call(OperationKind.VOID, getattr(held, "transaction_id", None))
    return [
        *_differs("void", await told.perform(void), Approved),
        *_differs("its look-up", await told.look_up(void), Approved),
    ]


async def _declined(told: Teller) -> list[str]:
    first = told.call(OperationKind.AUTHORIZE, token="pm_card_chargeCustomerFail")
    return _differs("authorize", await told.perform(first), Declined)


async def _refunded_in_parts(told: Teller) -> list[str]:
    money = (1250, "EUR")
    held = await told.perform(told.call(OperationKind.AUTHORIZE, token="pm_card_visa", money=money))
    transaction = getattr(held, "transaction_id", None)
    await told.perform(told.call(OperationKind.CAPTURE, transaction, money=money))
    parts = [told.call(OperationKind.REFUND, transaction, money=(n * 100, "EUR"), try_number=n) for n in (1, 2)]
    wrong = []
    for part in parts:
        wrong += _differs("refund of a part", await told.perform(part), Approved, part.amount_minor)
    for part in parts:
        wrong += _differs("its look-up", await told.look_up(part), Approved, part.amount_minor)
    return wrong


async def _in_yen(told: Teller) -> list[str]:
    held = await told.perform(told.call(OperationKind.AUTHORIZE, token="pm_card_visa", money=(500, "JPY")))
    capture = told.call(OperationKind.CAPTURE, getattr(held, "transaction_id", None), money=(500, "JPY"))
    return [
        *_differs("authorize", held, Approved, 500),
        *_differs("capture", await told.perform(capture), Approved, 500),
    ]


async def _unknown_method(told: Teller) -> list[str]:
    first = told.call(OperationKind.AUTHORIZE, token="pm_unheard_of")
    # Its 404 has no code, which Stripe's has: not Stripe's own refusal, and so no decline.
    return _differs("authorize", await told.perform(first), Unknown)


_STORIES: Final[dict[str, Callable[[Teller], Awaitable[list[str]]]]] = {
    "paid and refunded": _paid_and_refunded,
    "held and voided": _held_and_voided,
    "declined": _declined,
    "refunded in parts": _refunded_in_parts,
    "in yen": _in_yen,
    "a method that does not exist": _unknown_method,
}


def _differs(
    what: str, outcome: GatewayOutcome, wanted: type[GatewayOutcome], amount_minor: int | None = None
) -> list[str]:
    if not isinstance(outcome, wanted) or (amount_minor is not None and amount_minor != _amount_of(outcome)):
        return [f"{what}: {outcome} in place of {wanted.__name__} {amount_minor or ''}"]
    return []


def _amount_of(outcome: GatewayOutcome) -> int | None:
    return outcome.amount_minor if isinstance(outcome, Approved) else None


def _endpoint(exchange: Exchange) -> str:
    path = _ID.sub(r"\1/{id}", exchange.path)
    return f"{exchange.method} {path}"


def _refused(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.path} {exchange.asked} was refused: {exchange.status} {exchange.body}"
