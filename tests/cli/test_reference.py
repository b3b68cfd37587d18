"""docs/cli.md is what the commands say of themselves, and they say something of everything."""

from pathlib import Path

import click
import pytest

from gatewise.cli.app import cli
from gatewise.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_page_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert text == reference(), "write it anew: python -m gatewise.cli.reference > docs/cli.md"


@pytest.mark.parametrize("name", cli.commands)
def test_everything_has_help(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    assert command.short_help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []
    section = PAGE.read_text().partition(f"## gatewise {name}\n")[2].partition("\n## ")[0]
    absent = [option for p in command.params for option in p.opts if option.startswith("-") and option not in section]
    assert absent == []
