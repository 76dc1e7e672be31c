"""Refusals, as the contract's schema Problem describes them (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

CONTENT_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:payments:inventory:"


class Problem(Exception):  # noqa: N818 - the RFC's name
    """A refusal. word: the last part of its type. retry_after_s: when to send the same again."""

    def __init__(
        self, status: int, word: str, title: str, detail: str, *, retry_after_s: int | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.word = word
        self.retry_after_s = retry_after_s
        self.body: dict[str, Any] = {
            "type": f"{_TYPE}{word}",
            "title": title,
            "status": status,
            "detail": detail,
            **more,
        }

    @property
    def remembered(self) -> bool:
        """Whether the key gets this answer again: a refusal by what is there, not by how or when it was asked."""
        return self.status == 409 and self.word != "key_running"


def short(missing: Sequence[tuple[str, int, int | None]], lines: int) -> Problem:
    """Refuse to hold more than is free. missing: SKU, asked for, free (None: unknown here)."""
    listed = [{"sku": sku, "requested": asked, "available": free} for sku, asked, free in missing]
    detail = f"{len(missing)} of {lines} SKUs are short. Nothing is held."
    return Problem(409, "short", "Not enough goods", detail, missing=listed)


def exceeds_sold(exceeding: Sequence[tuple[str, int, int]], lines: int) -> Problem:
    """Refuse to restock more than was sold. exceeding: SKU, asked for, left."""
    listed = [{"sku": sku, "requested": asked, "left": left} for sku, asked, left in exceeding]
    detail = f"{len(exceeding)} of {lines} SKUs would come back more often than it was sold. Nothing is restocked."
    return Problem(409, "exceeds_sold", "More than was sold", detail, exceeding=listed)


def lapsed() -> Problem:
    """Refuse because the time of the hold is over."""
    detail = "The hold has lapsed: its goods are free. Reserve under another id."
    return Problem(409, "lapsed", "The time is over", detail)


def released() -> Problem:
    """Refuse because the hold is released."""
    detail = "The hold is released: its goods are free. Reserve under another id."
    return Problem(409, "released", "The hold is released", detail)


def confirmed() -> Problem:
    """Refuse because the goods are sold."""
    return Problem(409, "confirmed", "The hold is confirmed", "The goods are sold. Restock them if they come back.")


def not_confirmed() -> Problem:
    """Refuse because nothing was sold."""
    detail = "Nothing was sold under this hold. Release it if its goods shall be free."
    return Problem(409, "not_confirmed", "The hold is not confirmed", detail)


def other_hold() -> Problem:
    """Refuse because the id is that of another hold."""
    detail = "Another order or other lines are held under this id. Use another id."
    return Problem(409, "other_content", "Another hold has this id", detail)


def other_restock() -> Problem:
    """Refuse because the id is that of another restock."""
    detail = "Another restock was made under this id. Use another id."
    return Problem(409, "other_content", "Another restock has this id", detail)


def unknown_hold() -> Problem:
    """Refuse because there is no such hold."""
    return Problem(404, "unknown_hold", "No such hold", "No hold has this id. Reserve first.")


def unknown_restock() -> Problem:
    """Refuse because there is no such restock."""
    return Problem(404, "unknown_restock", "No such restock", "No restock has this id.")


def unknown_url() -> Problem:
    """Refuse because nothing is there."""
    return Problem(404, "unknown_url", "Nothing is here", "No call has this address. Look into the contract.")


def wrong_method(methods: Sequence[str]) -> Problem:
    """Refuse because this address takes other methods."""
    return Problem(405, "wrong_method", "Another method", f"Use {' or '.join(methods)} here.")


def invalid(errors: Mapping[str, str]) -> Problem:
    """Refuse because something is not as described. errors: what, by JSON Pointer."""
    listed = [{"pointer": pointer, "detail": detail} for pointer, detail in errors.items()]
    detail = "Send the body as the contract describes it. Nothing was done."
    return Problem(422, "invalid", "The body is not as described", detail, errors=listed)


def key_reused() -> Problem:
    """Refuse a key that came with another call before."""
    detail = "This key came with another call or body before. Use a key once."
    return Problem(422, "key_reused", "The key belongs to another call", detail)


def key_running() -> Problem:
    """Refuse a key whose first call still runs."""
    detail = "The first call with this key still runs. Send the same again later."
    return Problem(409, "key_running", "The first call with this key still runs", detail, retry_after_s=1)


def key_missing() -> Problem:
    """Refuse a call without a key, or with a wrong one."""
    detail = "Send one header Idempotency-Key with 1 to 255 printable ASCII characters."
    return Problem(400, "key_missing", "A key is missing", detail)


def malformed(detail: str, status: int = 400) -> Problem:
    """Refuse what cannot be read."""
    return Problem(status, "malformed", "This cannot be read", detail)


def too_large(bytes_max: int) -> Problem:
    """Refuse a body that is too large."""
    return Problem(413, "too_large", "The body is too large", f"Send at most {bytes_max} bytes at once.")


def unauthorized() -> Problem:
    """Refuse a caller without the token."""
    detail = "Send the token in the header Authorization, as Bearer."
    return Problem(401, "unauthorized", "The token is missing or wrong", detail)


def too_many() -> Problem:
    """Refuse for now; nothing was done."""
    detail = "Too many calls at once. Send the same again later."
    return Problem(429, "too_many", "Too many calls", detail, retry_after_s=1)


def unavailable() -> Problem:
    """Refuse for now; nothing was done."""
    detail = "The inventory is closed for a moment. Send the same again later."
    return Problem(503, "unavailable", "Not available", detail, retry_after_s=1)


def broken() -> Problem:
    """Answer as one whose own program failed: it may have been done."""
    return Problem(500, "broken", "Something went wrong here", "Read the hold or the restock, or send the same again.")
