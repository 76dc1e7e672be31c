"""Signatures of Standard Webhooks, version 1.

The specification's own Python library is not used: it brings httpx and three packages more for what is one HMAC, and it
takes one secret where a change of secrets needs two.
Source: the Standard Webhooks specification (github.com/standard-webhooks/standard-webhooks).
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = range(24, 65)
"""Length of a secret, as the specification says."""


def signature(secret: bytes, key: str, at: int, body: bytes) -> str:
    """Return a signature of version 1 over id, time-stamp (Unix seconds) and body."""
    digest = hmac.new(secret, f"{key}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def read_secret(text: str) -> bytes:
    """Read `whsec_` and base64. Raises ValueError if it is no secret of 24 to 64 bytes."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith(PREFIX) or len(secret) not in SECRET_BYTES:
        raise ValueError(f"must be {PREFIX} and the base64 of 24 to 64 random bytes")
    return secret
