"""Texts on a card statement, within Stripe's limits.

Source: docs.stripe.com/get-started/account/statement-descriptors: 22 characters in all, at least one letter, no angle
brackets, backslashes, quotes or stars. A card has the account's prefix, then `* ` and the suffix of the payment.
"""

from typing import Final

from deploy.sandbox import params
from deploy.sandbox.errors import invalid
from deploy.sandbox.params import Form

PREFIX: Final = "PLAYSHOP"
DESCRIPTION_MAX: Final = 1000
_LENGTH_MAX = 22
_FORBIDDEN = frozenset("<>\\'\"*")


def statement_texts(form: Form) -> dict[str, str]:
    """Return the statement texts of a request, by their parameter. A card takes a suffix only."""
    if params.text(form, "statement_descriptor", _LENGTH_MAX) is not None:
        message = "statement_descriptor is not for cards: give statement_descriptor_suffix."
        raise invalid(message, "statement_descriptor")
    name = "statement_descriptor_suffix"
    suffix = params.text(form, name, _LENGTH_MAX)
    if suffix is None:
        return {}
    if _FORBIDDEN & set(suffix) or not suffix.isascii():
        raise invalid("A statement descriptor has Latin letters, digits and no < > \\ ' \" *", name)
    if not any(character.isalpha() for character in suffix):
        raise invalid("A statement descriptor has at least one letter.", name)
    return {name: suffix}


def on_statement(suffix: str | None) -> str:
    """Return what the customer reads on the card statement."""
    return PREFIX if suffix is None else f"{PREFIX}* {suffix}"[:_LENGTH_MAX]
