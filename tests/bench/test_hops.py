from typing import Any

from tests.bench.hops.steps import KINDS, OUTCOME, Published, Spans, Step
from tests.bench.hops.table import hops_table, times_of

MS = 1_000_000
TRACE = "0a"
ORDER = Published("A-1", due_ns=0, seen_ns=40 * MS)


def _span(name: str, began: float, ended: float, *links: str, order_id: str | None = "A-1") -> dict[str, Any]:
    times = {"began_ns": int(began * MS), "ended_ns": int(ended * MS)}
    return {"name": name, **times, "trace": TRACE, "order_id": order_id, "links": list(links)}


def _of_a_batch(name: str, began: float, ended: float) -> dict[str, Any]:
    return {**_span(name, began, ended, TRACE, order_id=None), "trace": "0b"}


WAY = (
    _span("process x.OrderConfirmed", 1, 4),
    _of_a_batch("transaction", 1, 4),
    _span("gateway authorize", 4, 5),
    _of_a_batch("transaction", 5.5, 8),
    _of_a_batch("send x.PaymentAuthorized", 9, 11),
    _span("process x.PaymentAuthorized", 10.5, 14),
    _of_a_batch("transaction", 11, 14),
    _of_a_batch("send x.ItemsReserved", 15, 17),
    _span("process x.ItemsReserved", 18, 20),
    _of_a_batch("transaction", 18, 20),
    _span("gateway capture", 20, 23),
    _of_a_batch("transaction", 23, 30),
    _of_a_batch("send x.PaidAndConfirmed", 31, 33),
)


def test_the_steps_of_an_order_are_its_whole_latency() -> None:
    steps = Spans.of(reversed(WAY), "x.").steps_of(ORDER)
    assert steps is not None
    assert sum(step.ms for step in steps) == 40
    assert steps[:6] == [
        Step("OrderConfirmed", "fetch", 1),
        Step("OrderConfirmed", "plan", 3),
        Step("OrderConfirmed", "call", 1),
        Step("OrderConfirmed", "settle", 3),
        Step("PaymentAuthorized", "relay", 1),
        Step("PaymentAuthorized", "acknowledgement", 2),
    ]
    assert {step.kind for step in steps} == set(KINDS)


def test_a_message_may_be_read_before_its_acknowledgement() -> None:
    steps = Spans.of(WAY, "x.").steps_of(ORDER)
    assert steps is not None
    assert Step("PaymentAuthorized", "fetch", -0.5) in steps
    assert steps[-1] == Step(OUTCOME, "fetch", 7)


def test_a_call_is_settled_by_the_first_transaction_after_its_answer() -> None:
    late = (*WAY, _of_a_batch("transaction", 34, 39))
    assert Spans.of(late, "x.").steps_of(ORDER) == Spans.of(WAY, "x.").steps_of(ORDER)


def test_a_message_that_comes_again_is_not_waited_for() -> None:
    again = (*WAY, _span("process x.ItemsReserved", 35, 36), _of_a_batch("send x.PaymentAuthorized", 12, 13))
    assert Spans.of(again, "x.").steps_of(ORDER) == Spans.of(WAY, "x.").steps_of(ORDER)


def test_an_order_of_which_a_span_is_missing_has_no_steps() -> None:
    for number in range(len(WAY)):
        name = WAY[number]["name"]
        some = Spans.of([*WAY[:number], *WAY[number + 1 :]], "x.").steps_of(ORDER)
        # Of transactions only those that settle a call are looked for, and a later one would be taken in their place.
        assert (some is None) == (name != "transaction" or number == len(WAY) - 2), name


def test_the_table_tells_each_kind_of_step_and_each_topic() -> None:
    steps = Spans.of(WAY, "x.").steps_of(ORDER)
    assert steps is not None
    told = [{"topic": step.topic, "kind": step.kind, "ms": step.ms} for step in steps]
    assert times_of([told], "plan") == [3 + 3.5 + 2]
    plain = {"p50": 39.0, "p99": 41.0}
    table = hops_table({"contestant": "ours", "rate": 20, "plain_ms": plain, "failures": [], "steps": [told, told]})
    assert "| plan | 8.50 | 8.50 | 8.50 | 21% |" in table
    assert "| all | 40.00 | 40.00 | 40.00 | 100% |" in table
    assert "| settle | 3.00 |  | 7.00 |  |" in table
