"""The gateway sandbox: a strict, Stripe-shaped HTTP server for play money, with faults on demand and a ledger.

It stands in for Stripe in the demo and in tests. It never talks to anybody, and it listens on loopback only.
"""
