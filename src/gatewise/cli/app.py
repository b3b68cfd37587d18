"""The program `gatewise`: its commands, and how errors become one line and an exit code.

Exit codes: 0 success, 1 data, model or file refused, 2 wrong usage, 130 stopped by Ctrl-C, 141 the reader went away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from gatewise import __version__
from gatewise.cli.assess import assess
from gatewise.cli.bench import bench
from gatewise.cli.common import say, worded
from gatewise.cli.completion import VARIABLE, complete_files, completion
from gatewise.cli.demo import demo
from gatewise.cli.doctor import doctor
from gatewise.cli.file import file
from gatewise.cli.import_ import import_
from gatewise.cli.inspect import inspect
from gatewise.cli.predict import predict
from gatewise.cli.stream import stream
from gatewise.cli.train import train
from gatewise.errors import GatewiseError

DATA, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


class _ReaderGone(Exception):
    """The program that reads the output has closed it."""


class _Commands(click.Group):
    """The commands, in the order in which they were added.

    A broken pipe is left to `main`. An error of gatewise is worded for the command that raised it.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGone from None
        except GatewiseError as error:
            assert ctx.invoked_subcommand is not None
            raise click.ClickException(worded(error.text, self.commands[ctx.invoked_subcommand])) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gatewise", message="%(prog)s %(version)s")
def cli() -> None:
    """Recurrent sequence models, from data to device.

    Train on an ordinary CPU; stream with microseconds per step.

    \b
      gatewise train pump.csv --target vibration -o pump.safetensors
      gatewise stream pump.safetensors < readings.ndjson

    Results are written to standard output, messages to standard error. Exit codes: 0 success, 1 data, model or file
    refused, 2 wrong usage, 130 stopped by Ctrl-C.
    """  # noqa: D301


for command in (assess, train, stream, predict, inspect, file, import_, bench, doctor, demo, completion):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit. An error that the user can correct is one line on standard error, without a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    complete_files()
    try:
        status = cli.main(given or ["--help"], "gatewise", VARIABLE, standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        status = _fail(error.format_message() + where, USAGE)
    except click.ClickException as error:
        status = _fail(error.format_message(), DATA)
    except (click.Abort, KeyboardInterrupt) as error:
        why = str(error.__cause__ if isinstance(error, click.Abort) else error)
        status = _fail(why, INTERRUPTED) if why and error.__cause__ else INTERRUPTED
    except (_ReaderGone, BrokenPipeError):
        # The interpreter flushes once more at exit; let that go nowhere instead of failing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN_PIPE
    except ModuleNotFoundError as error:
        status = _fail(f"{error.name} is not installed: pip install 'gatewise[train]'", DATA)
    except OSError as error:
        name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        status = _fail(f"{name}{error.strerror or error}", DATA)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> int:
    say(message)
    return status
