"""Inventories: our own in PostgreSQL, and another system's over HTTP.

Nothing is loaded from here: a process with the internal inventory needs no HTTP client.
"""
