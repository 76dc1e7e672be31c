"""What makes a running product of the packages: settings, the composition root, commands, embedded servers, the sandbox.

Only here are the environment and the clock read. What never belongs here: a rule of payment.
"""
