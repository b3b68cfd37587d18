"""The figures in the README are those that the benchmarks wrote."""

import json
from pathlib import Path
from typing import Any

from gatewise import layers

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
README = TEXT.splitlines()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text().splitlines()


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


def test_the_training_table_is_that_of_the_benchmark() -> None:
    found = results("train")
    ragged = {(row["kind"], row["units"]): row["ratio"]["torch, packed"] for row in found["ragged"]["rows"]}
    rows = [
        f"| {row['kind'].upper()} | {row['units']} | {min(row['milliseconds']['gatewise'].values()):.2f} ms "
        f"| {row['ratio']['torch']:.2f}x | {ragged[row['kind'], row['units']]:.2f}x |"
        for row in found["layers"]["rows"]
        if (row["batch"], row["steps"]) == (32, 128)
    ]
    assert [line for line in README if line.startswith("| ") and " ms |" in line] == rows
    text = " ".join(README)
    mean = found["layers"]["geometric mean"]
    for kind in ("rnn", "lstm", "gru"):
        assert f"{mean[f'{kind} against torch']:.2f}x for the {kind.upper()}" in text
    scan = next(row["ratio"] for row in found["scans"]["rows"] if row["steps"] == 512)
    assert f"{scan['log domain']:.0f}x as fast as one in the log domain in torch" in text
    assert f"{scan['loop']:.0f}x as fast as a loop" in text
    kinds = [row["kind"] for row in found["layers"]["rows"]]
    assert f"Over {kinds.count('gru')} sizes of each layer" in text
    assert {kinds.count(kind) for kind in kinds} == {kinds.count("gru")}


def test_no_layer_but_the_one_that_the_changelog_names_trains_no_faster() -> None:
    slow = [
        (row["kind"], row["units"], row["batch"], row["steps"])
        for row in results("train")["layers"]["rows"]
        if row["ratio"]["torch"] <= 1
    ]
    assert [
        f"One {kind.upper()} layer of {units} units over {batch} rows of {steps} steps trains no faster than torch's."
        for kind, units, batch, steps in slow
    ] == [line.removeprefix("- ") for line in CHANGELOG if "trains no faster" in line]


def test_the_time_to_import_is_that_of_the_benchmark() -> None:
    found = results("imports")
    assert found["import gatewise"]["added"] < 0.05 * found["import numpy"]["milliseconds"], "the README says: nothing"
    assert f"loading and streaming a first model about {5 * round(found['load and stream']['added'] / 5)} ms" in TEXT


def test_every_recurrence_learns_more_than_pairs_of_characters() -> None:
    found = results("shakespeare")
    assert found["settings"]["seconds"] == 60
    assert set(found["kinds"]) == {kind for kind in layers.KINDS if layers.registry.spec(kind).recurrent}
    assert found["settings"]["threads"] == 2, "the README says: on two cores"
    assert max(kind["nats"] for kind in found["kinds"].values()) < found["pairs"]["entropy of a pair, training text"]


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
        assert found["published"]["mse"] < mse["model"], "the README says: better still"
    assert [line for line in README if line.count("|") == 7 and line.startswith("| ") and "MSE" not in line] == rows
