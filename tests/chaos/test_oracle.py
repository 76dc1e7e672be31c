"""The oracle on evidence made by hand: one order that is all right, then one thing wrong at a time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import messages
from tests.chaos.dealt import Dealt
from tests.chaos.evidence import Evidence, Fact, Letter, OrderRow, Said, digest
from tests.chaos.faults.scene import Stretch
from tests.chaos.fleet import End, How
from tests.chaos.messages import What
from tests.chaos.oracle import Case, judge
from tests.chaos.plan import Fault
from tests.chaos.published import Published, Sent
from tests.chaos.script import PLAIN, Order, Script
from tests.chaos.wire import Call

AT = 1_800_000_000.0
TOPIC, PLACE = "OrderConfirmed", ("OrderConfirmed", 3)
LOG = Path("consume-1/process-0.err")


def order_of() -> Order:
    return Script(1).more("hand", 1, (PLAIN,))[0]


ORDER = order_of()
STOCK = {sku: (10, 10 - units, 0, units) for sku, units in ORDER.units.items()}


def fact(event_type: str, version: int, *, at: float = AT + 1, **changed: Any) -> Fact:
    made = Fact(
        event_type,
        (event_type, 3),
        version,
        at,
        ORDER.order_id,
        f"event {version}",
        version,
        0,
        1,
        "",
        "",
        ORDER.total_minor,
        ORDER.currency,
        b"%d" % version,
    )
    return replace(made, **changed)


def right_case() -> Case:
    said = messages.confirmed(ORDER, int(AT * 1_000_000))
    published = Published()
    published.script(ORDER)
    published.add(Sent(said, *PLACE, 0, AT))
    effects = [{"kind": kind, "amount_minor": ORDER.total_minor} for kind in ("authorize", "capture")]
    intent = {
        "order_id": ORDER.order_id,
        "currency": ORDER.currency,
        "amount_captured_minor": ORDER.total_minor,
        "amount_refunded_minor": 0,
        "effects": effects,
    }
    facts = [fact(name, n) for n, name in enumerate(("PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed"), 1)]
    found = Evidence(
        facts=facts,
        said=[Said(PLACE, 0, digest(said.key, said.value))],
        orders={ORDER.order_id: OrderRow("paid_and_confirmed", 1, None)},
        attempts={(ORDER.order_id, 1): (ORDER.total_minor, 0)},
        stock=dict(STOCK),
        journal={one.event_id for one in facts},
        ledger=[intent],
    )
    return Case(published=published, found=found, sku_units=dict.fromkeys(STOCK, 10))


def dealt(kind: str, target: str, begun: float, ended: float) -> Dealt:
    return Dealt(Fault(1, kind, target, 0, ended - begun), AT + begun, AT + ended)


def test_one_order_that_is_all_right_is_no_violation() -> None:
    assert judge(right_case()).violations == ()


def outcome_gone(case: Case) -> None:
    case.found.facts.pop()
    case.found.journal.discard("event 3")


def paid_twice(case: Case) -> None:
    case.found.facts.append(fact("PaidAndConfirmed", 4))
    case.found.journal.add("event 4")


def captured_twice(case: Case) -> None:
    case.found.ledger[0]["effects"].append({"kind": "capture", "amount_minor": ORDER.total_minor})


def captured_too_much(case: Case) -> None:
    case.found.ledger[0]["effects"][1]["amount_minor"] += 1


def kept_too_much(case: Case) -> None:
    case.found.ledger[0]["amount_captured_minor"] += 1


def reviewed(case: Case) -> None:
    case.found.facts.append(fact("PaymentReviewRequired", 4, code="stuck"))
    case.found.journal.add("event 4")


def other_outcome(case: Case) -> None:
    case.found.facts[2] = fact("PaymentFailed", 3, code="card_declined")


def sold_twice(case: Case) -> None:
    sku, (put_in, available, reserved, sold) = next(iter(STOCK.items()))
    case.found.stock[sku] = (put_in, available - sold, reserved, 2 * sold)


def refused_though_valid(case: Case) -> None:
    case.found.kept.append(Letter(PLACE, 0, "undecodable"))
    case.found.letters.append(Letter(PLACE, 0, "undecodable"))


def wrong_not_refused(case: Case) -> None:
    wrong = replace(messages.confirmed(ORDER, 1), what=What.WRONG, reasons=frozenset({"total_mismatch"}))
    case.published.add(Sent(wrong, *PLACE, 1, AT))
    case.found.said.append(Said(PLACE, 1, digest(wrong.key, wrong.value)))


def refused_for_another_reason(case: Case) -> None:
    wrong_not_refused(case)
    case.found.kept.append(Letter(PLACE, 1, "conflict"))
    case.found.letters.append(Letter(PLACE, 1, "conflict"))


def passed_over_without_a_word(case: Case) -> None:
    case.stretches = [Stretch(TOPIC, 3, 5, 9)]


def versions_swapped(case: Case) -> None:
    case.found.facts += [fact("PaymentVoided", 6), fact("PaymentVoided", 5)]
    case.found.journal |= {"event 5", "event 6"}


def copy_differs(case: Case) -> None:
    case.found.facts.append(fact("PaymentAuthorized", 1, digest=b"other"))


def event_not_sent(case: Case) -> None:
    case.found.journal.add("event 9")


def aborted_order_seen(case: Case) -> None:
    case.found.orders["aborted"] = OrderRow("confirmed", 1, None)


def told_twice(case: Case) -> None:
    told = [fact("CustomerNotificationRequested", n, kind="PAYMENT_DELAYED") for n in (4, 5)]
    case.found.facts += told
    case.found.journal |= {one.event_id for one in told}


def operation_open(case: Case) -> None:
    case.found.unfinished.append((ORDER.order_id, 1, "capture", "open", 3))


def broker_lost_it(case: Case) -> None:
    case.found.said.clear()


def two_calls_at_once(case: Case) -> None:
    case.calls = [Call("key", "/v1", AT, AT + 2), Call("key", "/v1", AT + 1, AT + 3)]


def process_ended(case: Case) -> None:
    case.ends = [End("consume-1", 1, AT, How.BY_ITSELF, ran=True, log=LOG)]


def start_given_up_without_an_outage(case: Case) -> None:
    case.ends = [End("consume-1", 3, AT, How.BY_ITSELF, ran=False, log=LOG)]


def bug_told(case: Case) -> None:
    case.bugs = [("consume-1", "ValueError: something")]


def fault_not_dealt(case: Case) -> None:
    case.dealt = [replace(dealt("dump", "", 0, 1), error="AssertionError")]


def late(case: Case) -> None:
    case.found.facts[2] = fact("PaidAndConfirmed", 3, at=AT + 91)
    case.dealt = [dealt("killed", "consume-1", 10, 30)]


def slow_after_a_fault(case: Case) -> None:
    case.found.facts[2] = fact("PaidAndConfirmed", 3, at=AT + 50)
    case.dealt = [dealt("killed", "consume-1", 10, 30)]


def hidden_behind_many_faults(case: Case) -> None:
    case.found.facts[2] = fact("PaidAndConfirmed", 3, at=AT + 301)
    case.dealt = [dealt("killed", "consume-1", begun, begun + 20) for begun in range(0, 300, 50)]


def nothing_sent_while_a_relay_is_frozen(case: Case) -> None:
    case.found.facts = [replace(one, at=AT + 30) for one in case.found.facts]
    case.dealt = [dealt("frozen", "relay-1", 0, 25)]


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (outcome_gone, "lost"),
        (paid_twice, "double"),
        (captured_twice, "double"),
        (captured_too_much, "amount"),
        (kept_too_much, "money"),
        (reviewed, "review"),
        (other_outcome, "wrong"),
        (sold_twice, "stock"),
        (refused_though_valid, "dead letter"),
        (wrong_not_refused, "no dead letter"),
        (refused_for_another_reason, "reason"),
        (passed_over_without_a_word, "no dead letter"),
        (versions_swapped, "order"),
        (copy_differs, "bytes"),
        (event_not_sent, "journal"),
        (aborted_order_seen, "stranger"),
        (told_twice, "double"),
        (operation_open, "rest"),
        (broker_lost_it, "kafka"),
        (two_calls_at_once, "lease"),
        (process_ended, "ended"),
        (start_given_up_without_an_outage, "ended"),
        (bug_told, "bug"),
        (fault_not_dealt, "harness"),
        (late, "late"),
        (slow_after_a_fault, "late"),
        (hidden_behind_many_faults, "late"),
        (nothing_sent_while_a_relay_is_frozen, "stall"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_one_thing_wrong_is_found(spoil: Callable[[Case], None], check: str) -> None:
    case = right_case()
    spoil(case)
    assert check in judge(case).by_check()


def test_what_an_outage_or_a_frozen_caller_explains_is_no_violation() -> None:
    case = right_case()
    two_calls_at_once(case)
    start_given_up_without_an_outage(case)
    case.dealt = [dealt("frozen", "consume-1", -5, 0.5), dealt("kafka killed", "", -8, -2)]
    assert judge(case).violations == ()


def test_a_wait_counts_from_the_end_of_the_last_fault_that_it_met() -> None:
    case = right_case()
    case.found.facts[2] = fact("PaidAndConfirmed", 3, at=AT + 33.5)
    case.dealt = [dealt("killed", "consume-1", 10, 30), dealt("dump", "", 40, 60)]
    (killed,) = [delay for delay in judge(case).delays if delay.kind == "killed"]
    assert (killed.orders, killed.median_s, killed.worst_s) == (1, 3.5, 3.5)
