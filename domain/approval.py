"""Four eyes: a request that gives back much money waits for a second person. The one place that decides about it.

It is asked where a request is taken, not where it is made: whoever finds another way to make one meets it all the same.
"""

from collections.abc import Iterable
from datetime import datetime

from domain.order import Order
from domain.requests import Request, RequestKind, RequestState
from domain.rules import Rules, span
from domain.values import Value


class Person(Value, frozen=True):
    """Who runs a command: the OS user, and the role in the database. Neither can be chosen by an option.

    goes_by: a name that the person adds, to be read by people; nothing is decided by it.
    """

    os_user: str
    role: str
    goes_by: str | None = None

    @property
    def identity(self) -> str:
        """Return what is kept of the person, and what two persons differ in."""
        return f"{self.os_user}/{self.role}"

    def is_requester(self, request: Request) -> bool:
        """Whether this person made the request. One that came by a topic names its requester in its own words."""
        if request.operator is not None:
            return request.operator == self.identity
        said = request.requested_by.casefold()
        return said in {name.casefold() for name in (self.os_user, self.role, self.identity)}


def needs_approval(order: Order, request: Request, amount_minor: int, rules: Rules) -> bool:
    """Whether a second person must approve that the request is taken for this amount.

    The limit holds for all that was asked back of the order, so that it cannot be passed in small steps.
    """
    limit = limit_of(rules, order.currency)
    if limit is None or amount_minor == 0 or request.approved_by is not None or request.taken_at is not None:
        return False
    return asked_minor(r for r in order.requests if not _same(r, request)) + amount_minor > limit


def limit_of(rules: Rules, currency: str) -> int | None:
    """Return up to which amount one person is enough, in minor units; None: there is no limit."""
    return rules.four_eyes_minor.get(currency) if rules.four_eyes_minor else None


def asked_minor(requests: Iterable[Request]) -> int:
    """Return what requests were taken for, in minor units; of one that was refused afterwards, what went back."""
    return sum(r.returned_minor if r.state is RequestState.REFUSED else r.taken_minor or 0 for r in requests)


def is_unapproved(request: Request, at: datetime, rules: Rules) -> bool:
    """Whether a request has waited in vain for a second person."""
    return request.state is RequestState.APPROVAL and at - request.noted_at > span(rules.approval_max_s)


def waiting_for_approval(order: Order, request_id: str, kind: RequestKind | None = None) -> Request | None:
    """Return the request of this id that waits for a second person; the oldest, if a cancel and a refund share it."""
    for request in order.requests:
        if request.request_id == request_id and request.state is RequestState.APPROVAL and kind in {None, request.kind}:
            return request
    return None


def may_rule(order: Order, request: Request | None, person: Person | None, rules: Rules) -> bool:
    """Whether this person may rule on a review about a request: above the limit only one who did not make it."""
    if request is None or person is None:
        return True
    limit = limit_of(rules, order.currency)
    above = limit is not None and asked_minor(order.requests) > limit
    return not (above and person.is_requester(request))


def _same(one: Request, other: Request) -> bool:
    return one.request_id == other.request_id and one.kind is other.kind
