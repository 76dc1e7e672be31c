"""The benchmark: this module, what a team would use instead, and the limit of the design, side by side in one run.

What belongs here: what measures. What never will: anything that the product needs to run.
"""
