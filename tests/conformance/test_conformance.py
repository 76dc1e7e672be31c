"""Every endpoint of the sandbox is judged by `make conformance`, and its judge is not blind."""

from pathlib import Path

import pytest

from deploy.playbank.bank import Bank
from deploy.sandbox.app import Sandbox
from deploy.sandbox.journal import Memory
from tests.conformance import tools
from tests.conformance.judging import Answer, judging
from tests.conformance.specification import OURS

_GET_REFUND = ("get", "/v1/refunds/{refund}")
_REFUND = {"id": "re_1", "object": "refund", "amount": 1, "created": 1, "currency": "eur"}


def _silent(_text: str) -> None:
    """Report no progress."""


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


@pytest.mark.conformance
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
    mock = tools.stripe_mock(install=False, progress=_silent)
    python = tools.tools_python(install=False, progress=_silent)
    with judging(python, mock.specification) as judge:
        found = judge.violations(Answer("a refund", *_GET_REFUND, 200, _REFUND | change, {}))

    assert any(violation in text for text in found), found
