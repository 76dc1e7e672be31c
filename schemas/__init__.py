"""The contracts: Avro schemas, the events as frozen models, money, topics, and the codec between bytes and events.

This package decides what a message says and whether it is valid. It never decides what to do about it.
"""
