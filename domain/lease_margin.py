"""What the rules, and the settings' checks, need to know of leases. Apart from the rules, which load every event."""

from typing import Final

LEASE_MARGIN: Final = 0.1
"""Calls must end when this share of the lease is left, so that their answers are settled under the lease."""
