"""The inventory sandbox: a strict HTTP server behind the contract in `deploy/contracts`, with faults on demand.

What belongs here: the other side of that contract. What never will: anything that the pipeline needs in production.
"""
