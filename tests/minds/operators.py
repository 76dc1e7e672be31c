"""What people do besides: rule on what came to a review, as an operator does, and audit, by the product's commands."""

import itertools
import json
from collections.abc import Callable
from typing import Any, Final

from tests.chaos.world import World
from tests.processes import Process

COMMAND_S: Final = 240.0
AUDIT_WAIT_S: Final = "60"
ROUNDS_MAX: Final = 12
IN_REVIEW: Final = "SELECT order_id, review_reason FROM orders WHERE status = 'manual_review' ORDER BY 1"
_NUMBER = itertools.count()


def audit(world: World) -> dict[str, Any]:
    """Run `payments audit` against the topics, too; return what it says."""
    code, out, words = _run(world, "audit", "--wait", AUDIT_WAIT_S, "--topics", "--json")
    try:
        return dict(json.loads(out))
    except ValueError:
        return {"error": f"exit {code}: {words}"}


def rule_all(world: World, say: Callable[[str], None]) -> list[str]:
    """Pay past the gateway what it would not refund, until nothing waits for a person; return what went wrong.

    Each refund of ours that failed is a ruling of its own.
    """
    wrong: list[str] = []
    for number in range(ROUNDS_MAX):
        waiting = [row for row in world.rows(IN_REVIEW) if row[1] == "refund_failed"]
        if not waiting:
            break
        say(f"{len(waiting)} orders wait for a person")
        for order_id, _ in waiting:
            reference = f"outside:cash-{order_id}-{number}"
            words = (
                "order",
                "resolve",
                order_id,
                "--as",
                "executed",
                "--reference",
                reference,
                "--reason",
                "paid in cash",
            )
            code, _, last = _run(world, *words)
            if code != 0:
                wrong.append(f"order resolve {order_id}: exit {code}: {last}")
        if wrong:
            break
    return wrong


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
