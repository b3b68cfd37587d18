"""gatewise stream MODEL FILE: the results are those of the same lines on standard input."""

import gzip
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cli.program import PROGRAM, detector, gatewise

ROWS = 3000
VALUES = np.random.default_rng(3).normal(size=(ROWS, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    detector(["a", "b"], 2, "raise", 2).save(folder / "m.safetensors")
    lines = [f"{i % 3},{a:.4f},{b:.4f}" for i, (a, b) in enumerate(VALUES)]
    (folder / "r.csv").write_text("\n".join(["id,a,b", *lines]))  # without a line end at the end
    return folder


@pytest.mark.parametrize("options", [[], ["--pass", "id"], ["--series", "id"]])
def test_a_file_gives_what_its_lines_give(folder: Path, options: list[str]) -> None:
    text = (folder / "r.csv").read_text()
    wanted = gatewise("stream", folder / "m.safetensors", *options, stdin=text)
    assert (wanted.returncode, wanted.stdout.count("\n")) == (0, ROWS)
    found = gatewise("stream", folder / "m.safetensors", folder / "r.csv", *options, stdin="not read")
    assert (found.returncode, found.stdout, found.stderr) == (0, wanted.stdout, wanted.stderr)
    dash = gatewise("stream", folder / "m.safetensors", "-", *options, stdin=text)
    assert (dash.returncode, dash.stdout, dash.stderr) == (0, wanted.stdout, wanted.stderr)


def test_a_stream_with_a_state_goes_on_in_the_next_file(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "r.csv").read_text().splitlines()
    whole = gatewise("stream", folder / "m.safetensors", folder / "r.csv").stdout
    found = ""
    for name, part in (("1", lines[:1001]), ("2", [lines[0], *lines[1001:]])):
        (tmp_path / name).write_text("\n".join(part))
        ran = gatewise("stream", folder / "m.safetensors", tmp_path / name, "--state", tmp_path / "state")
        assert ran.returncode == 0
        found += ran.stdout
    assert found == whole


def test_a_pipe_with_a_name_is_read(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = [*PROGRAM, "stream", str(folder / "m.safetensors"), str(tmp_path / "pipe")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        (tmp_path / "pipe").write_text("a,b\n1,2\n3,4\n")
        out = process.communicate(timeout=60)[0]
    assert (process.returncode, out.count("\n")) == (0, 2)


def test_what_has_no_lines_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    (tmp_path / "r.parquet").write_bytes(b"PAR1 and so on PAR1")
    for path, status, said in (
        (tmp_path / "none.csv", 1, "none.csv: No such file or directory"),
        (tmp_path, 1, "is a folder; give a file of readings, one a line"),
        (tmp_path / "r.csv.gz", 1, f"unpack it into the stream: zcat {tmp_path / 'r.csv.gz'} | gatewise stream ..."),
        (tmp_path / "r.parquet", 1, "is a Parquet file, which has no lines to stream; gatewise predict reads it"),
        (folder / "m.safetensors", 2, "MODEL and FILE are the same file"),
    ):
        ran = gatewise("stream", folder / "m.safetensors", path)
        assert (ran.returncode, ran.stdout) == (status, "")
        assert said in ran.stderr
        assert ran.stderr.count("\n") == 1


def test_results_never_go_into_the_file_that_is_read(folder: Path, tmp_path: Path) -> None:
    """It would never end: each result would be read as a reading."""
    path = tmp_path / "r.csv"
    path.write_text("a,b\n1,2\n")
    with open(path, "a") as out:
        ran = subprocess.run(
            [*PROGRAM, "stream", str(folder / "m.safetensors"), str(path)],
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=60,
            text=True,
        )
    assert ran.returncode == 2
    assert "FILE and standard output are the same file" in ran.stderr
    assert path.read_text() == "a,b\n1,2\n"
