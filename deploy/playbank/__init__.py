"""The play bank: the life of a PaymentIntent, once, for everything that stands in for the gateway.

`in_process.py` is the `Gateway` over it, for benchmarks and simulation; `deploy/sandbox` speaks HTTP over it, for the
demo and tests. What never belongs here: real money, a socket of its own, a file. tests/domain/world.py
implements the same life a second time. It is the oracle of the tests, so it shares no code with this.
"""
