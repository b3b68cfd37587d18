"""The program as a subprocess, and models for it."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import gatewise as gw

PROGRAM = [sys.executable, "-c", "from gatewise.cli import main; main()"]


def gatewise(
    *arguments: str | os.PathLike[str], stdin: str | bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end: in a fork of `server.py`, or where it is given an environment, from its start."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    command = [*PROGRAM, *map(str, arguments)]
    if env is not None:
        ran = subprocess.run(command, input=data, capture_output=True, env={**os.environ, **env}, timeout=120)
        return subprocess.CompletedProcess(command, ran.returncode, ran.stdout.decode(), ran.stderr.decode())
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("in", "out", "err")]
        for path, content in zip(files, (data, b"", b""), strict=True):
            path.write_bytes(content)
        asked = {
            "arguments": [*map(str, arguments)],
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "files": [*map(str, files)],
        }
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(asked).encode() + b"\n")
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, status, files[1].read_text(), files[2].read_text())


@functools.cache
def _server() -> subprocess.Popen[bytes]:
    """The process of `server.py`, which ends with this one."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )

    def end() -> None:
        with server:
            pass

    atexit.register(end)
    return server


def detector(columns: Sequence[str] | None, width: int, missing: str, seed: int, units: int = 12) -> gw.Model:
    """A detector with random weights that answers with something other than zeros."""
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=width, columns=columns, scaling="standard", missing=missing),
        layers=[gw.LayerSpec("gru", units=units), gw.LayerSpec("dense", units=2)],
        head=gw.LayerSpec("tail_probability", smooth=3, false_alarms_per_1000=40.0, samples=100),
    )
    model = gw.init(spec, seed)
    rng = np.random.default_rng(seed)
    biases = {name: rng.normal(size=v.shape).astype(np.float32) for name, v in model.tensors.items() if "bias" in name}
    table = model.tensors["head.score"]
    head = {"head.unit": np.array([[10.0, 2.0]], np.float32), "head.score": table * np.float32(1.5)}
    return model.replace(tensors={**model.tensors, **biases, **head})


def diverging() -> gw.Model:
    """A model of one input whose state grows without bound: a recurrent unit of relu that doubles it at each step."""
    spec = gw.ModelSpec(inputs=1, layers=[gw.LayerSpec("gru", units=1, activation="relu")])
    zeros = {name: np.zeros_like(value) for name, value in gw.init(spec).tensors.items()}
    zeros["gru0.weight_ih"][:] = [[0], [0], [1]]
    zeros["gru0.weight_hh"][:] = [[0], [0], [8]]
    return gw.Model(spec, zeros)
