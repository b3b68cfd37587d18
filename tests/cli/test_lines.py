"""Lines of text to readings."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.cli.lines import LineError, LineReader
from gatewise.errors import InputError


def reader(columns: tuple[str, ...] | None = ("a", "b"), holds: bool = False, **options: object) -> LineReader:
    width = 2 if columns is None else len(columns)
    return LineReader(columns, width, not holds, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    ['{"b": 2.5, "a": -1}', "[-1, 2.5]", "-1,2.5", " -1 ,\t2.5\r", '{"a":-1,"x":[{}],"b":2.5}', '"-1","2.5"'],
)
def test_forms(line: str) -> None:
    assert reader().read(line) == ([-1.0, 2.5], "")


def test_bare_numbers() -> None:
    lines = reader(("v",), format="ndjson")
    assert [lines.read(line) for line in ("1", "[2]", '{"v":3}', "  ")] == [([1], ""), ([2], ""), ([3], ""), None]


def test_limits() -> None:
    lines = reader(limits=([-5.0, 0.0], [5.0, 1.0]))
    assert lines.read("-5,1") == ([-5.0, 1.0], "")
    for line, name in (("5.5,0", "a"), ("0,-1e-9", "b")):
        with pytest.raises(LineError, match=f"column '{name}' is .*, too far from the data"):
            lines.read(line)


def test_header_names_the_columns_in_any_order() -> None:
    lines = reader(keep=("t",))
    assert lines.read("b,t,a") is None
    assert lines.read("1,2024-01-01,2") == ([2.0, 1.0], '"t":"2024-01-01",')
    assert lines.read("1,17,2") == ([2.0, 1.0], '"t":17,')
    assert lines.read('1,"say ""x, y""",2') == ([2.0, 1.0], '"t":"say \\"x, y\\"",')
    again = reader(keep=("t",), header=lines.header)
    assert again.read("1,x,2") == ([2.0, 1.0], '"t":"x",')
    other = reader(keep=("t",), header=lines.header)
    assert other.read("t,a,b") is None
    assert other.read("x,1,2") == ([1.0, 2.0], '"t":"x",')
    with pytest.raises(LineError, match="column 'a' must be a number, got a"):
        other.read("t,a,b")


def test_header_without_names_in_the_model() -> None:
    lines = reader(None)
    assert lines.read("p,q") is None
    assert lines.read("1,2") == ([1.0, 2.0], "")


@pytest.mark.parametrize(
    ("options", "line", "message"),
    [
        ({}, "a,c", "does not name column 'b', it names a, c"),
        ({}, "a,b,a", "twice"),
        ({"columns": None}, "p,q,r", "3 columns"),
        ({"keep": ("t",)}, "a,b", "does not name column 't'"),
    ],
)
def test_unusable_header(options: dict[str, object], line: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        reader(**options).read(line)  # type: ignore[arg-type]
    assert not isinstance(caught.value, LineError), "no line after a wrong header can be read, so it cannot be skipped"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1}', "column 'b' is absent, got a; a missing value is null"),
        ('{"a": 1, "b": "2"}', """column 'b' must be a number or null, got "2\""""),
        ('{"a": 1, "b": true}', "must be a number or null, got true"),
        ('{"a": 1, "b": [1]}', "must be a number or null"),
        ('{"a": 1, "b": 2', "no valid JSON"),
        ("[1]", r"expected 2 numbers \(a, b\), got 1"),
        ("[1,2,3]", "got 3"),
        ("[1,[2]]", "must be a number"),
        ("[1,1e39]", "column 'b' is too large for float32"),
        (f"[1,1{'0' * 400}]", "too large"),
        (f"[1,1{'0' * 5000}]", "no valid JSON"),
        ("[" * 100_000, "nested too deeply|no valid JSON"),
        ("1", r"expected 2 numbers \(a, b\), or a header line first, got 1 field"),
        ("1,2,3", "got 3 fields"),
        ('{"a":1,"b":2,"a":3}', "'a' occurs twice in one object"),
        ('{"a":1,"b":2,"c":{"d":1,"d":1}}', "'d' occurs twice"),
        ("1,x", "column 'b' must be a number, got x"),
        ("1,1_000", "must be a number, got 1_000"),
        ('1,"2', "no valid CSV"),
        ("[1, null]", "column 'b' is missing or not finite, and this model refuses that"),
        ("[1, NaN]", "is missing or not finite"),
        ("1,", "is missing or not finite"),
        ("1,inf", "is missing or not finite"),
    ],
)
def test_malformed(line: str, message: str) -> None:
    lines = reader()
    with pytest.raises(LineError, match=message):
        lines.read(line)
    good = "[1,2]" if line[0] in "[{" else "1,2"
    assert lines.read(good) == ([1.0, 2.0], ""), "the next line is read as if nothing had happened"


@pytest.mark.parametrize(
    "line", ["1,", "1,nan", "1,NULL", "1,-inf", "1,N/A", "[1,null]", "[1,Infinity]", '{"a":1,"b":null}']
)
def test_missing_is_nan(line: str) -> None:
    found = reader(holds=True).read(line)
    assert found is not None
    assert found[0][0] == 1
    assert math.isnan(found[0][1])


def test_first_csv_line_may_be_missing_altogether() -> None:
    lines = reader(holds=True)
    found = lines.read(",")
    assert found is not None
    assert all(map(math.isnan, found[0]))


def test_objects_need_names() -> None:
    with pytest.raises(
        LineError, match="does not name its columns, so it reads no objects; send an array of 2 numbers"
    ):
        reader(None).read('{"a":1,"b":2}')


def test_fields_to_keep() -> None:
    lines = reader(("v",), keep=("t", "u"))
    assert lines.read('{"v":1,"u":{"é":[null]},"t":"x"}') == ([1.0], '"t":"x","u":{"\\u00e9": [null]},')
    for line, message in (('{"v":1,"t":2}', "'u' is absent"), ("[1]", "object"), ('{"v":1,"u":[NaN],"t":1}', "NaN")):
        with pytest.raises(LineError, match=message):
            lines.read(line)
    with pytest.raises(LineError, match="header line is needed, to tell which field is 't'"):
        reader(("v",), keep=("t",)).read("1")


def test_fields_to_keep_beside_columns_without_names() -> None:
    lines = reader(None, keep=("t",))
    assert lines.read("p,t,q") is None
    assert lines.read("1,x,2") == ([1.0, 2.0], '"t":"x",')
    with pytest.raises(InputError, match=r"the header has 1 columns \(p\), the model has 2"):
        reader(None, keep=("t",)).read("p,t")
    with pytest.raises(LineError, match="so it reads no objects; send CSV with a header"):
        reader(None, keep=("t",)).read('{"p":1,"q":2,"t":3}')


@given(st.text())
def test_any_text_is_a_reading_or_refused(text: str) -> None:
    lines = reader(holds=True)
    try:
        found = lines.read(text)
    except InputError:
        return
    assert found is None or len(found[0]) == 2


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(["[%r,%r]", "%r,%r"]))
def test_every_float32_is_read(value: float, form: str) -> None:
    assert reader().read(form % (value, value)) == ([value, value], "")
