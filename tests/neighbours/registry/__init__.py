"""Apicurio's real server: what it takes of ours, what it takes of others, and what that does to us."""
