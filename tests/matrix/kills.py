"""Orders of the end-to-end tests' script, while consumers are killed and started again; then every check of theirs."""

import secrets
from pathlib import Path
from typing import Any, Final

from deploy.embedded import EmbeddedServers
from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import TOGETHER, Deployment, deployment
from tests.e2e.script import PLENTY, PLENTY_UNITS, SCARCE, SCARCE_UNITS, write_script
from tests.matrix.demo import PATIENCE_S
from tests.matrix.warned import ON
from tests.processes import started

PARTS: Final = 2
SEED: Final = 7


def play_kills(servers: EmbeddedServers, folder: Path, orders: int) -> dict[str, Any]:
    """Publish so many orders in parts, and kill the consumers amid each. Raises AssertionError."""
    with deployment(servers, folder, None, f"kill{secrets.token_hex(3)}.") as shop:
        shop.settings |= ON
        for command in (
            ("migrate",),
            ("stock", "set", PLENTY, str(PLENTY_UNITS)),
            ("stock", "set", SCARCE, str(SCARCE_UNITS)),
        ):
            with started(folder, *command, **shop.settings) as process:
                assert process.wait(PATIENCE_S) == 0, process.log
        shop.start(*TOGETHER)
        script = write_script(orders, seed=SEED)
        killed = [_publish_and_kill(shop, script[part::PARTS]) for part in range(PARTS)]
        shop.await_settled(len(shop.published), PATIENCE_S)
        check_as_scripted(shop)
        shop.stop()
    return {"orders": orders, "unfinished_at_kill": killed}


def _publish_and_kill(shop: Deployment, orders: list[Any]) -> int:
    """Publish; kill the consumers once some orders have an outcome; return how many had none then."""
    before = shop.settled()
    shop.publish(orders)
    shop.await_settled(before + 1, PATIENCE_S)
    shop.kill("consumers")
    unfinished = len(shop.published) - shop.settled()
    assert unfinished > 0, "the consumers were not killed amid the orders"
    shop.start("consumers")
    return unfinished
