"""The endpoint for the gateway's webhooks, an HTTP server.

`making.py` makes it from settings, `run.py` is its work in a process, `server.py` bounds connections, `endpoint.py`
answers one request, `keeping.py` has many requests share a transaction, `tally.py` counts and rings.

What belongs here: who may send, how much, how fast, and the answer's status. What never will: what a webhook means
(domain/notices.py), or a statement of SQL.
"""
