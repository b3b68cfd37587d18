"""The figures in the README are those that the benchmark wrote."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_step_table_is_that_of_the_benchmark() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "step.json").read_text())["results"]
    rows = [
        f"| {row['units']} | {row['microseconds']['push']:.2f} us | {row['ratio to nn.GRU']:.0f}x "
        f"| {row['ratio to nn.GRUCell']:.0f}x | {row['ratio to onnxruntime']:.1f}x | {row['C over bound']:.2f} |"
        for row in results
    ]
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| ") and " us |" in line] == rows
