"""The OS user that PostgreSQL runs as when we are root: it refuses to run as root."""

import os
import pwd
import subprocess
import time
from pathlib import Path

from deploy.embedded.errors import EmbeddedError

USER = "embedded_postgres"
TRIES_MAX = 50
PAUSE_S = 0.1
ANYBODY_MAY_TRAVERSE = 0o001


def os_user() -> str | None:
    """Return the OS user to run as, added if it is missing; None unless we are root. Raises EmbeddedError."""
    if os.geteuid() != 0:
        return None
    problem = ""
    for _ in range(TRIES_MAX):
        try:
            pwd.getpwnam(USER)
        except KeyError:
            # Another process may add it at this moment: then this fails, and the next look-up succeeds.
            problem = _add()
            time.sleep(PAUSE_S if problem else 0)
        else:
            return USER
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and the OS user {USER} cannot be added ({problem}): "
        f"run as another user, or add it with `useradd --system {USER}`",
    )


def let_traverse(path: Path) -> None:
    """Let other users pass through (not list) the folders above path, so that the server can reach it."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & ANYBODY_MAY_TRAVERSE:
            folder.chmod(mode | ANYBODY_MAY_TRAVERSE)


def _add() -> str:
    argv = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""
