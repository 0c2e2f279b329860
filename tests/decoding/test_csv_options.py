"""CSV as it is published: both readers take the same options, give the same rows, and name the same lines."""

import csv
import gzip
import io
import json
from contextlib import suppress
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.decoding import csv_blocks, csv_dialect, csv_records, csv_rows, csv_text, csv_types, decompressed
from dataset_assets.decoding.csv_arrow import TypesChanged, csv_blocks_once
from dataset_assets.errors import DecodeError, UsageError


def rows(data: bytes, **options: Any) -> list[dict[str, Any]]:
    return list(csv_rows(io.BytesIO(data), **options))


def blocks(data: bytes, types: Any = str, **options: Any) -> list[dict[str, Any]]:
    return [row for block in csv_blocks(io.BytesIO(data), types=types, **options) for row in block.to_pylist()]


both = pytest.mark.parametrize("read", [rows, blocks])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks of 64 kB."""
    monkeypatch.setenv("DATASET_ASSETS_MAX_LINE_BYTES", str(1 << 16))


# T4: each option is read as declared

LABELLED = b'label\ttext\n1\t"Hello there\n0\tplain row\n1\tthe end"\n0\tok\n'
OPTIONS: dict[str, tuple[bytes, dict[str, Any], list[dict[str, Any]]]] = {
    "lines before the header": (b'Table "7\n\nSource: us\r\na,b\n1,2\n', {"skip": 3}, [{"a": "1", "b": "2"}]),
    "lines before the header that end in returns": (b"x\ry\ra,b\r1,2\r", {"skip": 2}, [{"a": "1", "b": "2"}]),
    "comments": (b'# it\'s "ours\na,b\n# more\n1,"#\n#2"\n', {"comment": "#"}, [{"a": "1", "b": "#\n#2"}]),
    "a long delimiter": (b'a::b\n1::"x::""y"\n:::\n', {"delimiter": "::"},
                         [{"a": "1", "b": 'x::"y'}, {"a": "", "b": ":"}]),
    "white space": (b'  a \t b\n1   "x  y"\n\n2\t3  \n', {"delimiter": None},
                    [{"a": "1", "b": "x  y"}, {"a": "2", "b": "3"}]),
    "white space as pandas writes it": (b"a b\n1  2\n", {"delimiter": r"\s+"}, [{"a": "1", "b": "2"}]),
    "decimal commas": (b"a;b\n1,5;x,1\n-,5e3;1.000,5\n", {"delimiter": ";", "decimal": ","},
                       [{"a": "1.5", "b": "x,1"}, {"a": "-.5e3", "b": "1.000,5"}]),
    "missing values with decimal commas": (b"a;b\n-9,9;1,5\n7;2\n", {"delimiter": ";", "decimal": ",", "nulls": "-9,9"},
                                           [{"a": None, "b": "1.5"}, {"a": "7", "b": "2"}]),
    "a mark of the byte order": (b"\xef\xbb\xbfa,b\n1,2\n", {"encoding": "utf-8"}, [{"a": "1", "b": "2"}]),
    "a mark of the byte order in UTF-16": ("\ufeffa,b\n1,2\n".encode("utf-16-le"), {"encoding": "utf-16-le"},
                                           [{"a": "1", "b": "2"}]),
    "a mark of the byte order before a title": ("\ufefft\na\n1\n".encode("utf-16-be"),
                                                {"encoding": "utf-16-be", "skip": 1}, [{"a": "1"}]),
    "inches": (b'a,b\n5" disk,x\n"y\n""z""",3"\n', {}, [{"a": '5" disk', "b": "x"}, {"a": 'y\n"z"', "b": '3"'}]),
    "missing values": (b'a,b\nNA,""\n-,x\n', {"nulls": ["NA", "-", ""]},
                       [{"a": None, "b": None}, {"a": None, "b": "x"}]),
    "one missing value": (b"a,b\n?,\n", {"nulls": "?"}, [{"a": None, "b": ""}]),
    "no missing value": (b"a,b\nNA,\n", {}, [{"a": "NA", "b": ""}]),
    "plain quotes": (LABELLED, {"delimiter": "\t", "quoting": None},
                     [{"label": "1", "text": '"Hello there'}, {"label": "0", "text": "plain row"},
                      {"label": "1", "text": 'the end"'}, {"label": "0", "text": "ok"}]),
    "quotes that are believed": (b'a,b\n1,"x\n2,y"\n', {"quoting": '"'}, [{"a": "1", "b": "x\n2,y"}]),
    "other quotes": (b"a,b\n1,'x,''\"'\n", {"quoting": "'"}, [{"a": "1", "b": "x,'\""}]),
    "another encoding": ("a;b\n1;é\n".encode("utf-16"), {"delimiter": ";", "encoding": "utf-16"},
                         [{"a": "1", "b": "é"}]),
    "no header": (b"1,2\n", {"header": False, "columns": ["x", "y"]}, [{"x": "1", "y": "2"}]),
    "no header after a title": (b"title\n1,2\n", {"header": False, "columns": ["x", "y"], "skip": 1},
                                [{"x": "1", "y": "2"}]),
}  # fmt: skip


@both
@pytest.mark.parametrize("what", OPTIONS)
def test_both_readers_take_every_option(read: Any, what: str) -> None:
    data, options, expected = OPTIONS[what]
    assert read(data, **options) == expected
    assert read(gzip.compress(data), **options) == expected


CELLS = st.text(st.sampled_from("ab01,;:\t \"'#é-."), max_size=5) | st.text(st.sampled_from('x,\n"'), max_size=4)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), width=st.integers(1, 3), delimiter=st.sampled_from([",", ";", "\t", "|"]),
       end=st.sampled_from(["\n", "\r\n"]), skip=st.integers(0, 2))  # fmt: skip
def test_rows_are_blocks_are_what_python_wrote(data: Any, width: int, delimiter: str, end: str, skip: int) -> None:
    table = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows([[f"c{i}" for i in range(width)], *table])
    written = ("title" + end) * skip + out.getvalue()
    options = {"delimiter": delimiter, "skip": skip, "quoting": '"'}
    expected = [dict(zip((f"c{i}" for i in range(width)), row)) for row in table]
    assert rows(written.encode(), **options) == blocks(written.encode(), **options) == expected
    # The path of other encodings, and of delimiters that pyarrow does not know.
    assert blocks(written.encode("utf-16"), encoding="utf-16", **options) == expected
    if all("\n" not in cell and "::" not in cell and not cell.endswith(":") for row in table for cell in row):
        long = "".join(
            "::".join('"' + c.replace('"', '""') + '"' for c in row) + end for row in [list("abc"[:width]), *table]
        )
        found = [list(row.values()) for row in blocks(long.encode(), delimiter="::", quoting='"')]
        assert found == table


# T4: quotes that swallow rows


@both
@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (LABELLED.decode(), "\t"),
        ('text\tlabel\n"Hi\tyes\nplain\tno\nend"\tyes\nx\ty\n', "\t"),
        ('id,text\n1,"Hello there\n2,plain row\n3,the end"\n4,ok\n', ","),
        ('text;id\n"Hi;1\nplain;2\nend";3\n', ";"),
    ],
)
def test_a_quote_that_swallowed_rows_is_refused_with_the_remedy(read: Any, text: str, delimiter: str) -> None:
    with pytest.raises(DecodeError, match=r"on lines 2 to 4 that looks like rows.*quoting=None.*or quoting='\"'"):
        read(text.encode(), delimiter=delimiter)
    assert len(read(text.encode(), delimiter=delimiter, quoting=None)) == text.count("\n") - 1


@both
def test_honest_text_of_several_lines_is_read(read: Any) -> None:
    text = 'id,text\n1,"Dear Sir,\nI owe you, truly,\n9 pounds"\n2,"a\n\nb"\n3,"one, two\nthree"\n'
    assert [row["id"] for row in read(text.encode())] == ["1", "2", "3"]


# T4: errors name the line in the file

WRONG: dict[str, tuple[str, str]] = {
    "a ragged row": ("1,2,3\n", "has 3 fields in the row that ends on line {}; expected 2"),
    "a NUL": ("1,\0\n", "NUL character on line {},"),
    "a loose quote": ('1,"x"y\n', "is not CSV on line {}"),
    "a quote in a field": ('1,"x\n', "row that begins on line {}"),
}


@both
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("size", [1, 20_000])
@pytest.mark.parametrize("comment", [None, "#"])
def test_errors_count_the_lines_of_the_file(read: Any, what: str, size: int, comment: Any, small_blocks: None) -> None:
    row, message = WRONG[what]
    before = "title\n\na,b\n" + '1,"x\n\n2"\n' * size + "\n" + ("#\n" if comment else "")
    with pytest.raises(DecodeError, match=message.format(before.count("\n") + 1)):
        read((before + row + "1,2\n").encode(), skip=1, comment=comment)


@both
def test_bytes_of_another_encoding_are_named_with_line_and_byte(read: Any, small_blocks: None) -> None:
    before = b"a,b\n" + b"1,\xc3\xa9\n" * 20_000
    with pytest.raises(DecodeError, match=rf"b'\\xe9' at byte {len(before) + 2} of its content, on line 20002\."):
        read(before + b"2,\xe9\n" + b"3,x\n" * 9)


def test_a_value_that_does_not_fit_is_named_with_its_line(small_blocks: None) -> None:
    data = b"a,b\n" + b"1,2\n" * 20_000 + b"1,300\n"
    with pytest.raises(DecodeError, match="'300' in column 'b' in the row that ends on line 20002: .*uint8"):
        blocks(data, types="uint8")
    with pytest.raises(DecodeError, match="'300' in column 'b' in the row that ends on line 20002"):
        blocks(data.replace(b",", b"::"), types={"b": "uint8"}, delimiter="::")


# No header


@both
@pytest.mark.parametrize("first", ["5.1,3.5,1.4,1.4", "5.1,3.5,1.4,0.2", "a,-1", "1e5,x"])
def test_a_first_row_of_data_is_refused_with_the_remedy(read: Any, first: str) -> None:
    with pytest.raises(DecodeError, match="If line 2 is data, name the fields: header=False, columns="):
        read(f"title\n{first}\n{first}\n".encode(), skip=1)


@both
@pytest.mark.parametrize("first", ["id,2019,2020", "0,1,2", ",a", "p0.5,12:30"])
def test_names_that_are_numbers_of_years_or_columns_are_names(read: Any, first: str) -> None:
    assert list(read(f"{first}\n{first}\n".encode())[0]) == first.split(",")
    assert read(b"t,0.5\n1,2\n", columns=["0.5"]) == [{"0.5": "2"}]


# Wrong arguments


@both
@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "latin_99"}, {"encoding": "hex"}, {"encoding": None}, {"encoding": 5}, {"delimiter": ""},
        {"delimiter": "§"}, {"delimiter": 5}, {"delimiter": b","}, {"delimiter": "\n"}, {"delimiter": '"'},
        {"quoting": ""}, {"quoting": 3}, {"quoting": False}, {"quoting": "none"}, {"quoting": "a"}, {"skip": -1},
        {"skip": "2"}, {"skip": True}, {"comment": ""}, {"comment": 1}, {"comment": b"#"}, {"decimal": ";"},
        {"decimal": None}, {"nulls": 5}, {"nulls": [None]}, {"header": 0}, {"header": None}, {"columns": "ab"},
        {"columns": [1]}, {"columns": 3}, {"columns": []}, {"columns": ["a", "a"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_argument_is_a_usage_error_that_says_what_to_write(read: Any, options: Any) -> None:
    with pytest.raises(UsageError, match=r"\. (Write|Use|Name|List|Pass)"):
        read(b"a,b\n1,2\n", **options)


@pytest.mark.parametrize("read", [csv_rows, csv_blocks, decompressed])
@pytest.mark.parametrize("file", ["t.csv", b"a,b", None, io.StringIO("a,b"), 5])
def test_what_is_no_file_of_bytes_is_a_usage_error(read: Any, file: Any) -> None:
    with pytest.raises(UsageError, match=r"Pass open\(path, 'rb'\)"):
        list(read(file))


# T5: types are those of all rows


def inferred(cells: list[str], read_blocks: Any = csv_blocks, **options: Any) -> tuple[str, list[Any]]:
    """Read a column of these cells beside a column of text."""
    data = "x,t\n" + "".join(f"{cell},t\n" for cell in cells)
    read = list(read_blocks(io.BytesIO(data.encode()), columns=["x"], **options))
    assert len({block.schema for block in read}) == 1
    return str(read[0].schema.field("x").type), [cell for block in read for cell in block["x"].to_pylist()]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0", "10", "-3"], "int64"), (["0.5", "10", "1e3"], "double"), (["true", "0"], "bool"), (["1", " 2"], "int64"),
        (["2020-01-05", ""], "date32[day]"), (["00:12", "13:05"], "time32[s]"), (["9007199254740993"], "int64"),
        (["-0.5", "0"], "double"), (["NA", ""], "null"), (["x", "1"], "string"), (["0", "NA"], "int64"),
    ],
    ids=str,
)  # fmt: skip
def test_plain_values_have_their_types(cells: list[str], kind: str) -> None:
    assert inferred(cells)[0] == kind


@pytest.mark.parametrize(
    "cells",
    [
        ["01234", "00501", "10001"], ["5", "007"], ["-01"], ["00"], ["0x1F"], ["+4912345678"], ["1.5", "007"],
        ["18446744073709551616"], ["12345678901234567890"], ["9007199254740993", "1.5"], ["1.5", "-9007199254740993"],
    ],
    ids=str,
)  # fmt: skip
def test_identifiers_stay_text(cells: list[str]) -> None:
    assert inferred(cells) == ("string", cells)
    assert inferred(cells[:0] + ["7"] * 3 + cells) == ("string", ["7"] * 3 + cells)


KINDS = [
    "",
    "NA",
    "0",
    "1",
    "5",
    "007",
    "1.5",
    "9007199254740993",
    "true",
    "2020-01-05",
    "2020-01-05 10:00:00",
    "12:30",
    "x",
]


@settings(deadline=None, max_examples=40)
@given(cells=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), padding=st.sampled_from([0, 20_000]))
def test_types_do_not_depend_on_where_a_block_ends(cells: list[str], padding: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole = inferred([cell for part in cells for cell in [part, *[part] * padding]])[0]
        patch.setenv("DATASET_ASSETS_MAX_LINE_BYTES", str(1 << 16))
        kind, values = inferred([cell for part in cells for cell in [part, *[part] * padding]])
        assert kind == whole == inferred(list(reversed(cells)))[0]
        assert len(values) == len(cells) * (padding + 1)
        once = None
        with suppress(TypesChanged):
            once = inferred([cell for part in cells for cell in [part, *[part] * padding]], csv_blocks_once)
        assert once in (None, (kind, values))
        # What needs one type is read once.
        assert once or len({*cells}) > 1


def test_a_column_of_nothing_may_hold_text_later(small_blocks: None) -> None:
    kind, values = inferred([""] * 60_000 + ["word"])
    assert (kind, values[0], values[-1]) == ("string", "", "word")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"title\n"])
@both
def test_a_file_without_rows_is_empty_and_a_header_alone_is_a_table(read: Any, content: bytes) -> None:
    with pytest.raises(DecodeError, match="is empty"):
        read(content, skip=1)
    assert read(b"title\na,b\n", skip=1) == read(b"title\na,b", skip=1) == []
    assert read(b"a\n1") == [{"a": "1"}]


def test_blocks_of_a_stream_that_is_decompressed_already_are_read() -> None:
    stream = decompressed(io.BytesIO(gzip.compress(b"a,b\n1,2\n")))
    assert next(csv_blocks(stream)).to_pylist() == [{"a": 1, "b": 2}]


@both
@pytest.mark.parametrize(
    "content",
    [b"<!DOCTYPE html><title>404</title>", b"\n<html>\n<p>Moved</p>", b'<?xml version="1.0"?>\n<Error/>',
     b"PK\3\4 a\nb", b"PAR1 a", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"],
)  # fmt: skip
def test_another_kind_of_file_is_not_a_table_of_one_column(read: Any, content: bytes) -> None:
    with pytest.raises(DecodeError, match="begins with .* not CSV"):
        read(content)


@both
@pytest.mark.parametrize("number", ["1.234", "-12.345.678"])
def test_a_number_of_thousands_beside_decimal_commas_is_refused(read: Any, number: str) -> None:
    data, options = f"a;b\n1,5;x\n{number};y\n".encode(), {"delimiter": ";", "decimal": ","}
    with pytest.raises(DecodeError, match=rf"has '{number}' in the row that ends on line 3.*decimal='\.'"):
        read(data, **options)
    assert read(data, delimiter=";")[1]["a"] == number
    assert read(b"a;b\n0.234;1.2345\n", **options) == [{"a": "0.234", "b": "1.2345"}]


def test_a_file_of_utf_16_is_named(small_blocks: None) -> None:
    with pytest.raises(DecodeError, match="encoding='utf-16'"):
        rows("a,b\n1,2\n".encode("utf-16"))


@pytest.mark.parametrize("cell", ["1e400", "-1e400", "9" * 400, "9" * 5000])
def test_a_number_that_is_too_large_is_not_infinite(cell: str) -> None:
    assert inferred(["1.5", cell, "inf"]) == ("string", ["1.5", cell, "inf"])
    assert inferred(["1.5", "inf", "-inf", "NA"]) == ("double", [1.5, float("inf"), -float("inf"), None])
    with pytest.raises(DecodeError, match=f"has '{cell[:80]}' in column 'a' in the row that ends on line 3"):
        blocks(f"a\n1\n{cell}\n".encode(), types="float64")


@pytest.mark.parametrize(
    ("kind", "cell"),
    [(pyarrow.float32(), "1e39"), (pyarrow.decimal128(5, 2), "12345"), (pyarrow.decimal128(5, 2), "1.234"),
     (pyarrow.timestamp("s"), "2020-01-05T00:00:00Z"), (pyarrow.timestamp("s", "UTC"), "2020-01-05T00:00:00"),
     (pyarrow.binary(2), "abc")],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named_with_its_column(kind: Any, cell: str) -> None:
    with pytest.raises(DecodeError, match="in column 'x'.*pass another type in `types`"):
        blocks(f"t,x\n1,{cell}\n".encode(), types={"x": kind})


def test_times_that_have_a_zone_only_later_are_text(small_blocks: None) -> None:
    cells = ["2020-01-05 10:00:00"] * 20_000 + ["2020-01-05T10:00:00Z"]
    assert inferred(cells) == ("string", cells)
    assert inferred(cells[::-1]) == ("string", cells[::-1])


def test_quotes_in_fields_do_not_hide_where_a_row_ends(small_blocks: None) -> None:
    """Neither where a piece of the file ends, nor for the whole rest of it."""
    table = [['5"', "x"], ["a", 'two\nlines, "quoted"'], ["b", '3" and 4"']] * 3000
    text = "a,b\n" + "".join(f'{a},"{b.replace(chr(34), chr(34) * 2)}"\n' for a, b in table)
    assert [list(row.values()) for row in blocks(text.encode())] == table
    with pytest.raises(DecodeError, match="is not CSV on line 12002"):
        blocks((text + '5","x"y\n').encode())


def test_missing_values_and_decimal_commas_have_types() -> None:
    (block,) = csv_blocks(io.BytesIO(b"a;b\n1,5;-\n-;x\n"), delimiter=";", decimal=",", nulls=["-"])
    assert block.to_pylist() == [{"a": 1.5, "b": None}, {"a": None, "b": "x"}]
    assert block.schema.field("a").type == pyarrow.float64()


def test_the_parts_of_the_readers_agree() -> None:
    assert csv_records.looks_like_rows(["1", "a\n2,b"], ",") and not csv_records.looks_like_rows(["1", "a\n2 b"], ",")
    assert csv_text.BLOCK == 8 << 20 and csv_dialect.CHECKED == "checked" and json.dumps(csv_types._EXACT) == str(2**53)
