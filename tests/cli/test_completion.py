"""gatewise completion: the script in a real shell, which then offers commands, options, choices and files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.program import gatewise
from gatewise.cli.app import cli

BASH = shutil.which("bash")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the program in it, under its name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gatewise"
    program.write_text(f"#!{sys.executable}\nfrom gatewise.cli import main\nmain()\n")
    program.chmod(0o755)
    return folder


def completed(programs: Path, *words: str) -> list[str]:
    """What bash would offer for the last word: first how it treats files, then the replies."""
    code = """
    compopt() { echo "files: $1 $2"; }
    source <(gatewise completion bash)
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _gatewise_completion gatewise
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    ran = subprocess.run(
        [str(BASH), "--norc", "-c", code, "bash", "gatewise", *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.split("\n")[:-1]


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_in_bash(programs: Path) -> None:
    assert completed(programs, "") == list(cli.commands)
    assert completed(programs, "st") == ["stream"]
    assert completed(programs, "nothing") == [""]
    assert completed(programs, "train", "--recur") == ["--recurrence"]
    assert completed(programs, "stream", "m", "--on-error", "s") == ["stop", "skip"]
    kinds = ["rnn", "lstm", "gru", "mingru", "minlstm", "rglru", "lru"]
    assert completed(programs, "train", "x.csv", "--recurrence", "") == kinds
    assert completed(programs, "train", "x.csv", "--recurrence", "l") == ["lstm", "lru"]
    assert completed(programs, "train", "--task", "f") == ["forecast"]
    assert completed(programs, "completion", "") == ["bash", "zsh", "fish"]
    assert completed(programs, "inspect", "pum") == ["files: -o default", ""]
    assert completed(programs, "train", "x.csv", "-o", "") == ["files: -o default", ""]
    assert completed(programs, "inspect", "--nothing") == [""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_says_how_to_install_it(shell: str) -> None:
    ran = gatewise("completion", shell)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(gatewise("completion", shell, "--json").stdout)
    assert found["script"] + "\n" == ran.stdout
    assert f"# To install: gatewise completion {shell} > {found['install']}\n" in ran.stdout
    assert f"_GATEWISE_COMPLETE={shell}_complete" in ran.stdout
    assert ran.stdout.startswith("#compdef gatewise\n") == (shell == "zsh")
    assert f"> {found['install']}" in gatewise("completion", "--help").stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_answers_the_other_shells(shell: str) -> None:
    asked = {"_GATEWISE_COMPLETE": f"{shell}_complete", "COMP_WORDS": "gatewise inspect pu", "COMP_CWORD": "pu"}
    if shell == "zsh":
        asked["COMP_CWORD"] = "2"
    ran = gatewise(env=asked)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.replace("\n", ",").startswith("file,pu")


def test_unknown_shell() -> None:
    ran = gatewise("completion", "tcsh")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "'tcsh' is not one of" in ran.stderr
