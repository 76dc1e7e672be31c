"""Other teams' tools before the real pipeline: the kits of `deploy/kits`, and checks that need what we do not install.

What never belongs here: a test of ours alone, or anything that a tool of this machine must be changed for.
"""
