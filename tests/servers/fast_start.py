"""Prepares Kafka's fast start before many tests: `python -m tests.servers.fast_start`, as `make test` does."""

import sys

from deploy.embedded import EmbeddedError
from deploy.embedded.training import prepare_fast_start


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    try:
        prepare_fast_start(tell)
    except EmbeddedError as error:
        # Every test that needs a Kafka says the same if that is what cannot start.
        tell(f"going on without: {error}")
