"""An issuer of tokens on this machine: client credentials in, signed JWTs out, and its public key for brokers."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET, AUDIENCE = "payments-app", "s3cret:of/tokens", "kafka"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """life_s: of the tokens that it gives from now on. secret: what it accepts. given: how many it gave."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self.life_s = 3600.0
        self.secret = SECRET
        self.given = 0
        self.url = ""

    def token(self, subject: str = CLIENT, audience: str = AUDIENCE) -> str:
        now = time.time()  # noqa: TID251 - the broker compares with its clock
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        body = {"sub": subject, "aud": audience, "iss": self.url, "iat": int(now), "exp": now + self.life_s}
        signed = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(body).encode())}"
        return f"{signed}.{_text(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def keys(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        n, e = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
        return {"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": _text(n), "e": _text(e)}]}

    def answer(self, login: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        wanted = base64.b64encode(f"{CLIENT}:{self.secret}".replace(self.secret, _quoted(self.secret)).encode())
        if login != f"Basic {wanted.decode()}" or form.get("grant_type") != ["client_credentials"]:
            return 401, {"error": "invalid_client"}
        self.given += 1
        return 200, {"access_token": self.token(), "token_type": "Bearer", "expires_in": self.life_s}


def _quoted(text: str) -> str:
    return text.replace(":", "%3A").replace("/", "%2F")


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, issuer.keys())

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._say(*issuer.answer(self.headers.get("Authorization", ""), form))

        def _say(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
