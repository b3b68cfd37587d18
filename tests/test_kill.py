"""SIGKILL in the middle of writing: what is then on disk is one of the two whole versions, old or new."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gatewise as gw

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# A parent that stays small: it forks a writer, kills it after a random moment, and reads what is there.
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
import gatewise as gw
from gatewise.file import atomic_write

what, folder = sys.argv[1], Path(sys.argv[2])
path = folder / "file"
spec = gw.ModelSpec(4, [gw.LayerSpec("gru", units=96)])
models = [gw.init(spec, seed=seed).replace(provenance={"seed": seed, "pad": "x" * 50_000 * seed}) for seed in (0, 1)]
streams = [model.stream() for model in models]
streams[1].push_many(np.ones((3, 4)))
states = [stream.save() for stream in streams]
assert states[0] != states[1]

def write(i):
    if what == "model":
        models[i].save(path)
    else:
        atomic_write(path, states[i])

def version():
    if what == "model":
        found = gw.load(path)
        i = found.provenance["seed"]
        assert all((found.tensors[name] == value).all() for name, value in models[i].tensors.items())
        return i
    return states.index(models[0].stream(path.read_bytes()).save())

began = time.perf_counter()
write(1)
write(0)
write_time = (time.perf_counter() - began) / 2
chance = random.Random(0)
seen = []
torn = 0
ready, tell = os.pipe()
while len(seen) < 40 or (len(seen) < 400 and (len(set(seen)) < 2 or not torn)):
    child = os.fork()
    if not child:
        os.write(tell, b".")
        i = 0
        while True:
            i = 1 - i
            write(i)
    os.read(ready, 1)
    time.sleep(chance.uniform(0, 4 * write_time))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    seen.append(version())
    left = [name for name in os.listdir(folder) if name != "file"]
    torn += len(left)
    for name in left:
        assert name.startswith(".file.") and name.endswith(".tmp"), name
        os.unlink(folder / name)
print(seen.count(0), seen.count(1), torn)
"""


@pytest.mark.parametrize("what", ["model", "state"])
def test_a_killed_writer_leaves_a_whole_file(what: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, what, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    old, new, torn = map(int, done.stdout.split())
    assert min(old, new) > 0, "the kills must fall at different moments"
    assert torn > 0, "some kill must fall in the middle of a write"


# Writes a model, and dies at one call on the way.
DYING = """
import os, signal, sys
import gatewise as gw
import gatewise.file

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

class Half:
    def __init__(self, name, mode):
        self.file = open(name, mode)
    def __enter__(self):
        return self
    def __exit__(self, *args):
        pass
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        die()

call, path = sys.argv[1:]
model = gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=3)]), seed=1)
if call == "write":
    gatewise.file.open = Half
else:
    setattr(gatewise.file.os, call, die)
model.save(path)
"""


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_killed_at_each_stage(call: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=3)]), seed=0).save(path)
    command = [sys.executable, "-c", DYING, call, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert gw.load(path).provenance == {"seed": 0}
    assert len(os.listdir(tmp_path)) == 2, "the old file, and the piece of the new one"
    gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=3)]), seed=2).save(path)
    assert gw.load(path).provenance == {"seed": 2}, "a piece left behind is in nobody's way"
