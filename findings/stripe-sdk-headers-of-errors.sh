#!/usr/bin/env bash
# 2026-11-29. stripe (Python SDK) 16.1.0: an error whose body is not JSON has lost its headers, and they stand in json_body.
#
# Expected: StripeError.headers has the answer's headers for every error, so that Retry-After and Request-Id can be read.
# Seen: for a 503 with a JSON body it has. For a 503 with an HTML body, as proxies and load balancers send it, headers is empty,
# request_id is None, and json_body, which is documented as the parsed body, holds the headers: the SDK passes them as the wrong
# positional argument. So `error.headers.get("Retry-After")` is None exactly when a proxy asks for patience.
# Fails when the HTML error has its headers where they belong.
# Needs python3.11 or newer. Listens on loopback only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check stripe==16.1.0 requests==2.34.2
HOME="$work" XDG_CONFIG_HOME="$work" "$work/venv/bin/python" - <<'PY'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import stripe

ANSWERS = {
    "/v1/payment_intents/pi_json": ("application/json", b'{"error": {"type": "api_error", "message": "busy"}}'),
    "/v1/payment_intents/pi_html": ("text/html", b"<html>busy</html>"),
}


class Busy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, body = ANSWERS[self.path]
        self.send_response(503)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "7")
        self.send_header("Request-Id", "req_1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
stripe.enable_telemetry = False
client = stripe.StripeClient(
    "sk_test_1", base_addresses={"api": f"http://127.0.0.1:{server.server_port}"}, max_network_retries=0
)


def ask(name: str) -> stripe.StripeError:
    try:
        client.v1.payment_intents.retrieve(name)
    except stripe.StripeError as error:
        return error
    raise AssertionError("no error")


def after(of: object) -> object:
    return next((value for name, value in dict(of or {}).items() if name.lower() == "retry-after"), None)


json_error, html_error = ask("pi_json"), ask("pi_html")
server.shutdown()
print("stripe", stripe.VERSION)
for name, error in (("JSON body", json_error), ("HTML body", html_error)):
    print(f"{name}: Retry-After in headers: {after(error.headers)}; in json_body: {after(error.json_body)}; "
          f"request_id {error.request_id}")
if after(json_error.headers) != "7":
    sys.exit("the comparison itself has changed: the JSON error has no headers either")
if after(html_error.headers) is not None or after(html_error.json_body) != "7":
    sys.exit("it has changed: the HTML error has its headers where they belong")
PY
