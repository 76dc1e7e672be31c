"""Rewrites a body so that each array and map is one block. Avro allows several blocks, each with or without a size.

Some writers (hamba/avro for Go) always write the size. All other bytes are copied. So two bodies that differ in their
blocks only are equal after this, and no others are.
"""

from typing import Any, Final

from schemas.writing import write_long

VARINT_BYTES_MAX: Final = 10
"""A long of 64 bits takes ten groups of seven."""

_SIZES: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class Malformed(Exception):  # noqa: N818 - a verdict, like Rejected
    """The body is no encoding of this schema."""


def with_single_blocks(schema: dict[str, Any], body: bytes) -> bytes:
    """Write each array and map of the body as one block without a byte size. Bytes after the value are kept.

    schema: a parsed schema that is not recursive. Raises Malformed if the body ends early or a block's size is wrong.
    """
    walk = _Walk(body, schema.get("__named_schemas", {}))
    walk.value(schema)
    return bytes(walk.out) + body[walk.at :]


class _Walk:
    """Reads `body` from the position `at` and appends the canonical form to `out`."""

    def __init__(self, body: bytes, named: dict[str, Any]) -> None:
        self.body = body
        self.named = named
        self.at = 0
        self.out = bytearray()

    def value(self, schema: Any) -> None:
        """Copy one value of the schema."""
        if isinstance(schema, list):
            branch = self._copy_long()
            if not 0 <= branch < len(schema):
                raise Malformed("A union's branch does not exist.")
            self.value(schema[branch])
            return
        kind = schema["type"] if isinstance(schema, dict) else schema
        if not isinstance(kind, str):
            self.value(kind)
        elif kind in self.named:
            self.value(self.named[kind])
        elif kind in _SIZES:
            self._copy(_SIZES[kind])
        else:
            self._copy_sized(kind, schema)

    def _copy_sized(self, kind: str, schema: Any) -> None:
        match kind:
            case "int" | "long" | "enum":
                self._copy_long()
            case "string" | "bytes":
                self._copy(self._copy_long())
            case "fixed":
                self._copy(schema["size"])
            case "array":
                self._join_blocks(schema["items"], keyed=False)
            case "map":
                self._join_blocks(schema["values"], keyed=True)
            case "record":
                for field in schema["fields"]:
                    self.value(field["type"])
            case _:
                raise Malformed("The schema names a type that it does not define.")

    def _join_blocks(self, items: Any, *, keyed: bool) -> None:
        """Join the blocks of an array or map."""
        before, self.out = self.out, bytearray()
        total = 0
        while count := self._read_long():
            size, count = (self._read_long(), -count) if count < 0 else (None, count)
            start = self.at
            for _ in range(count):
                if keyed:
                    self._copy(self._copy_long())
                self.value(items)
            if size is not None and self.at - start != size:
                raise Malformed("A block has another size than it states.")
            total += count
        if total:
            before += write_long(total) + self.out
        before.append(0)
        self.out = before

    def _copy(self, length: int) -> None:
        end = self.at + length
        if length < 0 or end > len(self.body):
            raise Malformed("The body ends early.")
        self.out += self.body[self.at : end]
        self.at = end

    def _copy_long(self) -> int:
        start = self.at
        number = self._read_long()
        self.out += self.body[start : self.at]
        return number

    def _read_long(self) -> int:
        """Read a zigzag varint."""
        number = 0
        for place in range(VARINT_BYTES_MAX):
            if self.at >= len(self.body):
                raise Malformed("The body ends early.")
            byte = self.body[self.at]
            self.at += 1
            number |= (byte & 0x7F) << (7 * place)
            if byte == 0 and place:
                raise Malformed("A number is longer than necessary.")
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise Malformed("A number takes more bytes than a long can.")
