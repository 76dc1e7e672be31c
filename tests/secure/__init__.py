"""Connections that are secured, on real servers with certificates made here; run by `make test-secure`, too."""
