"""The runtime of the reactions: batches, operations, outcomes, the sweep. It knows no rule of payment.

Time and pauses come from the running event loop, and randomness is not used. Broker, store and gateway enter as
protocols of the domain. So tests can run it on an event loop with virtual time.
"""
