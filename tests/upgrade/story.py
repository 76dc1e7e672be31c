"""This release and a made-up next one, side by side under load: forward, back, forward again, then the contraction."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.claims import check_as_scripted
from tests.e2e.deployment import Deployment
from tests.eventually import eventually
from tests.schemas.registry_server import registry_server
from tests.upgrade.copies import CONTRACTED, EXPANDED, NOTE, add_contraction, make_next
from tests.upgrade.delays import Delays, delays_of, slow_orders, times_of
from tests.upgrade.fleet import ROLES, Fleet, Release
from tests.upgrade.stream import flowing

OURS: Final = Release("this release")
SETTINGS: Final = {
    # A call may take 3 s here; a time-out would make it another story.
    "PAYMENTS_GATEWAY_TIMEOUT_S": "10",
    "PAYMENTS_LEASE_S": "30",
    "PAYMENTS_LOG_LEVEL": "INFO",
}
PROMPT: Final = {"slow_share": 1.0, "slow_s": 0.03}
SLOW_SHARE: Final = 0.01
SLOW: Final = {"slow_share": SLOW_SHARE, "slow_s": 3.0}
DECODING: Final = Path(__file__).with_name("decoding.py")


@dataclass
class Phases:
    """Which orders were published in which phase. at_least: orders that a phase has before it ends."""

    shop: Deployment
    at_least: int
    tell: Callable[[str], None]
    of: dict[str, tuple[int, int]] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Name what happens inside; it lasts until enough orders have been published in it."""
        self.tell(name)
        begin = len(self.shop.published)
        yield
        eventually(lambda: len(self.shop.published) >= begin + self.at_least, "orders flow", 600)
        self.of[name] = (begin, len(self.shop.published))


def play(
    shop: Deployment, per_s: float, at_least: int, tell: Callable[[str], None], *, brief: bool = False
) -> list[Delays]:
    """Play it and hold everything against the script. Returns the delays, phase by phase; raises AssertionError.

    brief: replace half of the processes on the way back, and none in place.
    """
    with registry_server() as registry:
        shop.settings |= {**SETTINGS, "PAYMENTS_SCHEMA_REGISTRY_URL": registry.url}
        fleet = Fleet(shop)
        _must(fleet.run(OURS, "schemas", "register"))
        folder = make_next(shop.directory)
        new = Release("the next release", path=str(folder))
        phases = Phases(shop, at_least, tell)
        shop.weather(**PROMPT)
        fleet.start(OURS)
        with flowing(shop, per_s):
            _forth(fleet, new, phases, brief=brief)
            shop.weather(**SLOW)
            back = ("relay", "consume-b") if brief else tuple(ROLES)
            _back(fleet, new, phases, back)
            _forth_again(fleet, new, folder, phases, back)
        check_as_scripted(shop)
        times = times_of(shop)
        slow = slow_orders(shop, SLOW_SHARE)
        _check_decoding(shop, new)
        shop.stop()
    return [delays_of(name, shop.published[begin:end], times, slow) for name, (begin, end) in phases.of.items()]


def _forth(fleet: Fleet, new: Release, phases: Phases, *, brief: bool) -> None:
    with phases.phase("30 ms: this release alone"):
        pass
    with phases.phase("30 ms: the migration"):
        assert f"to revision {EXPANDED}" in _must(fleet.run(new, "migrate"))
        _must(fleet.run(new, "schemas", "register"))
    if not brief:
        with phases.phase("30 ms: a restart in place"):
            fleet.roll(OURS)
    with phases.phase("30 ms: half to the next release"):
        fleet.roll(new, "consume-a", "relay")
    with phases.phase("30 ms: both side by side"):
        pass
    with phases.phase("30 ms: the rest to the next release"):
        fleet.roll(new, "consume-b", "sweep")


def _back(fleet: Fleet, new: Release, phases: Phases, back: tuple[str, ...]) -> None:
    with phases.phase("1 % of calls 3 s: the next release alone"):
        pass
    with phases.phase("1 % of calls 3 s: back"):
        assert f"at revision {EXPANDED} already, of a newer release" in _must(fleet.run(OURS, "migrate"))
        fleet.roll(OURS, *back)


def _forth_again(fleet: Fleet, new: Release, folder: Path, phases: Phases, back: tuple[str, ...]) -> None:
    """Forward again. The contraction is refused while one process of this release is left; then this one is refused."""
    add_contraction(folder)
    with phases.phase("1 % of calls 3 s: forward again"):
        assert CONTRACTED in _must(fleet.run(new, "migrate"))
        fleet.roll(new, *back[:-1])
        refused = fleet.run(new, "migrate", "--contract")
        assert (refused.code, "1 of an older release" in refused.err) == (1, True), refused
        fleet.roll(new, back[-1])
    with phases.phase("1 % of calls 3 s: the contraction"):
        assert f"to revision {CONTRACTED}" in _must(fleet.run(new, "migrate", "--contract"))
        for arguments, code in ((("consume", "all"), 3), (("migrate",), 1)):
            late = fleet.run(OURS, *arguments)
            assert late.code == code, late
            assert f"the schema is at revision {CONTRACTED} of a newer release" in late.err, late


def _must(ran: Any) -> str:
    assert ran.code == 0, ran
    return str(ran.out)


def _check_decoding(shop: Deployment, new: Release) -> None:
    """Read all that was published with both codecs: the same messages, and the new field where the next one wrote."""
    found = {}
    for release in (OURS, new):
        environment = {**shop.settings, **release.environment}
        done = subprocess.run(
            [sys.executable, DECODING], cwd=shop.directory, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found[release.name] = json.loads(done.stdout)
    ours, theirs = found[OURS.name], found[new.name]
    assert ours["events"] == theirs["events"]
    assert set(ours["notes"]) == {"not known"}
    assert set(theirs["notes"]) == {"", NOTE}, "both releases authorized"
