"""Separators, decimal commas and large levels on the command line, and messages that a shell user can follow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from cli.program import gatewise
from gatewise.cli.app import main
from gatewise.cli.lines import LineError, LineReader

TRAIN = ["--time", "t", "--steps", "2", "--units", "3", "--false-alarms-per-1000", "100", "--quiet"]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    return pd.DataFrame({"t": times, "v": rng.normal(size=400).round(3), "w": rng.normal(size=400).round(3)})


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[Any, str, str]:
    """Exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ({"sep": ";"}, []),
        ({"sep": "\t"}, []),
        ({"sep": "|"}, []),
        ({"sep": ";"}, ["--sep", ";"]),
        ({"sep": "\t"}, ["--sep", "tab"]),
        ({"sep": "#"}, ["--sep", "#"]),
        ({"sep": ";", "decimal": ","}, ["--decimal", ","]),
        ({"sep": "\t", "decimal": ","}, ["--sep", "\\t", "--decimal", ","]),
    ],
)
def test_a_file_is_trained_on_predicted_and_streamed_however_it_is_written(
    data: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str], written: dict[str, str], options: list[str]
) -> None:
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    data.to_csv(plain, index=False)
    data.to_csv(other, index=False, **written)
    for path, given in ((plain, []), (other, options)):
        code, _, err = run(capsys, "train", path, *given, *TRAIN, "-o", path.with_suffix(".safetensors"))
        assert (code, err) == (0, "")
    found, wanted = (gw.load(path.with_suffix(".safetensors")) for path in (other, plain))
    for name, value in wanted.tensors.items():
        assert np.array_equal(found.tensors[name], value), name
    model = plain.with_suffix(".safetensors")
    assert run(capsys, "predict", model, other, *options) == run(capsys, "predict", model, plain)
    stream = [
        gatewise("stream", model, *given, stdin=path.read_bytes()) for path, given in ((other, options), (plain, []))
    ]
    assert stream[0].stdout == stream[1].stdout
    assert stream[0].stdout.count("\n") == len(data)


def test_what_is_ambiguous_is_refused_with_the_option(
    data: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "data.csv", tmp_path / "m.safetensors"
    data.to_csv(path, index=False, sep=";", decimal=",")
    code, _, err = run(capsys, "train", path, *TRAIN, "-o", out)
    assert code == 1
    assert "at row 0 (line 2)" in err
    assert err.endswith("if between thousands, write it without, if before decimals, pass --decimal ,\n")
    path.write_text("a;b,c;d\n1;2,5;3\n2;2,7;3\n")
    code, _, err = run(capsys, "train", path, "-o", out)
    assert code == 1
    assert err.endswith("are separated by commas or by semicolons cannot be told; if by commas, pass --sep ,\n")
    code, _, err = run(capsys, "train", path, "--sep", ";;", "-o", out)
    assert code == 2
    assert "';;' is not one character such as ';', and not tab" in err
    code, _, err = run(capsys, "train", path, "--sep", ",", "--decimal", ",", "-o", out)
    assert code == 1
    assert "a comma cannot be both the separator and the decimal mark" in err


def test_a_folder_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", tmp_path, "-o", tmp_path / "m.safetensors")
    assert (code, err) == (1, f"gatewise: {tmp_path} is a folder; give the path of a .csv or .parquet file\n")


def test_a_large_level_goes_all_the_way(data: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    level = 623_000_000.0
    for name, constant in (("low", 0.0), ("high", level)):
        data.assign(v=data["v"] * 100 + constant).to_csv(tmp_path / f"{name}.csv", index=False)
        code, _, err = run(
            capsys, "train", tmp_path / f"{name}.csv", *TRAIN, "--target", "v", "-o", tmp_path / f"{name}.safetensors"
        )
        assert (code, err) == (0, "")
    low, high = (
        [json.loads(line) for line in gatewise("stream", tmp_path / f"{n}.safetensors", stdin=text).stdout.splitlines()]
        for n, text in ((n, (tmp_path / f"{n}.csv").read_bytes()) for n in ("low", "high"))
    )
    assert len(low) == len(high) == len(data)
    for name in ("expected", "low", "high"):
        np.testing.assert_allclose(
            [row[name] - level for row in high], [row[name] for row in low], rtol=1e-3, atol=0.05
        )
    np.testing.assert_allclose([row["score"] for row in high], [row["score"] for row in low], atol=2e-3)
    code, out, err = run(capsys, "predict", tmp_path / "high.safetensors", tmp_path / "high.csv", "--json")
    assert code == 0
    assert re.match(r"gatewise: \d+ alarms? in ", err), "no warnings, but what was found in short"
    for row, streamed in zip(map(json.loads, out.splitlines()), high, strict=True):
        assert row["expected"] == pytest.approx(streamed["expected"], abs=1e-3)
        assert row["score"] == streamed["score"]


def test_a_state_of_a_large_level_goes_on(tmp_path: Path) -> None:
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=1, columns=["v"], scaling="standard", subtract=[1e9]),
        layers=[gw.LayerSpec("gru", units=3), gw.LayerSpec("dense", units=2)],
        head=gw.LayerSpec("tail_probability"),
    )
    model, state = tmp_path / "m.safetensors", tmp_path / "s"
    gw.init(spec, seed=2).save(model)
    rows = [f"{1e9 + i / 7!r}\n" for i in range(40)]
    whole = gatewise("stream", model, stdin="".join(rows)).stdout
    parts = [gatewise("stream", model, "--state", state, stdin="".join(some)).stdout for some in (rows[:13], rows[13:])]
    assert "".join(parts) == whole
    series = "".join(f'{{"v": {row.strip()}, "s": "a"}}\n' for row in rows)
    answers = gatewise("stream", model, "--series", "s", stdin=series).stdout
    assert [json.loads(a)["expected"] for a in answers.splitlines()] == [
        json.loads(w)["expected"] for w in whole.splitlines()
    ]


def reader(**options: Any) -> LineReader:
    return LineReader(("a", "b"), 2, True, **options)


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, ["1;2", "1;2"]),
        ({}, ["1\t2", "1\t2"]),
        ({}, ["b;a", "2;1"]),
        ({"sep": ";"}, ['"1";"2"']),
        ({"decimal": ","}, ["1,0;2,0"]),
        ({"sep": "\t", "decimal": ","}, ["1,0\t2"]),
        ({"sep": "|"}, ["1|2"]),
        ({"subtract": [10.0, 0.0]}, ["11,2"]),
    ],
)
def test_lines_are_cut_as_they_are_written(options: dict[str, Any], lines: list[str]) -> None:
    lines_of = reader(**options)
    assert [lines_of.read(line) for line in lines][-1] == ([1.0, 2.0], "")


@pytest.mark.parametrize(
    ("options", "line", "words"),
    [
        ({"sep": ";"}, "1,5;2", "column 'a' must be a number, got 1,5; for a decimal comma, pass --decimal ,$"),
        ({"sep": ";", "decimal": ","}, "1.000;2", "column 'a' must be a number, got 1.000$"),
        ({}, "1,5;2,5", "expected 2 numbers .*, or a header line first, got 3 fields between commas"),
        ({"sep": "\t"}, "\t2", "column 'a' is missing"),
        ({"sep": ";"}, "1", "got 1 field between semicolons"),
    ],
)
def test_lines_that_are_written_otherwise_are_refused(options: dict[str, Any], line: str, words: str) -> None:
    with pytest.raises(LineError, match=words):
        reader(**options).read(line)
