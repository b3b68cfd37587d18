"""Runs of the program without the time of its imports: they are done once, and each run is a fork of this process.

A line of standard input asks for a run, in JSON: arguments, folder, environment, and paths of files in place of
standard input, output and error. The answer is a line with its exit status.
"""

import gc
import importlib
import json
import os
import sys

from gatewise.cli.app import main


def requests() -> None:
    """Answer requests to the end of the input; a forked child returns, to be the program."""
    while line := os.read(0, 1 << 20):
        while not line.endswith(b"\n"):
            line += os.read(0, 1 << 20)
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(1, f"{status}\n".encode())
    sys.exit()


def become(request: dict[str, object]) -> None:
    """Take over what a process is given at its start. Nothing was read or written through `sys` before."""
    os.chdir(request["folder"])  # type: ignore[arg-type]
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[arg-type]
    for number, path in enumerate(request["files"]):  # type: ignore[arg-type]
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.argv = ["gatewise", *request["arguments"]]  # type: ignore[misc]


for name in ("tasks.detector", "tasks.forecaster", "tasks.backtest", "train", "tables", "figures", "report", "measure"):
    importlib.import_module(f"gatewise.{name}")
gc.collect()
gc.freeze()
requests()
try:
    main()
except SystemExit as end:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(end.code or 0))  # to take all that was imported apart would take longer than most runs
