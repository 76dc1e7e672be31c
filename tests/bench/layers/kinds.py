"""Which layers there are. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Layer:
    """What differs from the plain run. brokers: how many. standby: PostgreSQL waits for one. tls: to both servers.

    metrics: they are on, and somebody scrapes.
    """

    name: str
    brokers: int = 1
    standby: bool = False
    tls: bool = False
    metrics: bool = False


BROKERS: Final = 3
INSYNC: Final = 2
"""So many of them have a message before it counts as sent."""
PLAIN: Final = Layer("plain")
WHOLE: Final = Layer("all of them", BROKERS, standby=True, tls=True, metrics=True)
LAYERS: Final = (
    PLAIN,
    Layer(f"{BROKERS} brokers", BROKERS),
    Layer("a synchronous standby", standby=True),
    Layer("TLS to both", tls=True),
    Layer("metrics", metrics=True),
    WHOLE,
)
