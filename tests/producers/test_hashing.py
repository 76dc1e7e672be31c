"""A key's hash is that of every other client."""

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from producers.partitioning import hash_of


@given(st.binary(max_size=300))
def test_a_key_has_the_hash_that_every_client_gives_it(key: bytes) -> None:
    assert hash_of(key) == murmur2(key) & 0x7FFFFFFF
