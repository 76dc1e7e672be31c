"""The database is lost amid the load, and comes back as it was some seconds before. Kafka has gone on.

The steps are those of deploy/RESTORE.md, by the commands that stand there, and nothing else.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tests.chaos.clock import unix_s
from tests.chaos.fleet import ROLES
from tests.eventually import eventually
from tests.restoring.backup import Backup
from tests.restoring.commands import Answer, Operator
from tests.restoring.loss import LOOK_S, Loss

BACKUP_AT: Final = 0.1
"""Progress of the run at which the base backup is made."""
MARGIN: Final = timedelta(seconds=30)
"""The offsets are set back to so long before the moment of the restore."""
MEMBERS_GONE_S: Final = 60.0
"""A killed member counts for ten seconds more."""


@dataclass(slots=True, kw_only=True)
class LostDatabase(Loss):
    """ago_s: how much of its past is lost. applied: what was taken over."""

    ago_s: float
    applied: dict[str, Any] = field(default_factory=dict)

    def happen(self) -> None:
        """Lose the database, restore it as of some seconds before, and take over what the topics say."""
        backup = Backup(self.world.servers)
        backup.archive()
        self.await_progress(BACKUP_AT)
        backup.copy()
        copied = backup.now()
        self.await_progress(self.lost_at)
        lost = timedelta(seconds=self.ago_s)
        while backup.now() - lost <= copied:
            time.sleep(LOOK_S)
        until = backup.now() - lost
        roles = [name for name in ROLES if self.world.fleet.runs(name)]
        for name in roles:
            self.world.fleet.kill(name)
        backup.lose()
        self.forgotten = (until.timestamp(), unix_s())
        self.say(f"the database is lost; it comes back as of {until:%H:%M:%S}, {self.ago_s:g} s ago")
        backup.restore(until)
        self._restore(until, roles)
        self.done.append(f"database restored to {until:%H:%M:%S}")

    def _restore(self, until: datetime, roles: list[str]) -> None:
        operator = Operator(self.world, self.say)
        since = (until - MARGIN).isoformat()
        operator.must("migrate")
        shown = operator.run("audit", "--rebuild", "--json").document()["rebuild"]
        self.say(f"{shown['equal']} orders equal, {shown['differ']} differ")
        answers: list[Answer] = []

        def applied() -> bool:
            answers.append(operator.run("audit", "--rebuild", "--apply", "--json"))
            return "have members" not in answers[-1].log

        eventually(applied, "the killed consumers are out of their groups", MEMBERS_GONE_S, poll_s=3.0)
        assert answers[-1].code == 0, answers[-1].out[-3_000:] + answers[-1].log[-3_000:]
        self.applied = answers[-1].document()["applied"]
        self.say(f"taken over: {self.applied}")
        again = operator.must("audit", "--rebuild", "--apply", "--json").document()["applied"]
        assert (again["orders"], again["events"]) == (0, 0), f"the second time it did {again}"
        operator.must("offsets", "show")
        operator.must("offsets", "rewind", "--to", since, "--dry-run")
        operator.must("offsets", "rewind", "--to", since)
        operator.run("reconcile", "--since", since)
        self.world.fleet.start(*roles)
        self.done += operator.said
