"""The short form of `make conformance`, where its tools are installed; and that its judge is not blind."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deploy.playbank.bank import Bank
from deploy.sandbox.app import Sandbox
from deploy.sandbox.journal import Memory
from tests.conformance import steps, tools
from tests.conformance.judging import Answer, judging
from tests.conformance.specification import OURS

EVERY = 15
_GET_REFUND = ("get", "/v1/refunds/{refund}")
_REFUND = {"id": "re_1", "object": "refund", "amount": 1, "created": 1, "currency": "eur"}


def _silent(_text: str) -> None:
    """Report no progress."""


async def _found(step: Callable[..., Awaitable[steps.Found]], **options: int) -> steps.Found:
    try:
        return await step(install=False, progress=_silent, **options)
    except tools.Missing as missing:
        pytest.skip(str(missing))


async def test_stripe_mock_refuses_no_request_of_our_adapter() -> None:
    assert (await _found(steps.requests)).faults == []


async def test_stripes_specification_has_nothing_against_our_sandbox() -> None:
    assert (await _found(steps.specification, every=EVERY)).faults == []


async def test_the_stories_of_an_order_end_well_before_localstripe() -> None:
    assert (await _found(steps.localstripe)).faults == []


def test_every_endpoint_of_the_sandbox_is_judged(tmp_path: Path) -> None:
    bank = Bank(lambda: 1.0, 1.0)
    with Memory(tmp_path / "journal.jsonl", bank) as memory:
        routes = Sandbox(bank, memory).routes()
    routes = [route for route in routes if not route.path.endswith("/search")]
    served = {(method.lower(), route.path) for route in routes for method in route.methods or () if method != "HEAD"}
    ours = {
        (method, f"{path.partition('{')[0]}{{id}}{path.rpartition('}')[2]}" if "{" in path else path)
        for method, path in OURS
    }

    assert {(method, path) for method, path in served if path.startswith("/v1/")} == ours


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"amount": "1"}, "is not of type 'integer'"),
        ({"reason": "mood"}, "is not one of"),
        ({"colour": "blue"}, "'colour' was unexpected"),
        ({"charge": 7}, "is not of type"),
        ({}, "'payment_intent' is a required property"),
    ],
)
def test_the_judge_finds_what_is_wrong(change: dict[str, object], violation: str) -> None:
    try:
        mock = tools.stripe_mock(install=False, progress=_silent)
        python = tools.tools_python(install=False, progress=_silent)
    except tools.Missing as missing:
        pytest.skip(str(missing))
    with judging(python, mock.specification) as judge:
        found = judge.violations(Answer("a refund", *_GET_REFUND, 200, _REFUND | change, {}))

    assert any(violation in text for text in found), found
