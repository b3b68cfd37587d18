"""A child forked from a process whose torch has used threads: it has none of them, and must not wait for them."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# A parent that uses two threads, forks, and kills the child that is not done in time.
RUN = """
import os, signal, sys, time
import numpy as np
import torch
import gatewise as gw
from gatewise.train import fit
from gatewise.train.process import torch_settings

torch.set_num_threads(2)
gru = torch.nn.GRU(64, 256, batch_first=True)
x = torch.randn(64, 50, 64)
rows = [np.sin(np.arange(2000.0) / k)[:, None] for k in (3, 5)]
spec = gw.ModelSpec(
    1, [gw.LayerSpec("gru", units=96), gw.LayerSpec("dense", units=3)], head=gw.LayerSpec("quantiles", horizons=[1])
)

def work():
    y = gru(x)[0].sum()
    y.backward()
    return float(y.detach()), fit(gw.init(spec), rows, steps=3, batch=64)[1].records[-1].loss

def child(within):
    if within:
        with torch_settings(0, 2):
            pid = os.fork()
        # the threads that the parent had must not come back at the end of the block
    else:
        pid = os.fork()
    if pid:
        return pid
    try:
        assert torch.get_num_threads() == 1, torch.get_num_threads()
        np.testing.assert_allclose(work(), expected, rtol=1e-3)
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)

expected = work()
for within in (False, True):
    pid, status = child(within), 0
    for _ in range(900):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        sys.exit("the child waits for threads that it does not have")
    assert os.waitstatus_to_exitcode(status) == 0, status
assert torch.get_num_threads() == 2, "the parent keeps its own"
"""


@pytest.mark.slow
def test_a_forked_child_trains_and_ends() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", RUN],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
