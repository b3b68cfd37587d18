"""Every command that writes a file leaves what is no regular file as it is, and says so before any long work."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from cli.program import gatewise
from gatewise import demo
from gatewise.cli.app import main
from nodes import NODES, node, number_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table and a model of its one column."""
    folder = tmp_path_factory.mktemp("writes")
    values = np.random.default_rng(0).normal(size=400)
    (folder / "v.csv").write_text("v\n" + "".join(f"{value:.4f}\n" for value in values))
    stage = gw.LayerSpec("numeric", width=1, columns=["v"])
    gw.init(gw.ModelSpec(input=stage, layers=[gw.LayerSpec("gru", units=2)])).save(folder / "m.safetensors")
    return folder


COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "train -o": lambda here, out: ["train", here / "v.csv", "-o", out],
    "train --metrics": lambda here, out: ["train", here / "v.csv", "-o", here / "no", "--metrics", out],
    "train --checkpoint": lambda here, out: ["train", here / "v.csv", "-o", here / "no", "--checkpoint", out],
    "predict -o": lambda here, out: ["predict", here / "m.safetensors", here / "v.csv", "-o", out],
    "file -o": lambda here, out: ["file", here / "m.safetensors", "--reseal", "-o", out],
    "stream --state": lambda here, out: ["stream", here / "m.safetensors", here / "v.csv", "--state", out],
}


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_regular_file_stays(
    folder: Path,
    tmp_path: Path,
    command: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def step(self: object) -> None:
        raise AssertionError("a step was made")

    monkeypatch.setattr("gatewise.train.run.Run.step", step)
    out = node(tmp_path / "node", kind)
    before = number_of(out)
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in COMMANDS[command](folder, out)])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (1, "")
    assert f"{out}: this is {NODES[kind]}" in said.err.replace(f"'{out}'", str(out))
    assert said.err.count("\n") == 1 + said.err.count("continuing from")
    assert ("or leave out --output to write to standard output" in said.err) == (
        command == "predict -o" and kind != "folder"
    )
    assert number_of(out) == before
    assert os.listdir(tmp_path) == ["node"]
    assert sorted(os.listdir(folder)) == ["m.safetensors", "v.csv"]


def test_the_demo_looks_at_its_places_before_it_trains(tmp_path: Path) -> None:
    out = node(tmp_path / "elnino.csv", "pipe")
    before = number_of(out)
    with pytest.raises(OSError, match="this is a pipe"):
        demo.run(tmp_path, say=lambda text: pytest.fail(text))
    assert number_of(out) == before
    assert os.listdir(tmp_path) == ["elnino.csv"]


def test_standard_output_is_no_place_for_a_file(folder: Path) -> None:
    """It is a pipe here; as /dev/stdout it has a name."""
    ran = gatewise("predict", folder / "m.safetensors", folder / "v.csv", "-o", "/dev/stdout", env={})
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "gatewise: /dev/stdout: this is a pipe, which writing a file would replace; give the path of a regular file, "
        "new or old, or leave out --output to write to standard output\n"
    )
