"""Who is measured: how each is started, what it reads, and what is fair to expect of it."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EVERYTHING = ("up",)
BY_ROLE = (
    ("consume", "OrderConfirmed", "PaymentRetryRequested"),
    ("consume", "PaymentAuthorized"),
    ("consume", "ItemsReserved", "ReservationFailed"),
    ("consume", "PaymentFailed", "CustomerNotificationRequested"),
    ("relay",),
    ("sweep",),
)


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is measured.

    processes: arguments of each process. weight: multiplies --orders, so that everybody runs for about 10 s at a
    gateway of 0 ms with the default: what is ramp up and ramp down then hardly shows.
    body: what the first message is written in (tests.bench.orders.encoder). reactions: it does all that our module
    does beyond the core (voids said, customers notified, holds sold and released), and is held to it.
    dedupes: an event that is sent twice is to have one outcome.
    """

    name: str
    about: str
    processes: tuple[tuple[str, ...], ...]
    weight: float = 1
    body: str = "json"
    peer: str | None = None
    variant: str = ""
    reactions: bool = False
    sandbox: bool = False
    shared_gateway: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is this module."""
        return self.peer is None

    @property
    def members(self) -> int:
        """How many processes share each consumer group: until all have joined, the clock does not start."""
        return max(Counter(self.processes).values())

    def argv(self, python: Path, arguments: Sequence[str]) -> list[str]:
        """Return the command line of one process. python: the peers'."""
        if self.peer is not None:
            return [str(python), "-m", f"tests.bench.peers.{self.peer}", *arguments]
        if self.shared_gateway:
            return [sys.executable, "-m", "tests.bench.launch", *arguments]
        return [str(Path(sys.executable).parent / "payments"), *arguments]


def _peer(
    name: str, peer: str, about: str, *, variant: str = "", processes: Sequence[str] = ("all",), weight: float = 1
) -> Contestant:
    return Contestant(name, about, tuple((p,) for p in processes), weight=weight, peer=peer, variant=variant)


def _limit(name: str, about: str, variant: str, *, reactions: bool = False) -> Contestant:
    roles = ("authorize", "reserve", "capture", "relay", *(("after",) if reactions else ()))
    body, weight = ("one-record", 180) if "avro" in variant else ("json", 240)
    processes = tuple((role,) for role in roles)
    return Contestant(
        name, about, processes, weight=weight, body=body, peer="limit", variant=variant, reactions=reactions
    )


def _ours(
    name: str, about: str, processes: Sequence[Sequence[str]], *, weight: float = 60, sandbox: bool = False
) -> Contestant:
    return Contestant(
        name,
        about,
        tuple(tuple(p) for p in processes),
        weight=weight,
        body="contract",
        reactions=True,
        sandbox=sandbox,
        shared_gateway=not sandbox and len(processes) > 1,
    )


_ALL = (
    _ours("ours", "this module, one process with all roles", [EVERYTHING]),
    _ours("ours-roles", "one process a role (six)", BY_ROLE),
    _ours(
        "ours-split",
        "the first reaction in a process, the others in another, relay, sweep",
        [BY_ROLE[0], ("consume", *BY_ROLE[1][1:], *BY_ROLE[2][1:], *BY_ROLE[3][1:]), ("relay",), ("sweep",)],
    ),
    _ours(
        "ours-x2",
        "two processes a consumer group, relay and sweep in a third",
        [("consume", "all"), ("consume", "all"), ("sweep", "--relay")],
    ),
    _ours("ours-up2", "all roles twice: two processes that share groups, relay and sweep", [EVERYTHING, EVERYTHING]),
    _ours("ours-stripe", "one process, the Stripe adapter against the sandbox", [EVERYTHING], weight=10, sandbox=True),
    _peer(
        "naive", "naive", "FastStream, SQLAlchemy ORM, a message at a time, polling relay", variant="seq", weight=1.8
    ),
    _peer("naive-concurrent", "naive", "the same, 32 in flight", variant="concurrent", weight=3.5),
    _peer("naive-x2", "naive", "the same, two processes", variant="concurrent", processes=("all", "all"), weight=3.5),
    _peer("faststream-outbox", "naive", "FastStream with faststream-outbox", variant="fsoutbox", weight=1.4),
    _peer("handwritten", "handwritten", "aiokafka and psycopg by hand, 32 in flight", weight=20),
    _peer("dbos", "dbos_peer", "DBOS, a durable workflow an order", variant="all", weight=0.5),
    _peer("restate", "restate_peer", "Restate's server, handlers in Python", weight=5),
    _limit("limit", "the design's limit: Avro, all reactions, five processes", "avro+reactions", reactions=True),
    _limit("limit-core", "the limit without the reactions beyond the core, Avro", "avro"),
    _limit("limit-json", "the limit without the reactions beyond the core, JSON", ""),
)
CONTESTANTS = {contestant.name: contestant for contestant in _ALL}
DEFAULT = (
    "naive",
    "naive-concurrent",
    "faststream-outbox",
    "handwritten",
    "dbos",
    "restate",
    "limit-core",
    "limit",
    "ours",
    "ours-roles",
    "ours-x2",
    "ours-up2",
    "ours-stripe",
)
QUICK = ("naive-concurrent", "handwritten", "restate", "limit", "ours")
