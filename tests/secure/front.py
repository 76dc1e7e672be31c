"""A front of a schema registry: TLS and a login before a server that has neither. Both may be changed while it runs."""

import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.secure.certificates import Issued

HOST = "127.0.0.1"
ANSWER_S = 30.0


class Front:
    """login: `user:password`, or None: nobody is asked. context: its certificate, for connections from now on."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.login: str | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.asked = 0
        self.port = 0

    def url(self, scheme: str = "https", host: str = HOST) -> str:
        return f"{scheme}://{host}:{self.port}"

    def show(self, certificate: Issued, folder: Path) -> None:
        """Show this certificate from now on."""
        self.context.load_cert_chain(*certificate.write(folder, "front"))

    def lets_in(self, header: str | None) -> bool:
        self.asked += 1
        return self.login is None or header == f"Basic {base64.b64encode(self.login.encode()).decode()}"


@contextmanager
def front_of(behind: str, certificate: Issued, folder: Path) -> Iterator[Front]:
    """Run one while inside. behind: the URL of the registry without TLS."""
    front = Front(behind)
    front.show(certificate, folder)

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if front.lets_in(self.headers.get("Authorization")):
                code, kind, answer = ask(front.behind + self.path, self.command, body)
            else:
                code, kind, answer = 401, "application/json", b'{"error_code": 401, "message": "Unauthorized"}'
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            # A connection for each question, so that a changed certificate shows at once.
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: ssl.SSLSocket, client_address: object) -> None:  # type: ignore[override]
            """Shake hands on the connection's own thread: who never does blocks nobody else."""
            try:
                secured = front.context.wrap_socket(request, server_side=True)
            except OSError:
                return
            with secured:
                Handler(secured, client_address, self)

    with Server((HOST, 0), Handler) as server:
        front.port = server.server_port
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield front
        finally:
            server.shutdown()
            thread.join()


def ask(url: str, method: str, body: bytes) -> tuple[int, str, bytes]:
    """Ask the server behind."""
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(url, data=body or None, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), error.read()
