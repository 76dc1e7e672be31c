"""Six mistakes that the product does not make, each in a wrapper around one of its parts, for the oracle to find."""
