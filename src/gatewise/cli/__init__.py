"""The command line: one file per command, each a thin face of a public function. Heavy imports stand inside."""

from gatewise.cli.app import main as main

__all__ = ["main"]
