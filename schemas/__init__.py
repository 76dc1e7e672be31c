"""The contracts: Avro schemas, the events as frozen models, money, topics, and the codec between bytes and events.

What a message says and whether it may be believed is decided here; what is done about it never is.
"""
