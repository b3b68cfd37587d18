"""gatewise file: files edited with other tools are named as such, and sealed again only when all else is sound."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import gatewise as gw
from cli.program import gatewise
from gatewise.errors import FileError
from gatewise.file import read_edited
from gatewise.tasks.section import end_states
from sections import ended, retold


def edit(path: Path, tensors: Callable[[dict[str, Any]], object] = id, told: Callable[[Any], object] = id) -> None:
    """Edit a file as any other program would: with the safetensors library, keeping the metadata."""
    with safetensors.safe_open(path, "numpy") as opened:
        metadata = opened.metadata()
    held = safetensors.numpy.load_file(path)
    described = json.loads(metadata["gatewise"])
    tensors(held)
    told(described)
    safetensors.numpy.save_file(held, path, {"gatewise": json.dumps(described)})


def answer(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(gw.load(path).run(np.ones((3, 2))))


@pytest.fixture
def copy(two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(two, tmp_path / "m.safetensors"))


def double(held: dict[str, Any]) -> None:
    held["dense0.weight"] *= 2


def test_as_written(two: Path, tmp_path: Path) -> None:
    ran = gatewise("file", two, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    told = json.loads(gatewise("inspect", two, "--json").stdout)
    assert found["altered"] == []
    assert found["structure"] == {"stated": told["structure"], "found": told["structure"]}
    assert found["weights"] == {"stated": told["weights"], "found": told["weights"]}
    assert (found["format"], found["bytes"], found["tensor_bytes"]) == (1, two.stat().st_size, told["bytes"])
    assert found["tensors"]["gru0.weight_hh"] == [36, 12]
    assert found["provenance"] == {"seed": 2}
    page = gatewise("file", two).stdout
    assert "as gatewise wrote it" in page
    assert told["structure"] in page
    assert max(map(len, page.splitlines()[1:])) <= 80

    before = two.stat().st_mtime_ns
    ran = gatewise("file", two, "--reseal")
    assert (ran.returncode, ran.stderr) == (0, "gatewise: nothing was altered, and nothing was written\n")
    assert two.stat().st_mtime_ns == before
    assert gatewise("file", two, "--reseal", "-o", tmp_path / "same.safetensors").returncode == 0
    ran = gatewise("file", two, "--reseal", "-o", tmp_path / "none" / "same.safetensors")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"there is no folder {tmp_path / 'none'}; create it first" in ran.stderr
    assert (tmp_path / "same.safetensors").read_bytes() == two.read_bytes()


def test_edited_tensors(two: Path, copy: Path, tmp_path: Path) -> None:
    edit(copy, double)
    ran = gatewise("inspect", copy)
    assert ran.returncode == 1
    assert "the tensors do not match their checksum" in ran.stderr
    assert "gatewise file MODEL --reseal" in ran.stderr

    ran = gatewise("file", copy, "--json")
    assert (ran.returncode, ran.stderr) == (1, "")
    found = json.loads(ran.stdout)
    assert found["altered"] == ["tensors"]
    assert found["weights"]["stated"] != found["weights"]["found"]
    page = gatewise("file", copy).stdout
    assert "altered: tensors; no command takes it until it is sealed again" in page
    assert f"was {found['weights']['stated']}" in page

    edited = copy.read_bytes()
    out = tmp_path / "sealed.safetensors"
    ran = gatewise("file", copy, "--reseal", "-o", out, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert copy.read_bytes() == edited, "the file itself is left alone where another is written"
    told = json.loads(ran.stdout)
    assert told["written"] == str(out)
    assert told["provenance"] == {
        "seed": 2,
        "resealed": [
            {
                "altered": ["tensors"],
                "weights": found["weights"],
                "structure": found["structure"],
                "task": None,
                "gatewise": gw.__version__,
            }
        ],
    }
    model, old = gw.load(out), gw.load(two)
    assert dict(model.provenance) == told["provenance"]
    np.testing.assert_array_equal(model.tensors["dense0.weight"], 2 * old.tensors["dense0.weight"])
    assert model.stream(old.stream().save()), "states of the old model still fit"
    assert json.loads(gatewise("file", out, "--json").stdout)["altered"] == []

    # The twin in Python.
    found_there, seal = read_edited(copy)
    assert (seal.weights.stated, seal.weights.found) == (found["weights"]["stated"], found["weights"]["found"])
    gw.Model(found_there.spec, found_there.tensors).save(tmp_path / "twin.safetensors")
    np.testing.assert_array_equal(answer(tmp_path / "twin.safetensors"), answer(out))


def test_in_place_and_again(copy: Path) -> None:
    before = answer(copy)
    edit(copy, double)
    ran = gatewise("file", copy, "--reseal")
    assert ran.returncode == 0
    assert f"written to {copy} with new checksums" in " ".join(ran.stdout.split())
    assert not np.array_equal(answer(copy), before)
    edit(copy, lambda held: held["gru0.bias_ih"].__iadd__(0.5))
    assert gatewise("file", copy, "--reseal").returncode == 0
    first, second = gw.load(copy).provenance["resealed"]
    assert first["weights"]["found"] == second["weights"]["stated"]


def test_edited_description(two: Path, copy: Path) -> None:
    def rename(described: Any) -> None:
        described["model"]["input"]["columns"] = ["x", "y"]

    edit(copy, told=rename)
    assert json.loads(gatewise("file", copy, "--json").stdout)["altered"] == ["description"]
    assert gatewise("file", copy, "--reseal").returncode == 0
    assert gw.load(copy).columns == ("x", "y")
    np.testing.assert_array_equal(answer(copy), answer(two))
    assert gw.load(copy).graph.structure == gw.load(two).graph.structure


def test_edited_structure(two: Path, copy: Path) -> None:
    def smoother(described: Any) -> None:
        described["model"]["head"]["smooth"] = 9

    edit(copy, told=smoother)
    found = json.loads(gatewise("file", copy, "--json").stdout)
    assert found["altered"] == ["description", "structure"]
    assert found["structure"]["stated"] == gw.load(two).graph.structure
    assert gatewise("file", copy, "--reseal").returncode == 0
    assert gw.load(copy).graph.structure == found["structure"]["found"] != found["structure"]["stated"]
    with pytest.raises(ValueError, match="another structure"):
        gw.load(copy).stream(gw.load(two).stream().save())


def put(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda held: held.__setitem__(name, value)


UNSOUND: dict[str, tuple[Callable[[dict[str, Any]], object], Callable[[Any], object], str]] = {
    "nan": (lambda held: held["dense0.bias"].fill(np.nan), id, "'dense0.bias' holds 2 non-finite values"),
    "shape": (put("dense0.bias", np.zeros(3, np.float32)), id, r"must be float32 (2,), got float32 (3,)"),
    "dtype": (put("dense0.bias", np.zeros(2)), id, "must be float32 (2,), got float64 (2,)"),
    "half": (put("dense0.bias", np.zeros(2, np.float16)), id, "must be float32 (2,), got float16 (2,)"),
    "missing": (lambda held: held.pop("dense0.bias"), id, "tensor 'dense0.bias' is missing"),
    "extra": (put("lora.a", np.zeros(2, np.float32)), id, "'lora.a' belongs to no layer"),
    "senseless": (lambda held: held["input.scale"].fill(0), id, "layer 'input'"),
    "kind": (id, lambda told: told["model"]["nodes"][0].update(kind="elman"), "elman"),
    "units": (id, lambda told: told["model"]["nodes"][0].update(units=13), "'gru0.weight_ih' must be float32 (39, 2)"),
    "format": (id, lambda told: told.update(format=2), "format 2, this version reads 1; upgrade"),
    "provenance": (id, lambda told: told.update(provenance=5), "provenance must be an object"),
    "key": (id, lambda told: told.pop("weights"), "must have the keys"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound(name: str, copy: Path) -> None:
    tensors, told, words = UNSOUND[name]
    edit(copy, tensors, told)
    edited = copy.read_bytes()
    ran = gatewise("file", copy, "--reseal")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"gatewise: {copy}: ")
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert copy.read_bytes() == edited


def test_lost_metadata(copy: Path) -> None:
    safetensors.numpy.save_file(safetensors.numpy.load_file(copy), copy)
    ran = gatewise("file", copy, "--reseal")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "not written by gatewise: '__metadata__' is missing" in ran.stderr


def test_truncated(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(FileError, match="no valid safetensors"):
        read_edited(copy)
    assert gatewise("file", copy, "--reseal").returncode == 1


def test_edited_tensors_of_the_task(two: Path, copy: Path) -> None:
    model = gw.load(two)
    ended(model, None, model.stream().state).save(copy)

    def later(held: dict[str, Any]) -> None:
        held["task.state.gru0.hidden"] += 1

    edit(copy, later)
    with pytest.raises(FileError, match="the tensors of the task do not match their checksum"):
        gw.load(copy)
    found = json.loads(gatewise("file", copy, "--json").stdout)
    assert found["altered"] == ["tensors of the task"]
    assert found["weights"]["stated"] == found["weights"]["found"]
    page = gatewise("file", copy).stdout
    assert f"task       {found['task']['found']}" in page
    assert f"was {found['task']['stated']}" in page
    assert gatewise("file", copy, "--reseal").returncode == 0
    assert (end_states(gw.load(copy))[None].fields["gru0.hidden"] == 1).all()


def test_a_detector_is_warned_about_its_calibration(copy: Path) -> None:
    retold(gw.load(copy), {}).replace(provenance={"resealed": "odd"}).save(copy)
    edit(copy, double)
    ran = gatewise("file", copy, "--reseal")
    assert ran.returncode == 0
    assert "warning: the calibration of the scores" in ran.stderr
    assert gw.load(copy).provenance["resealed"][0] == "odd"


def test_output_without_reseal(two: Path) -> None:
    ran = gatewise("file", two, "-o", "x")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "it needs --reseal" in ran.stderr
