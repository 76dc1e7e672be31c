"""The choreography: one file a topic. Each declares what this module does with the events of that topic.

`runtime/` runs these reactions, `adapters/` is the outside world. Never in a consumer file: sessions, offsets, retries,
loggers, try/except.
"""
