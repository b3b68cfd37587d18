"""gatewise inspect: the numbers are those one counts by hand."""

import json
import math
from pathlib import Path

import pytest

import gatewise as gw
from cli.program import gatewise
from sections import ended, retold


def test_json(two: Path) -> None:
    ran = gatewise("inspect", two, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    units, inputs = 12, 2
    gru = 3 * (units * inputs + units * units + 2 * units)
    assert [(layer["name"], layer["parameters"]) for layer in found["layers"]] == [
        ("input", 2 * inputs),
        ("gru0", gru),
        ("dense0", 2 * units + 2),
        ("head", 64 + 64 + 2 + 2 + 10 * inputs),
    ]
    assert found["macs"] == 3 * (units * inputs + units * units) + 2 * units
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
    assert found["bytes"] == 4 * found["parameters"]
    assert found["packed_bytes"] >= 4 * (found["macs"] + units)
    assert [(field["name"], field["bytes"]) for field in found["state"]] == [
        ("input.held", 4 * inputs),
        ("gru0.hidden", 4 * units),
        ("head.location", 4),
        ("head.log_scale", 4),
        ("head.smoothed", 4),
        ("head.level", 4 * 2 * inputs),
        ("head.pause", 4),
        ("head.rate_evidence", 4 * 2),
        ("head.level_evidence", 4 * 2 * inputs),
    ]
    model = gw.load(two)
    assert found["state_bytes"] == model.stream().state.nbytes == 4 * (inputs + units + 6 + 4 * inputs)
    assert found["columns"] == ["a", "b"]
    assert found["outputs"] == list(model.output_names)
    assert found["structure"] == model.stream().state.structure
    assert found["spec"] == json.loads(model.spec.to_json())
    assert found["provenance"] == {"seed": 2}
    assert found["warnings"] == []
    assert found["alarm_score"] == pytest.approx(-math.log10(40 / 1000))  # the rate of the fixture


def test_hashes_tell_weights_and_structure_apart(two: Path, tmp_path: Path) -> None:
    model = gw.load(two)
    tensors = {**model.tensors, "dense0.bias": model.tensors["dense0.bias"] + 1}
    model.replace(tensors=tensors).save(tmp_path / "other.safetensors")
    one, other = (json.loads(gatewise("inspect", p, "--json").stdout) for p in (two, tmp_path / "other.safetensors"))
    assert one["structure"] == other["structure"]
    assert one["weights"] != other["weights"]


def test_page(two: Path, bare: Path) -> None:
    page = gatewise("inspect", two).stdout
    assert max(map(len, page.splitlines()[1:])) <= 80
    for text in ("2 (a, b)", "filled forward", "gru0.hidden", "2 -> 12", "576", "112 bytes", "seed"):
        assert text in page
    page = gatewise("inspect", bare).stdout
    assert "refused" in page
    assert "2 (y0, y1)" in page


def test_warnings_task_and_provenance(two: Path, tmp_path: Path) -> None:
    model = gw.load(two)
    assert model.spec.head is not None
    spec = model.spec.replace(head=model.spec.head.replace(samples=0))
    told = {"warnings": ["few rows"], "s": "A" * 500, "x": {"y": 0.5}, "seen": {"rows": "AAAA"}}
    path = tmp_path / "m.safetensors"
    retold(model.replace(spec=spec, provenance={"data": "f" * 64}), told).save(path)
    page = gatewise("inspect", path).stdout
    assert page.endswith("warnings\n  head: scores are not calibrated: they assume normal residuals\n  few rows\n")
    assert "task\n  kind  detector\n  s     AAAAAAAAAAAA" in page
    assert "\n  x     y 0.5\n" in page
    found = json.loads(gatewise("inspect", path, "--json").stdout)
    assert found["provenance"] == {"data": "f" * 64}
    del told["seen"]
    assert found["task"] == {"kind": "detector", **told}


def test_empty_provenance(two: Path, tmp_path: Path) -> None:
    gw.load(two).replace(provenance={}).save(tmp_path / "m.safetensors")
    assert "none recorded" in gatewise("inspect", tmp_path / "m.safetensors").stdout


@pytest.mark.parametrize("told", [5, [1], [None, {}], "text", {"a": "b"}, [["x"]], None])
def test_odd_warnings(two: Path, tmp_path: Path, told: object) -> None:
    path = tmp_path / "m.safetensors"
    retold(gw.load(two), {"warnings": told}).save(path)
    ran = gatewise("inspect", path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(gatewise("inspect", path, "--json").stdout)["warnings"] == []


@pytest.mark.parametrize("detector", [5, [1], "text", None, [], {}])
def test_odd_provenance(two: Path, tmp_path: Path, detector: object) -> None:
    path = tmp_path / "m.safetensors"
    odd = {"": [[]], "n": None, "x" * 5000: "y" * 5000, "d": {"": {"": [1, {"a": 2.5}]}}, "detector": detector}
    gw.load(two).replace(provenance=odd).save(path)
    ran = gatewise("inspect", path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout) < 5000
    assert json.loads(gatewise("inspect", path, "--json").stdout)["provenance"] == odd


def test_control_characters_and_surrogates_are_escaped(two: Path, tmp_path: Path) -> None:
    model = gw.load(two)
    evil = "\x1b[31m\x07\u202e\x7f\ud800\x9b"
    escaped = r"\x1b[31m\x07\u202e\x7f\ud800\x9b"
    path = tmp_path / "m.safetensors"
    spec = model.spec.replace(input=model.spec.input.replace(columns=[evil, "b\nb"]))
    told = {evil: {evil: evil}, "t": evil, "l": [evil]}
    retold(model.replace(spec=spec, provenance=told), {**told, "warnings": [evil + " x"]}).save(path)
    for arguments in ([], ["--json"]):
        ran = gatewise("inspect", path, *arguments)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert {c for c in ran.stdout if not c.isprintable()} == {"\n"}
    page = gatewise("inspect", path).stdout
    assert f"({escaped}, b\\nb)" in page
    assert f"  {escaped} x\n" in page
    ran = gatewise("stream", path, stdin="{}\n")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert {c for c in ran.stderr if not c.isprintable()} == {"\n"}


def test_state_after_training_is_not_shown(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model = gw.load(two)
    ended(model, None, model.stream().state, until="t").save(path)
    found = json.loads(gatewise("inspect", path, "--json").stdout)["task"]
    assert found == {"kind": "detector", "series": None, "until": "t"}


def test_window(tmp_path: Path) -> None:
    """The state is the readings; an answer costs all steps of the recurrence, but one of what comes after it."""
    L, units, columns = 20, 6, 3
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=columns, columns=["a", "b", "c"], scaling="standard", missing="mask"),
        layers=[gw.LayerSpec("gru", units=units), gw.LayerSpec("dense", units=4)],
        context={"window": L},
    )
    model = gw.init(spec)
    model.save(tmp_path / "m")
    found = json.loads(gatewise("inspect", tmp_path / "m", "--json").stdout)
    gru, dense = 3 * (units * 2 * columns + units * units), 4 * units
    assert (found["macs"], found["push_macs"]) == (gru + dense, L * gru + dense)
    assert found["context"] == {"window": L}
    assert found["missing"] == "mask"
    assert found["state"] == [
        {"name": "window.count", "dtype": "float32", "shape": [1], "bytes": 4},
        {"name": "window.readings", "dtype": "float32", "shape": [L, columns], "bytes": 4 * L * columns},
    ]
    assert found["state_bytes"] == model.stream().state.nbytes == sum(field["bytes"] for field in found["state"])
    page = gatewise("inspect", tmp_path / "m").stdout
    assert "  missing  filled forward, and marked\n" in page
    assert f"  context  window of 20 steps, {L * gru + dense:,} MACs an answer\n" in page
    assert "(20, 3)  240 bytes" in page


def test_carried_state_costs_a_step_an_answer(two: Path) -> None:
    found = json.loads(gatewise("inspect", two, "--json").stdout)
    assert found["push_macs"] == found["macs"]


def test_many_outputs_are_counted(tmp_path: Path) -> None:
    """A page names the first ones and the last; --json has them all."""
    names = [f"c{i}" for i in range(40)]
    head = gw.LayerSpec("quantiles", targets=list(range(40)), horizons=[1, 2], names=names)
    layers = [gw.LayerSpec("gru", units=2), gw.LayerSpec("dense", units=240)]
    spec = gw.ModelSpec(input=gw.LayerSpec("numeric", width=40, columns=names), layers=layers, head=head)
    retold(gw.init(spec), {"warnings": ["gaps"], "split": [3, 4]}, "forecaster").save(tmp_path / "m")
    page = gatewise("inspect", tmp_path / "m").stdout
    assert "  inputs   40 (c0, c1, c2, c3, c4, c5, c6, ..., c39)\n" in page
    assert "  outputs  240 (c0+1:0.1, " in page
    assert "..., c39+2:0.9)\n" in page
    assert page.endswith("warnings\n  gaps\n")
    assert "forecaster" in page
    found = json.loads(gatewise("inspect", tmp_path / "m", "--json").stdout)
    assert found["columns"] == names
    assert found["outputs"] == [f"{n}+{h}:{q:g}" for n in names for h in (1, 2) for q in (0.1, 0.5, 0.9)]
    assert found["warnings"] == ["gaps"]
