#!/usr/bin/env bash
# 2026-12-01. psutil 7.2.2 on Linux: a process whose status is `zombie` may still run, and hold its port.
#
# Expected: a zombie has ended. Only its exit code is left, and all that it had open is closed.
# Seen: when the first thread of a program has ended and another runs, `status()` is `zombie`, `num_threads()` is 2, and
# a connection to the port on which the program listens is accepted. A killed program of many threads is like that
# for a moment: whoever takes `zombie` for its end and starts it again finds the port in use.
# After the last thread has ended, `status()` is `zombie` still, `num_threads()` is 1, and nobody listens.
# Fails when a zombie with a thread left is told as something else, or does not listen any more.
# Needs Linux and python3.11 or newer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check psutil==7.2.2
"$work/venv/bin/python" - <<'PY'
import socket
import subprocess
import sys
import time

import psutil

PROGRAM = """
import ctypes, socket, threading
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
threading.Thread(target=threading.Event().wait, args=(60,)).start()
ctypes.CDLL(None).pthread_exit(None)  # the first thread ends, and the program goes on
"""


def until(holds, what):
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as child:
    try:
        port = int(child.stdout.readline())
        process = psutil.Process(child.pid)
        until(lambda: process.status() == psutil.STATUS_ZOMBIE, "its first thread ends")
        running = process.status(), process.num_threads(), listens(port)
        child.kill()
        until(lambda: process.num_threads() == 1, "its last thread ends")
        ended = process.status(), process.num_threads(), listens(port)
    finally:
        child.kill()
print(f"psutil {psutil.__version__}: status, threads, listens")
print(f"  its first thread has ended: {running}")
print(f"  all its threads have ended: {ended}")
assert running == ("zombie", 2, True)
assert ended == ("zombie", 1, False)
PY
