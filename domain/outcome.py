"""What came of an operation. Ports return these values; they never raise for a decline or a shortage.

`Approved`, `OtherAmount`, `Declined`, `AlreadyCaptured`, `ReturnedElsewhere`, `Lapsed`, `Reserved`, `Short`,
`AlreadySold` are definite. `Pending`: accepted, the answer comes later.
`CustomerMustAct`: only the customer can bring it on. `Undecided`: the gateway has it, and nobody has decided.
`Unknown`: we do not know whether it was executed. `NotExecuted`: it was not, and the same key may be sent again.
`NotFound`: a look-up found no such operation; that alone does not prove that it was not executed.
`TransactionMissing`: the gateway does not have the transaction that the call is about.
"""

from datetime import datetime

from domain.failure_codes import FailureCode
from domain.values import Value


class Approved(Value, frozen=True):
    """It was executed. amount_minor: the amount that was moved, in ISO minor units.

    After an authorize: transaction_id; captured: the method captured at once; expires_at: of the authorization.
    After a refund: reference is the refund id. livemode: False for test money.
    """

    transaction_id: str | None = None
    reference: str | None = None
    amount_minor: int = 0
    captured: bool = False
    expires_at: datetime | None = None
    livemode: bool = False


class OtherAmount(Value, frozen=True):
    """It was executed, but with another amount than we asked for. amount_minor: None if it is another currency, too.

    After an authorize, captured: the method captured at once. After a capture: somebody captured a part.
    """

    transaction_id: str
    amount_minor: int | None
    captured: bool = False


class Declined(Value, frozen=True):
    """The issuer or the gateway refused this operation for good. gateway_code: for operators only.

    transaction_id: set if the gateway made a transaction nevertheless, as for a declined card. left_open: that
    transaction could still be confirmed, so it must be cancelled.
    """

    code: FailureCode
    gateway_code: str | None = None
    transaction_id: str | None = None
    left_open: bool = False


class AlreadyCaptured(Value, frozen=True):
    """A void was refused because the money is captured already: amount_minor.

    returned: somebody else has given some of it back since, so it pays no order.
    """

    transaction_id: str
    amount_minor: int
    returned: bool = False


class ReturnedElsewhere(Value, frozen=True):
    """Somebody else gave money back, in the gateway's dashboard for example.

    After a refund: that is why it was refused. After a capture, or an authorize that captured at once: all of the money
    was taken, and some of it went back before we saw it. total_minor: all that the gateway has given back of this
    transaction by now. reference: the newest refund's id. transaction_id: after an authorize.
    """

    total_minor: int
    reference: str
    transaction_id: str | None = None


class Lapsed(Value, frozen=True):
    """The authorization expired or was cancelled at the gateway: nothing is held, nothing can be captured.

    transaction_id: after an authorize, the transaction that is over.
    """

    transaction_id: str | None = None


class Pending(Value, frozen=True):
    """Accepted; the answer comes later. reference: its id at the gateway (a refund id).

    detail: why it is not decided yet, for operators.
    """

    reference: str | None = None
    transaction_id: str | None = None
    detail: str | None = None


class Undecided(Value, frozen=True):
    """The gateway has the transaction, without a decision: the issuer is slow, or nobody asks it any more.

    status: the gateway's, for operators. asks_customer: the customer may still confirm it, so it must be cancelled.
    """

    transaction_id: str
    status: str
    asks_customer: bool = False


class CustomerMustAct(Value, frozen=True):
    """The customer must confirm the payment with their bank. It is neither approved nor declined until then.

    url: where to send the customer; None if the gateway's address would carry a secret, or there is none.
    """

    transaction_id: str
    url: str | None = None


class TransactionMissing(Value, frozen=True):
    """The gateway has other transactions of ours, but not the one that the call is about."""


class Unknown(Value, frozen=True):
    """We do not know whether it was executed. replayed: the gateway repeats this answer; only a look-up can help.

    forbidden: our key lacks the permission for such look-ups. retry_after_s: the gateway asks us to wait so long before
    we ask again.
    """

    detail: str
    replayed: bool = False
    forbidden: bool = False
    retry_after_s: float | None = None


class NotExecuted(Value, frozen=True):
    """It was not executed, and the key is still unused (429, nobody listening). Send it again after retry_after_s.

    everybody: the gateway refuses every call; this does not count as a try of the operation.
    forbidden: our key lacks the permission for such calls.
    not_asked: this process cannot make the request, a newer one can. It is no try, and says nothing of the gateway.
    """

    detail: str
    retry_after_s: float | None = None
    everybody: bool = False
    forbidden: bool = False
    not_asked: bool = False


class NotFound(Value, frozen=True):
    """A look-up found no trace of the operation."""


class Missing(Value, frozen=True):
    """One SKU that could not be reserved. Quantities are whole units. available: None if the SKU is unknown."""

    sku: str
    requested: int
    available: int | None


class Reserved(Value, frozen=True):
    """Every line is held until expires_at."""

    expires_at: datetime


class Short(Value, frozen=True):
    """Nothing is held, because these items are missing."""

    missing: tuple[Missing, ...]


class AlreadySold(Value, frozen=True):
    """A release found the goods sold: they come back by a restock only."""


GatewayOutcome = (
    Approved
    | OtherAmount
    | Declined
    | AlreadyCaptured
    | ReturnedElsewhere
    | Lapsed
    | Pending
    | Undecided
    | CustomerMustAct
    | TransactionMissing
    | Unknown
    | NotExecuted
    | NotFound
)
Outcome = GatewayOutcome | Reserved | Short | AlreadySold
