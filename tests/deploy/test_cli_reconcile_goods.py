"""`payments reconcile --inventory`: every difference about goods has a name, and nothing else is one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.views.goods_text import MEANINGS, goods_lines
from domain.ids import OrderId
from domain.order import reservation_id
from outbox.audit import GoodsCompared, HoldDifference, HoldKind
from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.processes import started
from tests.stockhouse.client import Client, client_of
from tests.stockhouse.process import running

PAID = ("still-good", "returned", "given-up", "lines", "restocked", "unpaid", "under-way", "asked")
REFUSED = ("unsold",)
WAITING = ("still-held", "gone")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Client]:
    with running(tmp_path / "inventory.jsonl") as process, client_of(process.address) as client:
        client.stock({"tea": 5_000, "SKU-FAULT-RESET-AFTER": 100})
        yield client


@pytest.fixture
def shop(deployment: dict[str, str], warehouse: Client) -> dict[str, str]:
    """Give the deployment the stand-in as its inventory."""
    address = str(warehouse.http.base_url)
    return deployment | {
        "PAYMENTS_INVENTORY": "http",
        "PAYMENTS_INVENTORY_URL": address,
        "PAYMENTS_UNKNOWN_RETRY_S": "0.2",
        "PAYMENTS_BACKOFF_MIN_S": "0.2",
    }


def play(
    directory: Path,
    environment: dict[str, str],
    *orders: dict[str, Any],
    afterwards: Callable[[], None] = lambda: None,
) -> None:
    """Let the pipeline end these orders, and what is asked for afterwards."""
    with started(directory, "up", **environment) as up:
        up.await_line("running")
        publish(directory, environment, *orders)
        ended = {"paid_and_confirmed", "payment_failed"}
        for order in orders:
            order_id = order["order_id"]
            up.eventually(lambda order_id=order_id: status_of(environment, order_id) in ended, f"{order_id} ended")  # type: ignore[misc]
        afterwards()
        audited = payments(directory, "audit", "--wait", "50", "--json", **environment)
        assert audited.code == 0, audited.err + audited.out
        assert up.stop() == 0


def asked(directory: Path, environment: dict[str, str], *arguments: str) -> tuple[Ran, dict[str, Any]]:
    ran = payments(directory, "reconcile", "--inventory", "--json", *arguments, **environment)
    assert ran.out, ran.err
    return ran, json.loads(ran.out)


def hold_of(order: str, attempt: int = 1) -> str:
    return str(reservation_id(OrderId(order), attempt))


@pytest.mark.integration
@pytest.mark.timeout(480)
def test_every_difference_about_goods_is_found_and_named(
    tmp_path: Path, shop: dict[str, str], warehouse: Client
) -> None:
    fault = confirmed("lost-answer")
    fault["lines"] = [{**fault["lines"][0], "sku": "SKU-FAULT-RESET-AFTER"}]
    plain = [confirmed(order) for order in PAID]
    refused = [confirmed(order, "pm_fault_capture_refused") for order in REFUSED]
    declined, short = confirmed("declined", "pm_card_chargeDeclined"), confirmed("short", quantity=9_999)

    def change_minds() -> None:
        refund = ("order", "refund", "returned", "--amount", "500", "--restock", "tea=1", "--reason", "broken")
        for command in (refund, ("order", "cancel", "given-up", "--reason", "ordered by mistake")):
            asked_for = payments(tmp_path, *command, **shop)
            assert asked_for.code == 0, asked_for.err

    play(tmp_path, shop, *plain, *refused, fault, declined, short, afterwards=change_minds)
    back = {order: warehouse.call("hold", thing=hold_of(order)).body["restocked"] for order in ("returned", "given-up")}
    assert back == {"returned": [{"sku": "tea", "quantity": 1}], "given-up": [{"sku": "tea", "quantity": 2}]}
    with (
        started(tmp_path, "consume", "OrderConfirmed", "PaymentAuthorized", **shop) as some,
        started(tmp_path, "relay", **shop) as relay,
    ):
        publish(tmp_path, shop, *map(confirmed, WAITING))
        some.eventually(lambda: [status_of(shop, order) for order in WAITING] == ["items_reserved"] * 2, "reserved")
        assert (some.stop(), relay.stop()) == (0, 0)
    timeline = payments(tmp_path, "order", "show", "still-good", **shop).out.splitlines()
    assert [line.split("  ")[2].split()[0] for line in timeline if "confirm approved" in line] == ["inventory"]
    soon = warehouse.in_minutes(10)
    foreign = "11111111-1111-5111-8111-111111111111"
    assert warehouse.reserve({"tea": 1}, soon, thing=foreign, order="other-shop").status == 200

    ran, found = asked(tmp_path, shop)
    assert (ran.code, found["differences"]) == (0, [])
    here = len(PAID) + len(REFUSED) + len(WAITING) + 1
    assert found["compared"] == {"holds_here": here, "holds_there": here + 1, "skus": 0}
    assert (found["foreign"], found["under_way"], found["for_operator"]) == ({"holds": 1}, 0, [])

    _change_both_sides(shop, warehouse, soon)
    ran, found = asked(tmp_path, shop)
    assert ran.code == 1
    named = {(d["kind"], d["order_id"], d["attempt"], d["ours"], d["theirs"]) for d in found["differences"]}
    assert named == {
        ("held_unknown", "nobody", None, None, "held"),
        ("sold_unpaid", "declined", None, None, "confirmed"),
        ("sold_unpaid", "unpaid", 1, "released", "confirmed"),
        ("paid_unsold", "unsold", 1, "sold", "released"),
        ("still_held", "still-held", 1, "released", "held"),
        ("hold_gone", "gone", 1, "held", "released"),
        ("lines", "lines", 1, "3 x tea", "2 x tea"),
        ("restocked", "restocked", 1, "nothing", "1 x tea"),
    }
    assert found["found"] == {
        **dict.fromkeys(["held_unknown", "paid_unsold", "still_held", "hold_gone", "lines", "restocked"], 1),
        "sold_unpaid": 2,
    }
    assert found["under_way"] == 1
    assert [d["order_id"] for d in found["for_operator"]] == ["asked"]
    told = payments(tmp_path, "reconcile", "--inventory", **shop)
    assert told.code == 1
    assert told.out.count("✗") == told.out.count("    to do: ") == len(found["found"])
    assert told.out.splitlines()[-1] == "8 differences"

    warehouse.faults(share=0.3, seed=3, kinds=["500-AFTER", "503", "HTML", "TRUNCATED", "GARBAGE", "RESET-BEFORE"])
    again, same = asked(tmp_path, shop, "--since", "1d")
    assert (again.code, same["differences"]) == (1, found["differences"]), "its faults are waited out"


def _change_both_sides(shop: dict[str, str], warehouse: Client, soon: str) -> None:
    """Make a difference of each kind by hand."""
    assert warehouse.reserve({"tea": 1}, soon, thing=hold_of("nobody"), order="nobody").status == 200
    assert warehouse.reserve({"tea": 1}, soon, thing=hold_of("declined"), order="declined").status == 200
    assert warehouse.call("confirm", {"order_id": "declined"}, thing=hold_of("declined")).status == 200
    assert warehouse.call("release", {"order_id": "gone"}, thing=hold_of("gone")).status == 200
    back = {
        "reservation_id": hold_of("restocked"),
        "order_id": "restocked",
        "request_id": None,
        "lines": [{"sku": "tea", "quantity": 1}],
    }
    assert warehouse.call("restock", back, thing=hold_of("restocked", 9)).status == 200
    with connected(shop["PAYMENTS_DATABASE_URL"]) as connection:

        def run(statement: str, order: str) -> None:
            assert connection.execute(statement.encode(), [order]).rowcount == 1, statement

        state = "UPDATE reservation SET state = '{}' WHERE order_id = %s"
        for order, value in (("unpaid", "released"), ("unsold", "sold"), ("still-held", "released")):
            run(state.format(value), order)
        for order in ("under-way", "asked"):
            run(state.format("released"), order)
        run("""UPDATE orders SET lines = '[["tea", 3]]' WHERE order_id = %s""", "lines")
        unknown = "UPDATE operation SET state = 'unknown', due_at = {} WHERE kind = 'capture' AND order_id = %s"
        run(unknown.format("now()"), "under-way")
        run(unknown.format("NULL"), "asked")


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_the_internal_stock_is_compared_with_its_holds(tmp_path: Path, deployment: dict[str, str]) -> None:
    assert payments(tmp_path, "stock", "set", "tea", "50", **deployment).code == 0
    play(tmp_path, deployment, *(confirmed(f"order-{number}") for number in range(5)), confirmed("short", quantity=99))

    ran, found = asked(tmp_path, deployment)
    assert (ran.code, found["same"], found["inventory"]) == (0, True, "internal")
    assert found["compared"] == {"holds_here": 5, "holds_there": 0, "skus": 1}

    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE stock SET sold = sold - 1")
    ran, found = asked(tmp_path, deployment)
    assert (ran.code, found["found"]) == (1, {"stock": 2})
    told = payments(tmp_path, "reconcile", "--inventory", **deployment)
    assert "SKU tea: 9 are sold, and the sold holds of orders sum to 10" in told.out
    assert told.out.splitlines()[-2:] == [
        "compared the stock of 1 SKU with what was put in and with 5 holds",
        "2 differences",
    ]


@pytest.mark.integration
def test_an_inventory_that_does_not_answer_ends_it_with_3(tmp_path: Path, deployment: dict[str, str]) -> None:
    nowhere = deployment | {"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": "http://127.0.0.1:1"}
    ran = payments(tmp_path, "reconcile", "--inventory", "--json", **nowhere)
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    assert "check PAYMENTS_INVENTORY_URL" in ran.err
    del nowhere["PAYMENTS_INVENTORY_URL"]
    unset = payments(tmp_path, "reconcile", "--inventory", **nowhere)
    assert (unset.code, "set PAYMENTS_INVENTORY_URL" in unset.err) == (2, True)


@pytest.mark.integration
def test_a_token_that_is_refused_ends_it_with_3(tmp_path: Path, deployment: dict[str, str]) -> None:
    (tmp_path / "token").write_text("letmein")
    with running(tmp_path / "j", ["--token-file", str(tmp_path / "token")]) as process:
        shop = deployment | {"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": process.address}
        refused = payments(tmp_path, "reconcile", "--inventory", **shop)
        taken = payments(tmp_path, "reconcile", "--inventory", **shop, PAYMENTS_INVENTORY_TOKEN="letmein")
    assert (refused.code, "check PAYMENTS_INVENTORY_TOKEN" in refused.err) == (3, True)
    assert (taken.code, taken.out.splitlines()[-1]) == (0, "no differences")


def test_each_kind_of_difference_has_a_meaning_and_something_to_do() -> None:
    assert MEANINGS.keys() == set(HoldKind)
    differences = [HoldDifference(kind, "order-1", "text") for kind in HoldKind for _ in range(25)]
    found = GoodsCompared("http", None, 1, 2, 0, 3, 4, _count(differences), differences, differences[:1])
    lines = [click.unstyle(line) for line in goods_lines(found)]

    assert sum(line.startswith("✗") for line in lines) == len(HoldKind)
    assert lines.count("    25 in all; --json lists more") == len(HoldKind)
    assert lines[-1] == "200 differences"


def _count(differences: list[HoldDifference]) -> Any:
    from collections import Counter

    return Counter(difference.kind for difference in differences)
