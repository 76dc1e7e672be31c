"""The protocol's model in Spin, exhaustive at small bounds, and the mistakes that it must find. See README.md."""
