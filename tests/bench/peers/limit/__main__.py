"""`python -m tests.bench.peers.limit ROLE[+ROLE...]`, or setup."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable

import psycopg
import uvloop

from tests.bench.peers import common
from tests.bench.peers.limit.gated import Authorize, Capture, Void
from tests.bench.peers.limit.postgres import DDL
from tests.bench.peers.limit.relay import Relay
from tests.bench.peers.limit.role import Role
from tests.bench.peers.limit.settings import STATS
from tests.bench.peers.limit.ungated import Notify, Release, Reserve

WAIT_S = 0.05
WAIT_SHARED_S = 0.002
"""How long a role waits for work: alone, and where others share its thread."""
Maker = Callable[[asyncio.AbstractEventLoop, common.Gateway], Role]
ROLES: dict[str, tuple[Maker, ...]] = {
    "authorize": (Authorize,),
    "reserve": (Reserve,),
    "capture": (Capture, Void),
    "relay": (Relay,),
    "after": (Release, Notify),
    "everything": (Authorize, Reserve, Capture, Void, Release, Notify, Relay),
}


def work(roles: list[Role]) -> None:
    """Let every role have its turn until SIGTERM."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    alone = len(roles) == 1
    busy = True
    while not stop:
        wait_s = WAIT_S if alone else 0 if busy else WAIT_SHARED_S
        busy = False
        for role in roles:
            busy |= role.step(wait_s)


def main(names: str) -> None:
    """Make the tables, or run the roles."""
    if names == "setup":
        with psycopg.connect(common.DSN) as connection:
            connection.execute(DDL)
        return
    loop, gateway = uvloop.new_event_loop(), common.Gateway()
    roles = [make(loop, gateway) for name in names.split("+") for make in ROLES[name]]
    work(roles)
    for role in roles:
        if STATS:
            rounded = {what: round(value, 3) for what, value in role.stats.items()}
            sys.stdout.write(f"{type(role).__name__} {rounded}\n")
        if role.src is not None:
            role.src.consumer.close()


if __name__ == "__main__":
    main(sys.argv[1])
