"""Changes of mind on the real thing: cancels at any point of an order's life, refunds on request (`python -m`)."""
