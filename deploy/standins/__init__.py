"""What the stand-in servers share: how they listen and stop, and faults of their connections.

What belongs here: HTTP, and how it breaks. What never will: what a gateway or an inventory answers.
"""
