"""The rules of payment, pure: orders, attempts, operations, holds, the tables of decisions, and the ports.

Never here: a clock, randomness, I/O. Time and ids are arguments.
"""
