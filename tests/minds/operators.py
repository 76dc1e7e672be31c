"""What people do besides: rule on what came to a review, as an operator does, and audit, by the product's commands."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

from tests.chaos.world import World
from tests.processes import Process

COMMAND_S: Final = 240.0
AUDIT_WAIT_S: Final = "60"
BOOKED: Final = """
    SELECT order_id, (SELECT coalesce(sum(refunded_minor), 0) FROM attempt a WHERE a.order_number = o.order_number)
         - (SELECT coalesce(sum(amount_minor), 0) FROM operation p
             WHERE p.order_number = o.order_number AND p.reference LIKE 'outside:%' AND p.state = 'approved')
      FROM orders o WHERE o.status <> 'manual_review'"""
"""What the gateway gave back of each order, as the tables have it, minor units. In a review news of it wait."""
IN_REVIEW: Final = "SELECT order_id, review_reason FROM orders WHERE status = 'manual_review' ORDER BY 1"
_NUMBER = itertools.count()


def audit(world: World) -> dict[str, Any]:
    """Run `payments audit` against the topics, too; return what it says."""
    code, out, words = _run(world, "audit", "--wait", AUDIT_WAIT_S, "--topics", "--json")
    try:
        return dict(json.loads(out))
    except ValueError:
        return {"error": f"exit {code}: {words}"}


def rule(world: World, say: Callable[[str], None]) -> tuple[int, list[str]]:
    """Pay past the gateway what it would not refund; return how many orders it was, and what went wrong.

    Each refund of ours that failed is a ruling of its own, so there may be more when these are done.
    """
    wrong: list[str] = []
    waiting = [row for row in world.rows(IN_REVIEW) if row[1] == "refund_failed"]
    if waiting:
        say(f"{len(waiting)} orders wait for a person")
    for order_id, _ in waiting:
        words = ("order", "resolve", order_id, "--as", "executed", "--reason", "paid in cash")
        code, _, last = _run(world, *words, "--reference", f"outside:cash-{order_id}-{next(_NUMBER)}")
        if code != 0:
            wrong.append(f"order resolve {order_id}: exit {code}: {last}")
    return len(waiting), wrong


def agrees(world: World, orders: Collection[str]) -> bool:
    """Whether the product has heard of everything that the gateway did with the money of these orders."""
    booked = {row[0]: int(row[1]) for row in world.rows(BOOKED) if row[0] in orders}
    back: Counter[str] = Counter()
    for intent in world.ledger()["payment_intents"]:
        back[str(intent["order_id"])] += int(intent["amount_refunded_minor"])
    return all(back[order_id] == amount for order_id, amount in booked.items())


def _run(world: World, *arguments: str) -> tuple[int, str, str]:
    directory = world.folder / "operator" / str(next(_NUMBER))
    directory.mkdir(parents=True)
    process = Process(directory, arguments, world.fleet.settings)
    try:
        code = process.wait(COMMAND_S)
    except AssertionError:
        process.kill()
        return -9, "", f"not within {COMMAND_S:g} s"
    return code, process.out, (process.log.strip().splitlines() or [""])[-1]
