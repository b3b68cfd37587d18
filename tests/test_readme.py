"""The figures in the README are those that the benchmarks wrote."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text().splitlines()


def results(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["results"]


def test_the_step_table_is_that_of_the_benchmark() -> None:
    rows = [
        f"| {row['kind'].upper()} | {row['units']} | {row['microseconds']['push']:.2f} us "
        f"| {row['ratio to torch layer']:.0f}x | {row['ratio to torch cell']:.0f}x "
        f"| {row['ratio to onnxruntime']:.1f}x | {row['C over bound']:.2f} |"
        for row in results("step")
    ]
    assert [line for line in README if line.startswith("| ") and " us |" in line] == rows


def test_the_pool_table_is_that_of_the_benchmark() -> None:
    rows = [
        f"| {row['kind'].upper()} | {row['units']} | {row['sessions']} | {row['ratio to the better peer']:.2f}x |"
        for row in results("pool")
    ]
    assert [line for line in README if line.count("|") == 5 and "x |" in line] == rows


def test_the_forecast_table_is_that_of_the_benchmark() -> None:
    rows = []
    for found in results("forecast")["horizons"]:
        chosen = found["seeds"][found["chosen seed"]]
        mse = chosen["mse"]
        rows.append(
            f"| {found['horizon']} | {mse['model']:.3f} | {found['mean mse']:.3f} | {mse['seasonal_naive']:.3f} "
            f"| {mse['repeat_last']:.3f} | {found['published']['mse']:.3f} |"
        )
        assert chosen["mse better at"] == found["horizon"], "the README says: at every step ahead"
    assert [line for line in README if line.count("|") == 7 and line.startswith("| ") and "MSE" not in line] == rows
