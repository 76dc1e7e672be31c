"""`python -m tests.matrix.cell`: one cell, in the Python that runs it. Prints one JSON object; exit 1 if it fails.

Kafka and PostgreSQL of the asked versions run in a temporary folder. On them:
1. `deploy/roles.sql`, `payments migrate`, `topics create`, and every role as a process under its own database role.
   The demo plays its orders of every kind there, with all its checks.
2. In a database of its own, orders flow through the end-to-end tests' deployment while consumers are killed with
   SIGKILL and started again; then topics, gateway, database, audit and rebuild are held against the script.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from deploy.embedded import EmbeddedServers, Programs, temporary_servers
from tests.matrix.demo import play_demo
from tests.matrix.kills import play_kills
from tests.matrix.versions import KAFKAS, POSTGRES, debians_postgres, java_for
from tests.matrix.warned import warned
from tests.servers.memory import in_memory

ORDERS: Final = 40
KILL_ORDERS: Final = 200


def run_cell(kafka: str, postgres: str, orders: int, kill_orders: int) -> dict[str, Any]:
    """Run one cell; return what was found. Raises AssertionError or EmbeddedError if something is wrong."""
    line = KAFKAS[kafka]
    java, java_version = java_for(line)
    programs = Programs(line.jars(), java, debians_postgres(postgres) if postgres == "15" else None)
    with temporary_servers(progress=_say, parent=in_memory(), programs=programs) as servers:
        servers.start()
        found: dict[str, Any] = {
            "kafka": servers.kafka.version,
            "java": java_version,
            "java_named_by_kafka": java_version in line.javas,
            "postgresql": servers.postgres.version.split()[0],
            "python": sys.version.split()[0],
        }
        assert found["kafka"] == line.release, found
        assert found["postgresql"].split(".")[0] == postgres, found
        found |= _play(servers, orders, kill_orders)
    return found


def _play(servers: EmbeddedServers, orders: int, kill_orders: int) -> dict[str, Any]:
    folder = servers.data_dir
    parts: Sequence[tuple[str, Any, int]] = (("demo", play_demo, orders), ("kills", play_kills, kill_orders))
    found: dict[str, Any] = {}
    for name, part, count in parts:
        (folder / name).mkdir()
        began_s = time.monotonic()
        found[name] = {**part(servers, folder / name, count), "seconds": round(time.monotonic() - began_s, 1)}
        said = warned(folder / name)
        assert not said, f"our code is warned by this Python: {said}"
    return found


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """Run the cell of the arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix.cell", description=__doc__)
    parser.add_argument("--kafka", choices=KAFKAS, required=True)
    parser.add_argument("--postgres", choices=POSTGRES, required=True)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--kill-orders", type=int, default=KILL_ORDERS)
    asked = parser.parse_args()
    found = run_cell(asked.kafka, asked.postgres, asked.orders, asked.kill_orders)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
