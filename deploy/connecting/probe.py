"""Small probes of an address: does it speak TLS, does it speak plain Kafka. They tell nothing about us."""

import asyncio
import ssl
import struct
from typing import Final

PROBE_S: Final = 3.0
_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""ApiVersions, version 0, without a client id: every broker answers it, before any login."""
_HEAD: Final = struct.Struct(">iih")


async def speaks_tls(host: str, port: int) -> bool:
    """Whether a server there answers TLS, whatever its certificate. Nothing is sent over it."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def speaks_plain(host: str, port: int) -> bool:
    """Whether a broker there answers without TLS."""
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_API_VERSIONS)
                head = await reader.readexactly(_HEAD.size)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return _HEAD.unpack(head)[1:] == (1, 0)
