"""The endpoint for the gateway's webhooks, an HTTP server.

What belongs here: who may send, how much, how fast, and the answer's status. What never will: what a webhook means
(domain/notices.py), or a statement of SQL.
"""
