"""Where an order's time goes: from when it is due until its outcome is seen, step by step.

What belongs here: a recorder of this module's own spans (deploy/tracing), which writes them to a file, and their
arithmetic. What never will: a measuring point in the product that only the bench reads.
"""
