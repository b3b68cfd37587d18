"""gatewise stream --state, killed at random moments: what it wrote in all its lives equals one uninterrupted life."""

import fcntl
import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from cli.program import PROGRAM, gatewise

LINES = [json.dumps([float(a), float(b)]) + "\n" for a, b in np.random.default_rng(3).normal(size=(4000, 2))]
LIVES = 9


def feed(pipe: IO[bytes], lines: list[str], chance: random.Random) -> None:
    """Send lines in pieces that end anywhere, now and then with a pause."""
    data = "".join(lines).encode()
    try:
        while data:
            size = chance.choice((7, 100, 3000))
            pipe.write(data[:size])
            data = data[size:]
            if chance.random() < 0.5:
                time.sleep(chance.random() * 0.004)
        pipe.close()
    except (BrokenPipeError, ValueError):
        pass


def live(arguments: list[str], lines: list[str], seed: int, stdout: int | IO[bytes], deadly: bool) -> bytes:
    """One life of the program, killed at some moment after its first result; returns what came through a pipe."""
    chance = random.Random(seed)
    process = subprocess.Popen(
        [*PROGRAM, "stream", *arguments], stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL, bufsize=0
    )
    assert process.stdin
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # or thousands of lines wait in the pipe before the program has started
        fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, 4096)
    feeder = threading.Thread(target=feed, args=(process.stdin, lines, chance))
    feeder.start()
    received: list[bytes] = []
    if process.stdout:
        received.append(process.stdout.read(1))
        reader = threading.Thread(target=lambda: received.append(process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
    else:
        assert not isinstance(stdout, int)
        before = os.fstat(stdout.fileno()).st_size
        while process.poll() is None and os.fstat(stdout.fileno()).st_size == before:
            time.sleep(0.001)
    if deadly:
        time.sleep(chance.random() * 0.03)
        process.kill()
    process.wait(60)
    feeder.join()
    process.stdin.close()
    if process.stdout:
        reader.join()
        process.stdout.close()
    return b"".join(received)


@pytest.fixture(scope="module")
def truth(two: Path) -> bytes:
    return gatewise("stream", two, stdin="".join(LINES)).stdout.encode()


@pytest.mark.slow
@pytest.mark.parametrize("replay", [False, True])
def test_results_in_a_file(two: Path, tmp_path: Path, truth: bytes, replay: bool) -> None:
    state, results = tmp_path / "s", tmp_path / "results"
    ends = []
    with open(results, "ab") as output:
        for life in range(LIVES + 1):
            done = results.read_bytes().count(b"\n")
            ends.append(done)
            lines = LINES if replay else LINES[done:]
            options = ["--replay"] if replay else []
            live([str(two), "--state", str(state), *options], lines, life, output, deadly=life < LIVES)
    assert results.read_bytes() == truth
    assert len({end for end in ends if 0 < end < len(LINES)}) > 3, "the kills came in between"


@pytest.mark.slow
def test_results_in_a_pipe(two: Path, tmp_path: Path, truth: bytes) -> None:
    state, results = tmp_path / "s", b""
    ends = []
    for life in range(LIVES + 1):
        done = results.count(b"\n")
        ends.append(done)
        after = ["--after", str(done)] if life else []
        arguments = [str(two), "--state", str(state), *after]
        received = live(arguments, LINES[done:], life, subprocess.PIPE, deadly=life < LIVES)
        results += received[: received.rfind(b"\n") + 1]
    assert results == truth
    assert len({end for end in ends if 0 < end < len(LINES)}) > 3, "the kills came in between"


@pytest.mark.slow
def test_killed_while_it_waits(two: Path, tmp_path: Path, truth: bytes) -> None:
    """Reading by reading, killed as soon as a result is there: no need to say where the output ended."""
    results, chance = b"", random.Random(1)
    for _ in range(8):
        with subprocess.Popen(
            [*PROGRAM, "stream", str(two), "--state", str(tmp_path / "s")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        ) as process:
            assert process.stdin
            assert process.stdout
            for _ in range(chance.randint(1, 30)):
                process.stdin.write(LINES[results.count(b"\n")].encode())
                results += process.stdout.readline()
            process.kill()
    assert results == b"".join(truth.splitlines(keepends=True)[: results.count(b"\n")])
