"""docs/cli.md: what each command's --help says, on one page.

To write it: python -m gatewise.cli.reference > docs/cli.md
"""

from __future__ import annotations

import click

from gatewise.cli.app import cli

COLUMNS = 100


def reference() -> str:
    """The page, in Markdown."""
    top = click.Context(cli, info_name="gatewise", terminal_width=COLUMNS, **cli.context_settings)
    parts = ["# The command line\n\nWhat `--help` says, command by command."]
    contexts = [top, *(click.Context(command, top, name) for name, command in cli.commands.items())]
    for context in contexts:
        parts.append(f"## {context.command_path}\n\n```text\n{context.command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
