"""Whole units of an SKU: of an order, or of what is put back into stock."""

from domain.values import Value


class OrderLine(Value, frozen=True):
    """Whole units of one SKU. The lines of one SKU that checkout sent are added up to one."""

    sku: str
    quantity: int
