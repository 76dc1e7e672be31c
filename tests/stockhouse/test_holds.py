"""A hold is kept, sold or free, and units are never counted twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stockhouse.client import HOLD, RESTOCK, Client
from tests.stockhouse.clocked import Clocked

OTHER = "5b8d9c1e-7f1d-5c44-8f0b-0f9c1d2e3f40"
AT_15 = "2026-03-01T12:15:00Z"
AT_30 = "2026-03-01T12:30:00.5Z"
PLAIN = {"order_id": "A-1"}


def test_a_hold_takes_every_line_or_none(house: Clocked) -> None:
    house.stock({"TEA": 5, "MUG": 1})

    refused = house.reserve({"TEA": 2, "MUG": 2}, AT_15)
    assert (refused.status, refused.word) == (409, "short")
    assert house.shelf("TEA") == (5, 0, 0)

    assert house.reserve({"TEA": 2, "MUG": 1}, AT_15).status == 200
    assert (house.shelf("TEA"), house.shelf("MUG")) == ((3, 2, 0), (0, 1, 0))


def test_a_hold_lapses_at_its_time_and_not_before(house: Clocked) -> None:
    house.stock({"TEA": 1})
    house.reserve({"TEA": 1}, AT_15, key="reserve")

    house.clock.minutes(14.99)
    assert house.call("hold").word == "held"
    house.clock.minutes(15)

    lapsed = house.call("hold")
    assert (lapsed.word, lapsed.body["changed_at"]) == ("lapsed", "2026-03-01T12:15:00.000000Z")
    assert house.shelf("TEA") == (1, 0, 0)
    assert house.effects() == [("reserve", "reserve"), ("lapse", None)]
    assert house.reserve({"TEA": 1}, AT_30, thing=OTHER, order="A-2").status == 200, "its goods are free"


def test_an_extended_hold_lapses_later(house: Clocked) -> None:
    house.stock({"TEA": 1})
    house.reserve({"TEA": 1}, AT_15)
    house.call("extend", {**PLAIN, "until": AT_30})

    house.clock.minutes(20)
    assert house.call("confirm", PLAIN).word == "confirmed"
    house.clock.minutes(60)
    assert house.call("hold").word == "confirmed", "what is sold never lapses"
    assert house.shelf("TEA") == (0, 0, 1)


def test_until_never_moves_to_an_earlier_time(house: Clocked) -> None:
    house.stock({"TEA": 1})
    house.reserve({"TEA": 1}, AT_30)

    assert house.call("extend", {**PLAIN, "until": AT_15}).body["until"] == "2026-03-01T12:30:00.500000Z"
    assert house.reserve({"TEA": 1}, AT_15).body["until"] == "2026-03-01T12:30:00.500000Z"
    assert len(house.effects()) == 1


def test_a_time_too_far_away_is_refused(house: Clocked) -> None:
    house.stock({"TEA": 1})
    far = "2026-04-02T12:00:00Z"

    assert house.reserve({"TEA": 1}, far).word == "invalid"
    house.reserve({"TEA": 1}, AT_15)
    assert house.call("extend", {**PLAIN, "until": far}).word == "invalid"
    assert house.call("extend", {**PLAIN, "until": "2026-04-01T12:00:00Z"}).status == 200


def test_a_released_hold_cannot_be_made_later(house: Clocked) -> None:
    """Who gives up a reserve whose answer was lost knows that it holds nothing, even if it still arrives."""
    house.stock({"TEA": 1})

    assert house.call("release", PLAIN).word == "released"
    late = house.reserve({"TEA": 1}, AT_15)

    assert (late.status, late.word) == (409, "released")
    assert house.shelf("TEA") == (1, 0, 0)


def test_a_hold_belongs_to_its_order(house: Clocked) -> None:
    house.stock({"TEA": 1})
    house.reserve({"TEA": 1}, AT_15)

    for call, body in (("confirm", {}), ("release", {}), ("extend", {"until": AT_30})):
        assert house.call(call, {"order_id": "A-2", **body}).word == "other_content"
    assert house.reserve({"TEA": 1}, AT_15, order="A-2").word == "other_content"
    assert house.call("hold").word == "held"


def test_what_is_there_already_is_not_done_twice(house: Clocked) -> None:
    house.stock({"TEA": 3})
    for _ in range(2):
        assert house.reserve({"TEA": 1}, AT_15).status == 200
    for _ in range(2):
        assert house.call("confirm", PLAIN).status == 200
    assert house.reserve({"TEA": 1}, AT_15).word == "confirmed"

    assert house.shelf("TEA") == (2, 0, 1)
    assert [kind for kind, _ in house.effects()] == ["reserve", "confirm"]


def test_no_more_comes_back_than_was_sold(house: Clocked) -> None:
    house.stock({"TEA": 3, "MUG": 1})
    house.reserve({"TEA": 3}, AT_15)
    house.call("confirm", PLAIN)
    body = {"reservation_id": HOLD, "order_id": "A-1", "request_id": None}
    two = {**body, "lines": [{"sku": "TEA", "quantity": 2}]}

    assert house.call("restock", two, thing=RESTOCK).status == 200
    assert house.call("restock", two, thing=RESTOCK).status == 200, "once more is the same"
    refused = house.call("restock", two, thing=OTHER)
    assert (refused.word, refused.body["exceeding"]) == ("exceeds_sold", [{"sku": "TEA", "requested": 2, "left": 1}])
    never_sold = house.call("restock", {**body, "lines": [{"sku": "MUG", "quantity": 1}]}, thing=OTHER)
    assert never_sold.body["exceeding"] == [{"sku": "MUG", "requested": 1, "left": 0}]

    assert house.shelf("TEA") == (2, 0, 1)
    assert house.call("hold").body["restocked"] == [{"sku": "TEA", "quantity": 2}]


def test_the_stock_can_be_set_while_units_are_held(house: Clocked) -> None:
    house.stock({"TEA": 3})
    house.reserve({"TEA": 2}, AT_15)

    house.stock({"TEA": 0})
    assert house.shelf("TEA") == (0, 2, 0)
    house.call("release", PLAIN)
    assert house.shelf("TEA") == (2, 0, 0)


def test_one_of_a_hundred_rivals_gets_the_last_item(client: Client) -> None:
    client.stock({"LAST": 1})
    ids = [str(uuid5(NAMESPACE_OID, f"rival {number}")) for number in range(100)]

    def rival(number: int) -> str:
        return client.reserve({"LAST": 1}, client.in_minutes(10), thing=ids[number], order=f"R-{number}").word

    with ThreadPoolExecutor(20) as pool:
        won = Counter(pool.map(rival, range(100)))

    assert won == {"held": 1, "short": 99}
    assert client.shelf("LAST") == (0, 1, 0)


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "confirm", "release", "extend", "restock", "wait"]),
        st.integers(0, 2),
        st.integers(1, 3),
        st.integers(1, 40),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_units_add_up_whatever_is_called(house: Clocked, calls: list[tuple[str, int, int, int]]) -> None:
    """After each of any calls, what was put in is free, held or sold, and the sums are those of the holds."""
    house.stock({"TEA": 4})
    start = house.ledger()["stock"][0]["put_in"]
    for kind, hold, units, minute in calls:
        thing = str(uuid5(NAMESPACE_OID, f"{len(house.ledger()['holds'])} {hold}"))
        known = [one["reservation_id"] for one in house.ledger()["holds"]][-3:]
        thing = known[hold] if hold < len(known) else thing
        until: dict[str, Any] = {"until": f"2026-03-01T12:{minute:02}:00Z"}
        lines: dict[str, Any] = {"lines": [{"sku": "TEA", "quantity": units}]}
        body: dict[str, object] = {"order_id": "A-1"}
        if kind == "wait":
            house.clock.at += timedelta(minutes=1)
        elif kind == "restock":
            back = str(uuid5(NAMESPACE_OID, f"{thing} {units} {minute}"))
            house.call("restock", {**body, "reservation_id": thing, "request_id": None, **lines}, thing=back)
        else:
            more: dict[str, Any] = {"reserve": {**until, **lines}, "extend": until}.get(kind, {})
            house.call(kind, {**body, **more}, thing=thing)
        ledger = house.ledger()
        assert house.shelf("TEA")[1:] == (_units(ledger, "held"), _units(ledger, "confirmed"))
        assert all(count >= 0 for count in house.shelf("TEA"))
        assert ledger["stock"][0]["put_in"] == start


def _units(ledger: dict[str, Any], state: str) -> int:
    holds = [hold for hold in ledger["holds"] if hold["state"] == state]
    sold: list[int] = [line["quantity"] for hold in holds for line in hold["lines"]]
    back: list[int] = [line["quantity"] for hold in holds for line in hold["restocked"]]
    return sum(sold) - sum(back)
