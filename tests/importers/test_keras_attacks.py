"""Hostile and damaged files of Keras: refused in words, in the child process with its limits, and cheaply."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import FileError, MissingExtraError
from gatewise.importers import load
from gatewise.importers.keras import child, files
from importers.keras_attacks import ATTACKS, LAYERS, Attack, whole, zipped
from importers.keras_children import Ended, read_each
from importers.keras_passes import dense, error, lstm

WHOLE_WAY = ("virtual dataset without end", "external storage", "chunk that inflates", "cut in the middle")


@pytest.mark.parametrize("data", [whole(), zipped()], ids=["HDF5", "zip"])
def test_without_the_attack_it_is_a_model(data: bytes, tmp_path: Path) -> None:
    """Otherwise every attack could be refused for the wrong reason."""
    (tmp_path / "m").write_bytes(data)
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    first, last = ([value.astype(np.float64) for value in layer.weights.values()] for layer in LAYERS)
    assert error(load(tmp_path / "m").run(x)[:, -1], dense(lstm(x, *first)[:, -1], *last)) < 1e-5


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How reading each attack ends, in a process with its limits; all are forked from one, which is quicker."""
    answers = read_each([attack.data for attack in ATTACKS], tmp_path_factory.mktemp("attacks"))
    return {attack.name: answer for attack, answer in zip(ATTACKS, answers, strict=True)}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_refused_in_words(
    attack: Attack, ended: dict[str, Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_run", lambda data: ended[attack.name].done)
    refused(attack, tmp_path)


@pytest.mark.parametrize("attack", [each for each in ATTACKS if each.name in WHOLE_WAY], ids=str)
def test_refused_the_whole_way(attack: Attack, tmp_path: Path) -> None:
    refused(attack, tmp_path)


def refused(attack: Attack, folder: Path) -> None:
    path = folder / "m.h5"
    path.write_bytes(attack.data)
    with pytest.raises(FileError, match=attack.words) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), "the message names the file"
    assert len(message) < 800
    assert "\n" not in message


@pytest.mark.skipif(sys.platform != "linux", reason="the limits hold on Linux")
def test_no_attack_takes_memory_or_time(ended: dict[str, Ended]) -> None:
    """As the system counts them; the limit of processor time is in whole seconds."""
    assert {name for name, how in ended.items() if how.seconds > 2.5} == set()
    assert {name for name, how in ended.items() if how.kilobytes > 1 << 20} == set()


def test_the_process_that_reads_cannot_open_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    code = f"""
import sys
sys.path.insert(0, {str(Path(child.__file__).parent)!r})
import child, h5py
child.limit(100)
for tried in (lambda: open({str(secret)!r}), lambda: h5py.File({str(secret)!r})):
    try:
        tried()
    except OSError as error:
        print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["24", "24"]


def test_a_process_that_does_not_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(files, "SECONDS", 0.2)
    monkeypatch.setattr(child, "__file__", str(script))
    with pytest.raises(FileError, match=r"took more than 0 seconds; it is hostile or damaged"):
        files.read_file(str(script))


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the process that read it was ended by SIGSEGV"),
        ("raise SystemExit('no memory left')", "the process that reads it failed: no memory left"),
        ("print('{')", "gave no answer"),
        ("print('[]')", "gave no answer"),
        ('print(\'{"texts": {}, "arrays": [["a", "<f4", [1000]]]}\')', "gave no answer"),
        ('print(\'{"texts": {}, "arrays": [["a", "O", [0]]]}\')', "gave no answer"),
        ('print(\'{"texts": {}, "arrays": [["a", "<f4", [-1, 4]]]}\')', "gave no answer"),
    ],
)
def test_a_process_that_fails(does: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text(does)
    monkeypatch.setattr(child, "__file__", str(script))
    with pytest.raises(FileError, match=words):
        files.read_file(str(script))


def test_endless_work_is_ended_by_the_limit_of_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "busy.py"
    folder = str(Path(child.__file__).parent)
    script.write_text(f"import sys\nsys.path.insert(0, {folder!r})\nimport child\nchild.limit(0)\nwhile True: pass\n")
    monkeypatch.setattr(child, "__file__", str(script))
    with pytest.raises(FileError, match="took more time than a file of its size needs"):
        files.read_file(str(script))


def test_without_h5py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    (tmp_path / "m.h5").write_bytes(whole())
    with pytest.raises(MissingExtraError, match=r"pip install 'gatewise\[import\]'"):
        load(tmp_path / "m.h5")


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(whole())
    monkeypatch.setattr(child, "MOST_BYTES", 1000)
    with pytest.raises(FileError, match="bytes, more than the 1,000 that are imported"):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize("data", [whole(), zipped()], ids=["HDF5", "zip"])
def test_other_commands_say_that_it_must_be_imported(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(FileError, match="no safetensors data, but .* as Keras .*; import it first: gatewise import"):
        gw.load(tmp_path / "m.h5")
