"""The choreography: one file a trigger topic, each declaring the reaction that this module has to it.

`runtime/` is the machine that runs them, `adapters/` the outside world. Never in a consumer file: sessions,
offsets, retries, loggers, try/except.
"""
