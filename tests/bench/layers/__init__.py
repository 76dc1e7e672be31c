"""What it costs to run as production does: more brokers, a standby, TLS, metrics; each alone, then all together.

What belongs here: servers of these layers, the proof that a layer was there, and their comparison. What never will: a
layer that only the bench has.
"""
