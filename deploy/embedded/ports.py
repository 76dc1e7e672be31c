"""Loopback ports that a data directory keeps.

A server binds its port some time after the port was drawn, and frees it while it restarts. So drawing a port also
claims it: in a directory of this user, a link named by the port leads to the data directory. The claim ends when that
directory is deleted.
"""

import json
import os
import secrets
import socket
import tempfile
from pathlib import Path

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import locked, read_json, write_whole

HOST = "127.0.0.1"
# Below the ports of outgoing connections (Linux: from 32768, macOS: from 49152). A client that keeps trying a stopped
# server on one of those can get that port as its own, connects to itself, and the server can never bind it again.
FIRST_PORT, PORTS = 20_000, 10_000
TRIES_MAX = 200


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """Draw a port that is free, not in taken, and not claimed.

    Raises EmbeddedError if none is found.
    """
    claims = _claims()
    for _ in range(TRIES_MAX):
        port = FIRST_PORT + secrets.randbelow(PORTS)
        if port not in taken and is_free(port) and not (claims and _is_claimed(claims / str(port), port)):
            return port
    raise EmbeddedError(f"no free port found between {FIRST_PORT} and {FIRST_PORT + PORTS}: stop some servers there")


def kept_port(data_dir: Path, name: str) -> int:
    """Return the port of this name: drawn once, then kept in data_dir/ports.json. Makes the directory.

    Raises EmbeddedError if the directory cannot be written.
    """
    path = data_dir / "ports.json"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with locked(data_dir / "ports.lock"):
            ports = read_json(path)
            if not isinstance(ports.get(name), int):
                ports[name] = _draw(data_dir, frozenset(port for port in ports.values() if isinstance(port, int)))
                write_whole(path, json.dumps(ports, indent=1) + "\n")
            return int(ports[name])
    except OSError as error:
        raise EmbeddedError(f"{data_dir} cannot be used ({error.strerror}): name another directory") from error


def _draw(data_dir: Path, taken: frozenset[int]) -> int:
    """Draw a port and claim it. Without a directory of claims it is not claimed."""
    claims = _claims()
    if claims is None:
        return free_port(taken)
    with locked(claims / "lock"):
        port = free_port(taken)
        claim = claims / str(port)
        claim.unlink(missing_ok=True)
        claim.symlink_to(data_dir.resolve())
        return port


def _claims() -> Path | None:
    """Return the directory of claims, and make it if it is missing; None if it belongs to another user."""
    claims = Path(tempfile.gettempdir()) / f".payments-ports-{os.getuid()}"
    try:
        claims.mkdir(mode=0o700, exist_ok=True)
        return claims if claims.lstat().st_uid == os.getuid() and not claims.is_symlink() else None
    except OSError:
        return None


def _is_claimed(claim: Path, port: int) -> bool:
    """Whether a data directory still has this port. While ports.json is being written, the claim alone counts."""
    try:
        owner = claim.readlink()
    except OSError:
        return False
    known = owner / "ports.json"
    return owner.is_dir() and (not known.exists() or port in read_json(known).values())


def require_free(port: int, name: str, data_dir: Path) -> None:
    """Raise EmbeddedError if another program listens on this server's port."""
    if not is_free(port):
        raise EmbeddedError(
            f"port {port} of {name} is in use by another program: stop that, "
            f"or delete {data_dir / 'ports.json'} to have new ports drawn",
        )
