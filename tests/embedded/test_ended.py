"""When a server has ended: only when none of its threads can hold a port any more."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from deploy.embedded.guard import has_ended
from deploy.embedded.ports import is_free, kept_port
from tests.eventually import eventually

FIRST_THREAD_ENDS = textwrap.dedent("""
    import ctypes, socket, sys, threading
    listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    threading.Thread(target=threading.Event().wait, args=(600,)).start()
    ctypes.CDLL(None).pthread_exit(None)
""")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a zombie has no threads to count")
def test_a_zombie_whose_threads_still_hold_its_port_has_not_ended(tmp_path: Path) -> None:
    """A killed program of many threads is like that for a moment, and for longer on a busy machine."""
    port = kept_port(tmp_path, "server")
    argv = [sys.executable, "-c", FIRST_THREAD_ENDS, str(port)]
    with subprocess.Popen(argv) as child:
        left = psutil.Process(child.pid)
        try:
            eventually(lambda: left.status() == psutil.STATUS_ZOMBIE, "its first thread has ended")
            assert not has_ended(left)
            assert not is_free(port)
        finally:
            child.send_signal(signal.SIGKILL)
        eventually(lambda: has_ended(left), "its last thread has ended")
        assert is_free(port)


def test_a_process_that_is_gone_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        assert not has_ended(process)
    assert has_ended(process)
