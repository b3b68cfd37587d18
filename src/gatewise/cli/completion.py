"""gatewise completion: the script with which a shell completes commands, options and file names, made by click."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from gatewise.cli.common import emit, json_option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE = "_GATEWISE_COMPLETE"
"""The environment variable by which the script asks the program for completions."""

INSTALL = {
    "bash": "~/.local/share/bash-completion/completions/gatewise",
    "zsh": "~/.zfunc/_gatewise",
    "fish": "~/.config/fish/completions/gatewise.fish",
}
ALSO = {
    "bash": "# For this shell alone: source <(gatewise completion bash)",
    "zsh": "# Once, in ~/.zshrc: fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    "fish": "# For this shell alone: gatewise completion fish | source",
}


@click.command(short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(list(INSTALL)))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script with which a shell completes commands, options and files.

    \b
      gatewise completion bash \\
          > ~/.local/share/bash-completion/completions/gatewise
      gatewise completion zsh > ~/.zfunc/_gatewise
      gatewise completion fish > ~/.config/fish/completions/gatewise.fish

    The folder must exist; for zsh it must also be in $fpath before compinit runs. The completions work in new shells.
    """  # noqa: D301
    if as_json:
        emit({"shell": shell, "install": INSTALL[shell], "script": script(shell)})
    else:
        click.echo(script(shell))


def script(shell: str) -> str:
    """The script for bash, zsh or fish, which begins with how to install it."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    program = click.get_current_context().find_root().command
    found = kind(program, {}, "gatewise", VARIABLE)
    lines = (found.source_template % found.source_vars()).strip().splitlines()
    told = [f"# To install: gatewise completion {shell} > {INSTALL[shell]}", ALSO[shell]]
    at = lines[0].startswith("#compdef")  # by which zsh knows a file of completions: it must stay the first line
    return "\n".join([*lines[:at], *told, *lines[at:]])


def complete_files() -> None:
    """When a shell asks for completions: offer file names wherever click knows no others."""
    if VARIABLE not in os.environ:
        return
    from click import shell_completion

    class Files(shell_completion.ShellComplete):
        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
            found = super().get_completions(args, incomplete)
            if found or not args or incomplete.startswith("-"):
                return found
            return [shell_completion.CompletionItem(incomplete, type="file")]

    for shell in (shell_completion.BashComplete, shell_completion.ZshComplete, shell_completion.FishComplete):
        shell_completion.add_completion_class(type(shell.__name__, (Files, shell), {}))
