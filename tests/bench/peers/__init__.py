"""What a team would use in place of this module, and the limit of its design: each a program of its own.

They run in an environment of their own (tests/bench/requirements.lock) and are told everything through the environment
(`common`). `python -m tests.bench.peers.NAME setup` makes a peer's tables; every other argument names what to run.
"""
