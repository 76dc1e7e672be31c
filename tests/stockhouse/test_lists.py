"""The lists show everything once, page by page, while more is being made."""

from typing import Any
from uuid import NAMESPACE_OID, uuid5

from tests.stockhouse.clocked import Clocked

AT_15 = "2026-03-01T12:15:00Z"


def _thing(number: int) -> str:
    return str(uuid5(NAMESPACE_OID, f"list {number}"))


def _reserve(house: Clocked, number: int) -> None:
    assert house.reserve({"TEA": 1}, AT_15, thing=_thing(number), order=f"A-{number}").status == 200


def _pages(house: Clocked, name: str, **query: Any) -> list[list[Any]]:
    pages: list[list[Any]] = []
    after: dict[str, str] = {}
    while True:
        body = house.call(name, **query, **after).body
        pages.append(body[name])
        if body["next"] is None:
            return pages
        after = {"after": body["next"]}


def test_every_hold_is_there_once_while_others_are_made(house: Clocked) -> None:
    house.stock({"TEA": 100})
    for number in range(5):
        _reserve(house, number)

    first = house.call("holds", limit=2).body
    _reserve(house, 5)
    house.call("release", {"order_id": "A-0"}, thing=_thing(0))
    seen, after = [*first["holds"]], first["next"]
    while after is not None:
        page = house.call("holds", limit=2, after=after).body
        seen, after = [*seen, *page["holds"]], page["next"]

    assert [hold["order_id"] for hold in seen] == [f"A-{number}" for number in range(6)]


def test_a_full_last_page_has_no_next(house: Clocked) -> None:
    house.stock({"TEA": 100})
    for number in range(4):
        _reserve(house, number)

    assert [len(page) for page in _pages(house, "holds", limit=2)] == [2, 2]
    assert [len(page) for page in _pages(house, "holds")] == [4]


def test_only_what_changed_since_is_listed(house: Clocked) -> None:
    house.stock({"TEA": 100})
    for number in range(3):
        _reserve(house, number)
    house.clock.minutes(5)
    house.call("confirm", {"order_id": "A-1"}, thing=_thing(1))
    house.clock.minutes(20)

    changed = [hold["order_id"] for page in _pages(house, "holds", since="2026-03-01T12:05:00Z") for hold in page]
    lapsed = [hold["order_id"] for page in _pages(house, "holds", since="2026-03-01T12:15:00Z") for hold in page]

    assert changed == ["A-0", "A-1", "A-2"], "two of them lapsed meanwhile"
    assert lapsed == ["A-0", "A-2"]
    assert _pages(house, "holds", since="2026-03-01T12:15:00.000001Z") == [[]]


def test_the_stock_is_listed_by_sku(house: Clocked) -> None:
    skus = ["B", "a", "A/1 ?&#", "ä", "0"]
    house.stock(dict.fromkeys(skus, 7))

    pages = _pages(house, "stock", limit=2)

    assert [[one["sku"] for one in page] for page in pages] == [["0", "A/1 ?&#"], ["B", "a"], ["ä"]]
    house.stock({"C": 1})
    assert len(_pages(house, "stock")[0]) == 6


def test_a_sku_of_any_letters_can_be_set_alone(house: Clocked) -> None:
    assert house.http.put("/inventory/stock/A%2F1%20%3F", json={"available": 3}).status_code == 200
    assert house.shelf("A/1 ?") == (3, 0, 0)
    for wrong in ({"available": -1}, {"available": 2**53}, {"available": "1"}, {}, {"available": 1, "x": 1}):
        assert house.http.put("/inventory/stock/TEA", json=wrong).status_code == 422
