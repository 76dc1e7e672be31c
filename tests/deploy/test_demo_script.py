from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from click.testing import CliRunner

from deploy.cli.demo import demo
from deploy.demo.elsewhere import kinds_of
from deploy.demo.kinds import KINDS, ORDERS_MIN, counts_for
from deploy.demo.methods import FAULTS
from deploy.demo.script import CARD_NUMBER, write_script
from deploy.demo.stories import Also, Money
from deploy.demo.verdict import Evidence, judge
from deploy.demo.watch import Observed, Seen
from deploy.playbank.methods import METHODS, method_of
from deploy.running import id_source
from producers.checkout import Checkout
from schemas.codec import Codec
from schemas.rejection import Reason

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("orders", [ORDERS_MIN, 200, 5_000])
def test_every_kind_is_there_and_the_numbers_add_up(orders: int) -> None:
    counts = counts_for(orders)
    assert [kind for kind, _ in counts] == list(KINDS)
    assert sum(count for _, count in counts) == orders
    assert min(count for _, count in counts) >= 1


def test_most_of_many_orders_are_plainly_paid_and_few_wait_for_a_gateway() -> None:
    script = write_script(5_000, 1)
    plain = sum(order.kind is KINDS[0] for order in script.orders)
    slow = sum(order.story.slow for order in script.orders)
    assert plain / 5_000 > 0.75
    assert slow / 5_000 < 0.02


def test_same_seed_gives_the_same_script_and_another_seed_another_one() -> None:
    assert write_script(200, 4) == write_script(200, 4)
    assert write_script(200, 4).orders != write_script(200, 5).orders


def test_every_fault_strikes_every_operation_among_the_stories() -> None:
    tokens = {token for kind in KINDS for story in kind.variants for token in story.tokens}
    wanted = {f"pm_fault_{fault}_on_{operation}" for fault in FAULTS for operation in ("authorize", "capture", "void")}
    assert wanted | {f"pm_fault_{fault}_on_refund_captured" for fault in FAULTS} <= tokens
    assert all(method_of(token) is not None for token in wanted)


def test_every_kind_of_decline_is_among_the_stories() -> None:
    codes = {end.failure for kind in KINDS for story in kind.variants for end in story.ends}
    assert codes >= {"insufficient_funds", "card_expired", "card_declined", "card_blocked", "incorrect_details"}
    assert codes >= {"processing_error", "fraud_suspected", "authentication_required", "method_invalid"}
    assert codes >= {"amount_refused", "currency_not_offered", "items_unavailable", "capture_refused"}
    assert "pm_card_nobody_has_this" not in METHODS


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_checkout_takes_every_order_and_every_retry(seed: int) -> None:
    script = write_script(300, seed)
    lines = [line for order in script.orders for line in (order.confirmed, *order.others(), *order.retry(1))]
    prepared = Checkout(Codec(), "", NOW, id_source(seed)).prepare(orjson.dumps(line) for line in lines)
    assert (prepared.bad, len(prepared.messages)) == ([], len(lines))


def test_checkout_refuses_every_stray_message_and_sends_it_unchecked() -> None:
    script = write_script(ORDERS_MIN, 1)
    lines = [orjson.dumps(stray.line) for stray in script.strays]
    unchecked = Checkout(Codec(), "", NOW, id_source(1), checked=False).prepare(lines)
    assert unchecked.bad == []
    assert [(m.key or b"").decode() for m in unchecked.messages] == [stray.key for stray in script.strays]
    assert {stray.reason for stray in script.strays} <= {reason.value for reason in Reason}
    assert sum(CARD_NUMBER.encode() in line for line in lines) == 1


def test_dead_letters_are_wanted_for_strays_and_for_orders_with_other_content() -> None:
    script = write_script(1_000, 1)
    changed = sum(order.story.also is Also.CHANGED for order in script.orders)
    assert Counter(reason for reason, _ in script.letters)["conflict"] == changed > 0
    assert len(script.letters) == changed + len(script.strays)


def test_stories_tell_the_events_that_must_be_on_the_topics() -> None:
    story = next(s for kind in KINDS for s in kind.variants if s.tokens == ("pm_fault_capture_refused", "pm_card_visa"))
    assert story.events == {
        ("PaymentFailed", 1, "capture_refused"),
        ("PaymentVoided", 1, None),
        ("PaidAndConfirmed", 2, None),
    }
    assert [end.money for end in story.ends] == [Money.VOIDED, Money.TAKEN]


def test_verdict_misses_every_order_and_letter_that_did_not_come() -> None:
    script = write_script(ORDERS_MIN, 1)
    verdict = judge(script, Evidence({}, [], Observed()))
    assert verdict.outcomes == {"paid_and_confirmed": 0, "payment_failed": 0, "cancelled": 0, "manual_review": 0}
    assert sum(verdict.expected.values()) == ORDERS_MIN
    assert verdict.wrong.keys() == {o.order_id for o in script.orders} | {key for _, key in script.letters}


def test_topics_may_carry_an_event_twice_but_a_second_one_is_another() -> None:
    observed = Observed()
    event_id = id_source(1)()
    assert observed.remember(event_id)
    assert not observed.remember(event_id)
    seen = Seen("order-1", "PaidAndConfirmed", 1, None, 0.0)
    observed.events["order-1"] = [seen, replace(seen, at_s=1.0)]
    assert observed.marks("order-1") == [("PaidAndConfirmed", 1, None)] * 2


def test_the_help_says_how_many_orders_have_every_kind_with_each_inventory() -> None:
    said = " ".join(CliRunner().invoke(demo, ["--help"], terminal_width=200).output.split())
    for elsewhere, words in ((False, "from {} on every kind is there"), (True, "with --inventory http from {} on")):
        kinds = kinds_of(elsewhere=elsewhere)
        assert words.format(len(kinds)) in said
        assert {order.kind for order in write_script(len(kinds), 1, elsewhere=elsewhere).orders} == set(kinds)
