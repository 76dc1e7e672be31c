"""The rules of payment, pure: orders, attempts, operations, holds, the transition tables, and the ports.

No clock, no randomness, no I/O ever belongs here: time and ids come in as arguments.
"""
