from uuid import UUID, uuid5

import pytest

from domain.ids import Namespace

NAMESPACE = UUID("0f4c9f0e-6f6c-5d3b-8a55-3f7de2a9b6d4")


@pytest.mark.parametrize("name", ["", "order-1:1", "order-1:2", "ключ", "x" * 200])
def test_derived_ids_are_those_of_the_standard(name: str) -> None:
    assert Namespace(NAMESPACE).derive(name) == uuid5(NAMESPACE, name)
