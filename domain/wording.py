"""What a request holds of the settings: texts and a URL, made from templates, within the gateway's limits.

A template is literal text and at most one `{order_id}`. Other placeholders would be of no use, or personal. It is
checked at start, so that no order fails for its text later.
Sources: docs.stripe.com/get-started/account/statement-descriptors; Stripe's OpenAPI specification of 2026-08-26, which
bounds the suffix by 22 characters and the description by 1,000.
"""

import ipaddress
from typing import Final
from urllib.parse import quote, urlsplit

from domain.ids import OrderId
from domain.operation import Frozen, OperationKind
from domain.order import Attempt, Order
from domain.rules import Rules
from schemas.events import PaymentMethod

PLACEHOLDER: Final = "{order_id}"
ORDER_ID_LENGTH_MAX: Final = 64
SUFFIX_LENGTH_MAX: Final = 22
DESCRIPTION_LENGTH_MAX: Final = 1_000
URL_LENGTH_MAX: Final = 2_048
"""Ours: browsers, proxies and logs take URLs of this length everywhere, and the gateway adds its own parameters."""
PERCENT_ENCODED: Final = 3
"""Characters that one character of an order's id becomes in a URL, at the most."""
CARD: Final = "CARD"
"""Of Attempt.method_kind. A suffix is for card charges only; a wallet may be no card."""
_REFUSED_IN_SUFFIX: Final = "<>\\'\"*"
_REPLACED: Final = str.maketrans(dict.fromkeys(_REFUSED_IN_SUFFIX, "-"))
_NOTHING: Final = Frozen()


def freeze(
    kind: OperationKind, order: Order, attempt: Attempt, rules: Rules, method: PaymentMethod | None = None
) -> Frozen | None:
    """Return what enters the request of a new operation besides itself; None if there is nothing.

    method: as the customer chose it, for an authorize. A customer who is away cannot be sent anywhere: no return URL.
    """
    if kind is not OperationKind.AUTHORIZE:
        return None
    is_card = attempt.method_kind == CARD
    off_session = method is not None and method.off_session
    suffix = rules.statement_suffix if is_card else None
    url = None if off_session else rules.return_url
    frozen = Frozen(
        statement_suffix=None if suffix is None else suffix_of(suffix, order.order_id),
        description=None if rules.description is None else description_of(rules.description, order.order_id),
        return_url=None if url is None else return_url_of(url, order.order_id),
        customer_id=None if method is None else method.gateway_customer_id,
        off_session=off_session,
        method_kind=None if is_card else attempt.method_kind,
    )
    return None if frozen == _NOTHING else frozen


def suffix_of(template: str, order_id: OrderId) -> str:
    """Return the suffix of the text on a card's statement.

    An order's id may hold characters that are refused there: each becomes a hyphen. If it is too long, its last
    characters are taken, for ids differ most at their end.
    """
    room = SUFFIX_LENGTH_MAX - len(_literal(template))
    return template.replace(PLACEHOLDER, order_id.translate(_REPLACED)[-room:])


def description_of(template: str, order_id: OrderId) -> str:
    """Return the description of a payment, which people see in the gateway's dashboard."""
    return template.replace(PLACEHOLDER, order_id)


def return_url_of(template: str, order_id: OrderId) -> str:
    """Return the URL to which the customer comes back from their bank. The order's id is percent-encoded."""
    return template.replace(PLACEHOLDER, quote(order_id, safe=""))


def check_suffix(template: str) -> None:
    """Raise ValueError if some order's suffix could be refused."""
    literal = _check(template)
    if not (literal.isascii() and literal.isprintable()):
        raise ValueError("must have printable ASCII characters only")
    if any(each in literal for each in _REFUSED_IN_SUFFIX):
        raise ValueError(f"must have none of {' '.join(_REFUSED_IN_SUFFIX)}: card networks do not show them")
    if not any(each.isalpha() for each in literal):
        raise ValueError(f"must have at least one letter besides {PLACEHOLDER}: an order's id may have none")
    most = SUFFIX_LENGTH_MAX - (PLACEHOLDER in template)
    if len(literal) > most:
        raise ValueError(f"must have at most {most} characters besides {PLACEHOLDER}")


def check_description(template: str) -> None:
    """Raise ValueError if some order's description could be refused."""
    literal = _check(template)
    if not literal.isprintable():
        raise ValueError("must be one line of printable characters")
    most = DESCRIPTION_LENGTH_MAX - (ORDER_ID_LENGTH_MAX if PLACEHOLDER in template else 0)
    if len(literal) > most:
        raise ValueError(f"must have at most {most} characters besides {PLACEHOLDER}")


def check_return_url(template: str) -> None:
    """Raise ValueError if it makes no URL that a customer can safely be sent to."""
    literal = _check(template)
    if not (literal.isascii() and literal.isprintable()) or " " in literal:
        raise ValueError("must have printable ASCII characters only, without blanks: percent-encode all others")
    try:
        url = urlsplit(template)
        port, host = url.port, url.hostname
    except ValueError:
        raise ValueError("is no URL that can be read: correct its host or port") from None
    if url.scheme != "https" and not (url.scheme == "http" and is_this_machine(host or "")):
        raise ValueError("must begin with https:// (http:// only on this machine)")
    if not host or port == 0:
        raise ValueError("must name a host")
    if "@" in url.netloc:
        raise ValueError("must have no user name and no password: customers and logs would see them")
    if PLACEHOLDER in url.netloc:
        raise ValueError(f"must have {PLACEHOLDER} behind the host, in the path or the query")
    if "#" in template:
        raise ValueError("must have no fragment (#): the gateway adds its parameters at the end")
    most = URL_LENGTH_MAX - (PERCENT_ENCODED * ORDER_ID_LENGTH_MAX if PLACEHOLDER in template else 0)
    if len(literal) > most:
        raise ValueError(f"must have at most {most} characters besides {PLACEHOLDER}")


def is_this_machine(host: str) -> bool:
    """Whether a host of a URL is this machine. Names that need a look-up do not count."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(template: str) -> str:
    """Return the literal text. Raises ValueError for other placeholders, and for blanks around the text."""
    literal = _literal(template)
    if template.count(PLACEHOLDER) > 1 or "{" in literal or "}" in literal:
        raise ValueError(f"may have one {PLACEHOLDER} and no other braces")
    if template != template.strip():
        raise ValueError("must not begin or end with a blank")
    return literal


def _literal(template: str) -> str:
    return template.replace(PLACEHOLDER, "")
