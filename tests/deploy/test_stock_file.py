"""Files of stock: what is read, and how each bad line is named."""

import pytest

from deploy.stock_file import LINE_LENGTH_MAX, QUANTITY_MAX, BadLine, StockFile, read_stock_file
from outbox.operators.stock import StockChange

HEADER = b"sku,quantity\n"


def read(*lines: bytes) -> StockFile:
    return read_stock_file(lines)


@pytest.mark.parametrize(
    "lines",
    [
        (b"sku,quantity,reason\n", b"tea,10,\n", b"mug,3,counted\n"),
        (b"\xef\xbb\xbfSKU;Quantity;Reason\r\n", b"tea;10;\r\n", b"\r\n", b"mug;3;counted\r\n"),
        (b"reason\tsku\tquantity\n", b"\ttea\t10\n", b'counted\t"mug"\t3'),
        (b'{"sku": "tea", "quantity": 10}\n', b"\n", b'{"sku": "mug", "quantity": 3, "reason": "counted"}\n'),
        (b'{"sku": "tea", "quantity": 10, "delta": null}\n', b'{"quantity": 3, "sku": "mug", "reason": "counted"}'),
    ],
)
def test_csv_of_every_separator_and_json_lines_say_the_same(lines: tuple[bytes, ...]) -> None:
    found = read(*lines)
    assert found.changes == [StockChange("tea", 10), StockChange("mug", 3, reason="counted")]
    assert found.bad == []
    assert [lines[number - 1].find(b"tea") >= 0 for number in found.numbers] == [True, False]


def test_a_delta_is_put_in_or_taken_out() -> None:
    found = read(b"sku,delta,quantity\n", b"tea,-3,\n", b"mug,+4,\n", b"pot,,5\n")
    assert found.changes == [
        StockChange("tea", -3, relative=True),
        StockChange("mug", 4, relative=True),
        StockChange("pot", 5),
    ]


def test_a_sku_with_the_separator_in_it_is_quoted() -> None:
    assert read(HEADER, b'"tea, green ""x""",1\n').changes == [StockChange('tea, green "x"', 1)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"tea", "has 1 columns, and the first line has 2"),
        (b",1", "a SKU is text of 1 to 64 characters, none of them a control character"),
        (b"tea,", "needs quantity or delta"),
        (b"tea,1.5", f"quantity must be a whole number up to {QUANTITY_MAX}"),
        (b"tea,-1", f"quantity must be a whole number from 0 to {QUANTITY_MAX}"),
        (b"tea,%d" % (QUANTITY_MAX + 1), f"quantity must be a whole number from 0 to {QUANTITY_MAX}"),
        (b"tea," + b"9" * 40, f"quantity must be a whole number up to {QUANTITY_MAX}"),
        ("tea,٣".encode(), f"quantity must be a whole number up to {QUANTITY_MAX}"),
        (b"t\xffa,1", "is not UTF-8: save the file as UTF-8"),
        (b'"tea,1', "cannot be read as CSV: unexpected end of data"),
        (b"pot,1", "SKU pot is in line 2 already"),
        (b"t" * LINE_LENGTH_MAX + b",1", f"over {LINE_LENGTH_MAX} bytes: one SKU a line"),
    ],
)
def test_a_bad_line_of_csv_is_named_and_the_others_are_read(line: bytes, problem: str) -> None:
    found = read(HEADER, b"pot,1\n", line + b"\n", b"mug,2\n")
    assert found.bad == [BadLine(3, problem)]
    assert found.changes == [StockChange("pot", 1), StockChange("mug", 2)]
    assert found.numbers == [2, 4]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"sku": "tea"', "not JSON: unexpected end of data (column 14)"),
        (b"[1]", "must be a JSON object with sku, and quantity or delta"),
        (b'{"sku": "tea", "quantity": 1, "units": 2}', "has a field that nobody reads: units"),
        (b'{"sku": "tea", "quantity": 1, "delta": 2}', "has both quantity and delta: give one"),
        (b'{"sku": "tea", "quantity": true}', f"quantity must be a whole number from 0 to {QUANTITY_MAX}"),
        (b'{"sku": "tea", "quantity": "1"}', f"quantity must be a whole number from 0 to {QUANTITY_MAX}"),
        (b'{"sku": 7, "quantity": 1}', "a SKU is text of 1 to 64 characters, none of them a control character"),
        (
            b'{"sku": "tea", "quantity": 1, "reason": "two\\nlines"}',
            "a reason is one line of 1 to 500 printable characters",
        ),
    ],
)
def test_a_bad_json_line_is_named_and_the_others_are_read(line: bytes, problem: str) -> None:
    found = read(b'{"sku": "pot", "quantity": 1}\n', line + b"\n", b'{"sku": "mug", "quantity": 2}\n')
    assert found.bad == [BadLine(2, problem)]
    assert found.numbers == [1, 3]


@pytest.mark.parametrize(
    "header",
    [b"tea,1\n", b"sku\n", b"sku,quantity,quantity\n", b"sku,quantity,price\n", b"quantity,delta\n", b"\xff\n"],
)
def test_without_a_header_no_line_counts(header: bytes) -> None:
    found = read(header, b"tea,1\n")
    assert (len(found.bad), found.bad[0].number, found.changes) == (1, 1, [])


def test_an_empty_file_asks_for_nothing() -> None:
    assert read() == read(b"\n", b"  \n") == StockFile([], [], [])
