"""Faults dealt to the real thing while orders flow, and an oracle that compares what went in with what came of it.

What belongs here: the world (real processes, Kafka, PostgreSQL, the sandbox), the stand-ins for checkout and
storefront, the faults, the oracle. What never will: code of the audit, or a rule of payment.
"""
