"""Each way in which two sides may differ about one hold has a name, and nothing else is a difference."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.ids import OrderId
from domain.order import HoldState, Status, reservation_id
from domain.ports.inventory_lists import TheirState
from outbox.audit import HoldKind
from outbox.audit.hold_differences import HoldPair, OurHold, TheirHold, hold_differences

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
LINES = {"MUG": 1, "TEA": 2}
ID = str(reservation_id(OrderId("A-1"), 1))
K = HoldKind


def ours(state: str = "held", **changes: Any) -> OurHold:
    hold = OurHold(
        order_id="A-1",
        attempt=1,
        state=state,
        expires_at=LATER,
        pinned=False,
        lines=LINES,
        restocked={},
        status="payment_authorized",
        listed=True,
        given_up=False,
    )
    return hold._replace(**changes)


def theirs(state: TheirState = TheirState.HELD, **changes: Any) -> TheirHold:
    return TheirHold("A-1", state, LINES, {}, LATER)._replace(**changes)


def kinds(here: OurHold | None, there: TheirHold | None) -> list[HoldKind]:
    return [found.kind for found in hold_differences(HoldPair(ID, here, there, working=False, known=True), NOW)]


HELD, CONFIRMED, RELEASED, LAPSED = TheirState
EXPECTED: dict[tuple[str, TheirState | None], list[HoldKind]] = {
    ("held", HELD): [],
    ("held", CONFIRMED): [K.SOLD_UNPAID],
    ("held", RELEASED): [K.HOLD_GONE],
    ("held", LAPSED): [K.HOLD_GONE],
    ("held", None): [K.HOLD_GONE],
    ("sold", HELD): [K.PAID_UNSOLD],
    ("sold", CONFIRMED): [],
    ("sold", RELEASED): [K.PAID_UNSOLD],
    ("sold", LAPSED): [K.PAID_UNSOLD],
    ("sold", None): [K.PAID_UNSOLD],
    ("released", HELD): [K.STILL_HELD],
    ("released", CONFIRMED): [K.SOLD_UNPAID],
    ("released", RELEASED): [],
    ("released", LAPSED): [],
    ("released", None): [],
    ("expired", HELD): [K.STILL_HELD],
    ("expired", CONFIRMED): [K.SOLD_UNPAID],
    ("expired", RELEASED): [],
    ("expired", LAPSED): [],
    ("expired", None): [],
}


@pytest.mark.parametrize(("states", "expected"), EXPECTED.items())
def test_every_pair_of_states_is_judged(states: tuple[str, TheirState | None], expected: list[HoldKind]) -> None:
    here, there = states
    assert kinds(ours(here), None if there is None else theirs(there)) == expected


def test_the_table_has_every_state() -> None:
    known = {str(state) for state in HoldState}
    assert {here for here, _ in EXPECTED} <= known
    for state in known - {here for here, _ in EXPECTED}:
        # Sold and put back since: sold there as well.
        assert kinds(ours(state, restocked=LINES), theirs(CONFIRMED, restocked=LINES)) == []


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (theirs(HELD), [K.HELD_UNKNOWN]),
        (theirs(CONFIRMED), [K.SOLD_UNPAID]),
        (theirs(RELEASED), []),
        (theirs(LAPSED), []),
    ],
)
def test_a_hold_that_only_they_have(there: TheirHold, expected: list[HoldKind]) -> None:
    assert kinds(None, there) == expected


def test_what_has_run_out_by_now_holds_nothing() -> None:
    assert kinds(None, theirs(until=EARLIER)) == []
    assert kinds(ours("released"), theirs(until=EARLIER)) == []
    assert kinds(ours(expires_at=EARLIER), theirs(LAPSED)) == []
    assert kinds(ours(expires_at=EARLIER), None) == []
    assert kinds(ours(expires_at=EARLIER, pinned=True), theirs(LAPSED)) == [K.HOLD_GONE]
    assert kinds(ours(), theirs(until=EARLIER)) == [K.HOLD_GONE], "we count on it, and it may lapse at any moment"


def test_what_their_list_does_not_reach_back_to_is_not_missed() -> None:
    assert kinds(ours("sold", listed=False), None) == []
    assert kinds(ours("held", listed=False), None) == []


def test_other_goods_are_found() -> None:
    assert kinds(ours(), theirs(lines={"MUG": 1})) == [K.LINES]
    assert kinds(ours("sold"), theirs(CONFIRMED, lines={"MUG": 1, "TEA": 3})) == [K.LINES]
    assert kinds(ours("sold"), theirs(CONFIRMED, order_id="A-2")) == [K.LINES]
    assert kinds(ours("released"), theirs(RELEASED, lines={})) == [], "it was released before it was made"


def test_other_restocks_are_found() -> None:
    back = {"TEA": 1}
    assert kinds(ours("sold", restocked=back), theirs(CONFIRMED, restocked=back)) == []
    assert kinds(ours("sold"), theirs(CONFIRMED, restocked=back)) == [K.RESTOCKED]
    assert kinds(ours("sold", restocked=back), theirs(CONFIRMED)) == [K.RESTOCKED]


def test_a_text_names_goods_and_never_too_many() -> None:
    many = {f"SKU-{number}": 1 for number in range(9)}
    (found,) = hold_differences(HoldPair(ID, None, theirs(CONFIRMED, lines=many), working=False, known=True), NOW)

    assert found.text.endswith("1 x SKU-0, 1 x SKU-1, 1 x SKU-2, 1 x SKU-3, 1 x SKU-4, 4 more")
    assert (found.order_id, found.reservation_id, found.ours, found.theirs) == ("A-1", ID, None, "confirmed")


def test_a_hold_of_another_shop_is_foreign() -> None:
    other = "11111111-1111-5111-8111-111111111111"

    assert HoldPair(other, None, theirs(), working=False, known=False).foreign
    assert not HoldPair(other, None, theirs(), working=False, known=True).foreign
    assert not HoldPair(ID, None, theirs(), working=False, known=False).foreign, "the id is one that we derive"
    third = str(reservation_id(OrderId("A-1"), 3))
    assert not HoldPair(third, None, theirs(), working=False, known=False).foreign
    assert not HoldPair(other, ours(), None, working=False, known=True).foreign


def test_an_order_in_review_waits_for_an_operator() -> None:
    assert ours(status=Status.MANUAL_REVIEW).waits_for_operator
    assert ours(given_up=True).waits_for_operator
    assert not ours().waits_for_operator
