"""What every answer of Stripe's carries in its headers, and what every request must."""

import base64
import binascii
import re
import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.errors import invalid, unauthorized

API_VERSION: Final = "2026-10-28.endive"
"""The version of a caller that names none: that of the newest SDK."""
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z_]+)?(; ?[a-z0-9_]+=v\d+)*")
_KEYS = ("sk_test_", "rk_test_")


def begin(request: Request) -> None:
    """Give the request its id. No two requests have the same, over restarts too.

    The letter in its middle keeps it from looking like a card number: of some thousand random ids one would.
    """
    request.state.request_id = f"req_{secrets.token_hex(4)}p{secrets.token_hex(4)}"


def authenticate(request: Request) -> None:
    """Refuse a caller without a test key: as a Bearer token, or as the user of HTTP Basic with an empty password."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    key = given.strip()
    if scheme.lower() == "basic":
        key = _user_of(key)
    elif scheme.lower() != "bearer":
        key = ""
    if not key:
        raise unauthorized("You did not provide an API key: send it as a Bearer token, or as the user of HTTP Basic.")
    if not key.startswith(_KEYS):
        raise unauthorized("Invalid API key: the sandbox takes keys that begin with sk_test_.")


def check_version(request: Request) -> None:
    """Refuse a version that Stripe never had."""
    version = request.headers.get("stripe-version", API_VERSION)
    if not _VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version[:50]}")


def sign(request: Request, answer: Response) -> Response:
    """Add the request's id and the API version to an answer of the API; a proxy's answer has neither."""
    if answer.media_type == "application/json":
        answer.headers["Request-Id"] = request.state.request_id
        version = request.headers.get("stripe-version", API_VERSION)
        if _VERSION.fullmatch(version):
            answer.headers["Stripe-Version"] = version
    return answer


def _user_of(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
