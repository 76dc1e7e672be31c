"""The machine that runs reactions: batches, operations, outcomes, the sweep. It knows no rule of payment.

Time and pauses come from the running event loop, randomness is not used, broker, store and edge enter as the domain's
protocols: the same machine runs on a loop of virtual time.
"""
