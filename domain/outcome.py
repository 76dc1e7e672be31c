"""What came of an operation. Ports return these values; they never raise for a decline or a shortage.

`Approved`, `Declined`, `AlreadyCaptured`, `Lapsed`, `Reserved`, `Short` are definite. `Pending` is accepted, the answer
comes later. `Unknown` means that we do not know whether it happened; `NotExecuted` that it did not and the same key may
be sent again. `NotFound` answers a look-up only: the gateway does not know the operation, which alone proves nothing.
"""

from datetime import datetime

from domain.failure_codes import FailureCode
from domain.values import Value


class Approved(Value, frozen=True):
    """It was done. amount_minor: what was moved, in ISO minor units.

    authorize: `transaction_id`, `captured` when the method captured at once, `expires_at` of the authorization.
    refund: `reference` is the refund id. livemode is False for play money.
    """

    transaction_id: str | None = None
    reference: str | None = None
    amount_minor: int = 0
    captured: bool = False
    expires_at: datetime | None = None
    livemode: bool = False


class Declined(Value, frozen=True):
    """The issuer or gateway said no, for good, to this very operation. gateway_code is for operators only.

    transaction_id is set when the gateway made a transaction of it all the same (a declined card leaves one behind).
    """

    code: FailureCode
    gateway_code: str | None = None
    transaction_id: str | None = None


class AlreadyCaptured(Value, frozen=True):
    """A void was refused because the money is captured: amount_minor of it."""

    transaction_id: str
    amount_minor: int


class Lapsed(Value, frozen=True):
    """The authorization is gone at the gateway (expired or cancelled there): nothing can be captured or is held."""


class Pending(Value, frozen=True):
    """Accepted; the answer comes later. reference names it at the gateway (a refund id)."""

    reference: str | None = None
    transaction_id: str | None = None


class Unknown(Value, frozen=True):
    """We do not know whether it happened. replayed: the gateway keeps repeating this, only a look-up can tell.

    forbidden: we may not ask. The key that we have lacks a permission for such look-ups.
    """

    detail: str
    replayed: bool = False
    forbidden: bool = False


class NotExecuted(Value, frozen=True):
    """It did not happen and no key remembers it (429, nobody listening): send the same again, after retry_after_s.

    everybody: the gateway turns everybody away, so it says nothing about this operation and is no try of it.
    forbidden: we may not make such calls. The key that we have lacks a permission.
    """

    detail: str
    retry_after_s: float | None = None
    everybody: bool = False
    forbidden: bool = False


class NotFound(Value, frozen=True):
    """A look-up found no trace of the operation."""


class Missing(Value, frozen=True):
    """One SKU that could not be reserved. Quantities are whole units; available is None when the SKU is unknown."""

    sku: str
    requested: int
    available: int | None


class Reserved(Value, frozen=True):
    """Every line is held until expires_at."""

    expires_at: datetime


class Short(Value, frozen=True):
    """Nothing is held, because these items are missing."""

    missing: tuple[Missing, ...]


Outcome = Approved | Declined | AlreadyCaptured | Lapsed | Pending | Unknown | NotExecuted | NotFound | Reserved | Short
GatewayOutcome = Approved | Declined | AlreadyCaptured | Lapsed | Pending | Unknown | NotExecuted | NotFound
