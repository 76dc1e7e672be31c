"""Loopback ports that a data directory keeps for good."""

import json
import secrets
import socket
from pathlib import Path

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import locked, read_json, write_whole

HOST = "127.0.0.1"
# Below what Linux (32768) and macOS (49152) hand to outgoing connections: a client that keeps trying a stopped server
# on such a port can be given that very port for itself, connects to itself, and the server can never come back.
FIRST_PORT, PORTS = 20_000, 10_000
TRIES_MAX = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """Draw a port on which nobody listens and that is not taken. Raises EmbeddedError if none is found."""
    for _ in range(TRIES_MAX):
        port = FIRST_PORT + secrets.randbelow(PORTS)
        if port not in taken and is_free(port):
            return port
    raise EmbeddedError(f"no free port found between {FIRST_PORT} and {FIRST_PORT + PORTS}: stop some servers there")


def kept_port(data_dir: Path, name: str) -> int:
    """Return the port of this name, drawn once and then kept in data_dir/ports.json. Makes the directory.

    Raises EmbeddedError if the directory cannot be written.
    """
    path = data_dir / "ports.json"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with locked(data_dir / "ports.lock"):
            ports = read_json(path)
            if not isinstance(ports.get(name), int):
                ports[name] = free_port(frozenset(port for port in ports.values() if isinstance(port, int)))
                write_whole(path, json.dumps(ports, indent=1) + "\n")
            return int(ports[name])
    except OSError as error:
        raise EmbeddedError(f"{data_dir} cannot be used ({error.strerror}): name another directory") from error


def require_free(port: int, name: str, data_dir: Path) -> None:
    """Raise EmbeddedError if somebody else listens where this server must."""
    if not is_free(port):
        raise EmbeddedError(
            f"port {port} of {name} is in use by another program: stop that, "
            f"or delete {data_dir / 'ports.json'} to have new ports drawn",
        )
