"""The texts that go with a payment, made from templates of the settings, within the gateway's limits.

A template is literal text and at most one `{order_id}`. Other placeholders would be of no use, or personal. It is
checked at start, so that no order fails for its text later.
Sources: docs.stripe.com/get-started/account/statement-descriptors; Stripe's OpenAPI specification of 2026-08-26, which
bounds the suffix by 22 characters and the description by 1,000.
"""

from typing import Final
from urllib.parse import quote

from domain.ids import OrderId
from domain.operation import Frozen, OperationKind
from domain.order import Attempt, Order
from domain.rules import Rules

PLACEHOLDER: Final = "{order_id}"
ORDER_ID_LENGTH_MAX: Final = 64
SUFFIX_LENGTH_MAX: Final = 22
DESCRIPTION_LENGTH_MAX: Final = 1_000
CARD: Final = "CARD"
"""Of Attempt.method_kind. A suffix is for card charges only; a wallet may be no card."""
_REFUSED_IN_SUFFIX: Final = "<>\\'\"*"
_REPLACED: Final = str.maketrans(dict.fromkeys(_REFUSED_IN_SUFFIX, "-"))
_NOTHING: Final = Frozen()


def freeze(kind: OperationKind, order: Order, attempt: Attempt, rules: Rules) -> Frozen | None:
    """Return the values of the settings that enter the request of a new operation; None if there are none."""
    if kind is not OperationKind.AUTHORIZE:
        return None
    suffix = rules.statement_suffix if attempt.method_kind == CARD else None
    frozen = Frozen(
        statement_suffix=None if suffix is None else suffix_of(suffix, order.order_id),
        description=None if rules.description is None else description_of(rules.description, order.order_id),
        return_url=None if rules.return_url is None else return_url_of(rules.return_url, order.order_id),
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
    """Return where the gateway sends a customer back to who has confirmed a payment, or has not."""
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
