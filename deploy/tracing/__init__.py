"""Traces for an OpenTelemetry collector: one trace an order, over all its messages and calls.

What belongs here: which spans are told, with which attributes, and how they leave the process. What never will: how a
context is kept and passed on (domain.tracing and the outbox), or anything that the pipeline waits for. Only exporting
and recording import OpenTelemetry, and nobody imports those two while traces are off.
"""
