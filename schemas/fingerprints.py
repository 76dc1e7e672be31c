"""Fingerprints of schemas: CRC-64-AVRO, as Avro's specification defines it ("Schema Fingerprints")."""

from typing import Final

FINGERPRINT_BYTES: Final = 8
_EMPTY: Final = 0xC15D213AA4D7A795


def _table() -> tuple[int, ...]:
    """Return what each byte adds, so that a schema takes a step a byte and not one a bit."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_EMPTY if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE: Final = _table()


def crc_64_avro(form: str) -> bytes:
    """Return the fingerprint of a canonical form as a single object carries it: 8 bytes, little-endian."""
    crc = _EMPTY
    for byte in form.encode():
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(FINGERPRINT_BYTES, "little")
