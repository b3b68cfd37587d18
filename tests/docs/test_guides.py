"""What the guides show works: their Python runs and prints what they say, their shell lines are commands that exist."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from docs.scripts import DOCS, script
from gatewise.cli.app import cli
from gatewise.layers.activation import CODES, PARAMETERS, Activation
from gatewise.layers.base import Array

examples = script("examples")
ROOT = DOCS.parent
TEXTS = [page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))) if page.name != "cli.md"]


def test_every_guide_is_run() -> None:
    assert set(DOCS.glob("guides/*.md")) < set(examples.PAGES)
    assert all(page.is_file() for page in examples.PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", examples.PAGES, ids=lambda page: page.stem)
def test_a_page_prints_what_it_shows(page: Path) -> None:
    done = examples.run(page)
    assert done
    for block, printed in done:
        shown = "" if block.printed is None else block.printed.body
        assert examples.same(printed, shown, block.loose), (
            f"{page.name}, line {block.line}, prints\n{printed}\nbut shows\n{shown}\n"
            f"write it anew: python docs/examples.py docs/{page.relative_to(DOCS)}"
        )


def test_what_is_the_same() -> None:
    assert examples.same("loss 0.251 in 300 steps\n", "loss 0.25  in 300 steps")
    assert examples.same("1.0e-06 cpu='base' 0123456789ab...", "1.1e-06 cpu='avx2' ba9876543210...")
    assert not examples.same("loss 0.251 in 300 steps", "loss 0.251 in 301 steps")
    assert not examples.same("loss 0.5", "loss 0.25")
    assert not examples.same("loss 0.5", "error 0.5")
    assert not examples.same("loss 0.5", "loss 0.5 more")
    assert not examples.same("loss nan", "loss 0.5")
    assert examples.same("score\n1.0", "score\n2.0\n3.0", loose=True)
    assert not examples.same("score\n1.0", "alarm\n1.0", loose=True)


def test_blocks_and_what_they_print() -> None:
    page = "```python\na\n```\n\n```text\n1\n```\n\n```text\n2\n```\n"
    page += "```python\nb\n```\n<!-- one run -->\n\n```text\n3\n```\n"
    first, plain, second = examples.blocks(page)
    assert (first.body, first.printed.body, first.loose, first.line) == ("a\n", "1\n", False, 2)
    assert (plain.language, plain.body, plain.printed) == ("text", "2\n", None)
    assert (second.body, second.printed.body, second.loose) == ("b\n", "3\n", True)


def test_keras_weights_go_over_as_the_guide_says() -> None:
    """Against the step of a Keras GRU with reset_after, by hand."""
    found: dict[str, object] = {}
    page = DOCS / "guides" / "layers.md"
    examples.run(page, found)
    rng = np.random.default_rng(1)
    kernel, recurrent, bias = (rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((8, 96), (32, 96), (2, 96)))
    tensors = found["from_keras"](kernel, recurrent, bias)  # type: ignore[operator]
    model = found["gw"].Model(found["model"].spec, tensors)  # type: ignore[attr-defined]
    x = rng.normal(size=(20, 8)).astype(np.float32)
    h: Array = np.zeros(32)
    for t, answer in enumerate(model.run(x)):
        xz, xr, xh = np.split(x[t] @ kernel + bias[0], 3)
        hz, hr, hh = np.split(h @ recurrent + bias[1], 3)
        z, r = 1 / (1 + np.exp(-(xz + hz))), 1 / (1 + np.exp(-(xr + hr)))
        h = z * h + (1 - z) * np.tanh(xh + r * hh)
        assert np.abs(answer - h).max() < 1e-5


def test_the_guide_of_imports_lists_all_activations_of_a_spec_and_its_objects_are_right() -> None:
    page = (DOCS / "guides" / "import.md").read_text()
    listed = page.partition("The activations that `order` may")[2].partition("What is converted")[0]
    assert [kind for kind in CODES if f"`{kind}`" not in listed] == []
    objects = re.findall(r"`(\{\"kind\".*?\})`", listed)
    assert {Activation.parse("order", json.loads(each), tuple(CODES)).kind for each in objects} == set(PARAMETERS)


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    """Where each `gatewise ...` stands, and its words up to a pipe or redirection."""
    for page in TEXTS:
        for block in examples.blocks(page.read_text()):
            if block.language != "sh":
                continue
            for i, line in enumerate(block.body.replace("\\\n", "  ").splitlines()):
                words = shlex.shlex(line, posix=True, punctuation_chars=True)
                words.whitespace_split = True
                command: list[str] = []
                for word in [*words, ";"]:
                    if set(word) <= set("|&;<>()"):
                        if command[:1] == ["gatewise"]:
                            yield f"{page.relative_to(ROOT)}:{block.line + i}", command[1:]
                        command = [word] if word in ("<", ">", ">>") else []
                    else:
                        command.append(word)


@pytest.mark.parametrize(
    ("where", "arguments"), list(shell_lines()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_shell_line_is_a_command(
    where: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in arguments[1:]:
        if not word.startswith("-") and "/" not in word:
            Path(word).touch()  # files that are to exist
    name, *rest = arguments
    assert name in cli.commands, where
    cli.commands[name].make_context(name, rest)  # raises where an option, an argument or a choice is wrong


def test_shell_lines_are_found() -> None:
    found = list(shell_lines())
    assert {words[0] for _, words in found} > {"train", "stream", "inspect"}
    assert {where.partition(":")[0] for where, _ in found} > {"README.md", "docs/quickstart.md"}


def test_other_python_is_well_formed() -> None:
    for page in {*TEXTS} - {*examples.PAGES}:
        for block in examples.blocks(page.read_text()):
            if block.language == "python":
                compile(block.body, str(page), "exec")
