"""The ids that Stripe gives, and the sandbox and the simulated gateway like it."""

import re
from typing import Final

from domain.operation import OperationKind

_REST: Final = r"[A-Za-z0-9_]{1,250}"
_TRANSACTION: Final = re.compile(f"pi_{_REST}")
_REFUND: Final = re.compile(f"(re|pyr)_{_REST}")


def could_name(kind: OperationKind, reference: str) -> bool:
    """Whether such a call could have made something of this id: a refund makes a refund, all else a PaymentIntent."""
    pattern = _REFUND if kind is OperationKind.REFUND else _TRANSACTION
    return pattern.fullmatch(reference) is not None
