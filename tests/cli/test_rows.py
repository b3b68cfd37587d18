"""Tables of results as CSV, JSON and Parquet."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatewise.cli.rows import json_rows, write_rows


def test_json_rows() -> None:
    """Every number comes back as it was; what JSON cannot say is null."""
    frame = pd.DataFrame(
        {
            'a "b"': np.array([0.1, np.nan, 1e-40], np.float32),
            "wide": [1 / 3, math.inf, 1e-300],
            "n": [1, 2, 1 << 62],
            "yes": [True, False, True],
            "word": ["é\n", "", "x"],
            "time": pd.to_datetime(["2024-01-01T00:00:00.5+02:00"] * 3),
            "span": pd.to_timedelta([1, 2, 3], unit="h"),
        }
    )
    found = [json.loads(line) for line in json_rows(frame).splitlines()]
    assert [list(row) for row in found] == [list(frame)] * 3
    np.testing.assert_array_equal(np.array([row['a "b"'] for row in found], np.float32), frame['a "b"'])
    assert [row["wide"] for row in found] == [1 / 3, None, 1e-300]
    assert [row["n"] for row in found] == [1, 2, 1 << 62]
    assert [row["yes"] for row in found] == [True, False, True]
    assert [row["word"] for row in found] == ["é\n", "", "x"]
    assert found[0]["time"] == "2024-01-01T00:00:00.500000+02:00"
    assert found[0]["span"] == "0 days 01:00:00"


@pytest.mark.parametrize(
    ("index", "values", "text"),
    [
        (pd.RangeIndex(2), [0.1, 0.25], "v\n0.1\n0.25\n"),
        (pd.Index([1, 0]), [0.1, 0.25], "v\n0.25\n0.1\n"),
        (pd.Index([7, 5], name="n"), [0.1, 0.25], "n,v\n7,0.1\n5,0.25\n"),
        (pd.Index([7, 5], name="v"), [0.1, 0.25], "v_,v\n7,0.1\n5,0.25\n"),
        (pd.Index(["p", "q"]), [0.1, 1 / 3], "index,v\np,0.10000000149011612\nq,0.3333333333333333\n"),
    ],
)
def test_csv_rows(
    index: pd.Index, values: list[float], text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Shortest digits of float32 where all values of a column are such; an index only where it says something."""
    exact = [values[0], values[1]] if values[1] == 1 / 3 else values
    frame = pd.DataFrame({"v": [float(np.float32(exact[0])), exact[1]]}, index=index)
    write_rows(frame, None, False)
    assert capsys.readouterr().out == text
    write_rows(frame, str(tmp_path / "x"), False)
    assert (tmp_path / "x").read_text() == text


@pytest.mark.parametrize("name", ["x.parquet", "x.PQ"])
def test_parquet_rows(tmp_path: Path, name: str) -> None:
    """Every value and its dtype come back, in the order of the data."""
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2024-01-01T01:00", "2024-01-01T00:00"]),
            "score": np.array([0.1, np.nan], np.float32),
            "wide": [1 / 3, math.inf],
            "alarm": [True, False],
        },
        index=[1, 0],
    )
    write_rows(frame, str(tmp_path / name), False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name), frame.sort_index())
