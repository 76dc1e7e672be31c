"""Faults of the whole gateway, as a test or an operator sets them."""

from dataclasses import dataclass
from zlib import crc32

import orjson

from deploy.sandbox.errors import invalid
from deploy.standins.connections import HOLD_S


@dataclass(slots=True)
class GlobalFaults:
    """Faults of the whole gateway. down: no answers. slow_share of the keys (0 to 1) are executed slow_s late."""

    down: bool = False
    slow_share: float = 0.0
    slow_s: float = 3.0

    def change(self, body: bytes) -> None:
        """Set what the JSON names and keep the rest."""
        try:
            wanted = orjson.loads(body)
        except orjson.JSONDecodeError as broken:
            raise invalid("Send a JSON object with down, slow_share or slow_s.") from broken
        if not isinstance(wanted, dict) or wanted.keys() - {"down", "slow_share", "slow_s"}:
            raise invalid("Only down, slow_share and slow_s can be set.")
        down, share, slow_s = (wanted.get(name, getattr(self, name)) for name in ("down", "slow_share", "slow_s"))
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (share, slow_s))
        if not isinstance(down, bool) or not numbers or not 0 <= share <= 1 or not 0 <= slow_s <= HOLD_S:
            raise invalid(f"down is true or false, slow_share is 0 to 1, slow_s is 0 to {HOLD_S:g}.")
        self.down, self.slow_share, self.slow_s = down, float(share), float(slow_s)

    def delay_s(self, key: str) -> float:
        """Return how many seconds to wait before a request with this key is executed."""
        return self.slow_s if self.slow_share and crc32(key.encode()) < self.slow_share * 2**32 else 0.0
