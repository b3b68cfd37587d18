"""gatewise inspect: the numbers are those one counts by hand."""

import json
from pathlib import Path

import gatewise as gw
from cli.program import gatewise


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
        ("head", 64 + 64 + 2 + 2),
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
    ]
    model = gw.load(two)
    assert found["state_bytes"] == model.stream().state.nbytes == 4 * (inputs + units + 3)
    assert found["columns"] == ["a", "b"]
    assert found["outputs"] == list(model.output_names)
    assert found["structure"] == model.stream().state.structure
    assert found["spec"] == json.loads(model.spec.to_json())
    assert found["provenance"] == {"seed": 2}
    assert found["cautions"] == []


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
    for text in ("2 (a, b)", "last reading repeated", "gru0.hidden", "2 -> 12", "576", "68 bytes", "seed"):
        assert text in page
    page = gatewise("inspect", bare).stdout
    assert "refused" in page
    assert "2 (y0, y1)" in page


def test_cautions_and_provenance(two: Path, tmp_path: Path) -> None:
    model = gw.load(two)
    assert model.spec.head is not None
    spec = model.spec.replace(head=model.spec.head.replace(samples=0))
    told = {"data": "f" * 64, "detector": {"cautions": ["few rows"], "state": "A" * 500, "x": {"y": 0.5}, "z": None}}
    path = tmp_path / "m.safetensors"
    model.replace(spec=spec, provenance=told).save(path)
    page = gatewise("inspect", path).stdout
    assert page.endswith("cautions\n  head: scores are not calibrated: they assume normal residuals\n  few rows\n")
    assert "  detector  cautions (1), state AAAAAAAAAAAA..., x (y 0.5)\n" in page.replace('["few rows"]', "(1)")
    assert json.loads(gatewise("inspect", path, "--json").stdout)["provenance"] == told


def test_empty_provenance(two: Path, tmp_path: Path) -> None:
    gw.load(two).replace(provenance={}).save(tmp_path / "m.safetensors")
    assert "none recorded" in gatewise("inspect", tmp_path / "m.safetensors").stdout
