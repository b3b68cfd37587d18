"""A run that is killed, stopped or tampered with: it ends with the bits it would have had, or says why not."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.errors import FileError, InputError
from gatewise.file import seal, unseal
from gatewise.model import Model, init, load
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.train import History, Status, checkpoint, fit, loop, recover
from nodes import NODES, node, number_of

SPEC = ModelSpec(
    inputs=1,
    layers=[LayerSpec("gru", units=4), LayerSpec("dense", units=2)],
    head=LayerSpec("tail_probability"),
)
OPTIONS: dict[str, Any] = {"steps": 24, "evaluate_every": 5, "bptt": 16, "batch": 3, "learning_rate": 0.01}


def series() -> np.ndarray[Any, Any]:
    """A sine with noise. The part held out is noisier, so that the best weights are not the last ones."""
    noise = np.random.default_rng(0).standard_normal((260, 1))
    return np.sin(np.arange(260) / 5)[:, None] + np.where(np.arange(260) < 208, 0.1, 0.7)[:, None] * noise


def outcome(result: tuple[Model, History]) -> Any:
    """All that must be the same: the bits of the weights, provenance, and the history but for its seconds."""
    model, history = result
    records = [
        (r.step, r.epoch, r.loss, r.validation, r.learning_rate, r.gradient_norm, r.clip_rate) for r in history.records
    ]
    weights = {name: value.tobytes() for name, value in model.tensors.items()}
    return weights, dict(model.provenance), records, history.best_step, history.best_validation, history.stopped


@pytest.fixture(scope="module")
def whole() -> Any:
    """The run, uninterrupted."""
    model, history = fit(init(SPEC), series(), **OPTIONS)
    assert history.best_step == 15
    return outcome((model, history))


@pytest.fixture
def broken_off(tmp_path: Path) -> Path:
    """A checkpoint after step 13."""
    path = tmp_path / "run.safetensors"

    def stop(status: Status) -> None:
        if status.step == 13:
            raise EOFError

    with pytest.raises(EOFError):
        fit(init(SPEC), series(), checkpoint=path, checkpoint_every=0, progress=stop, **OPTIONS)
    return path


KILLED = """
# One process trains, again and again, each time in a child that is killed; torch is imported only once.
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from train.test_checkpoint import OPTIONS, SPEC, series
from gatewise.model import init
from gatewise.train import fit
import gatewise.file

folder = Path(sys.argv[2])
random.seed(1)

def child(die_in):
    if die_in == "writing":  # in the third checkpoint, half of whose bytes have reached the file
        count = 0
        sync = os.fsync
        def half(handle):
            nonlocal count
            count += 1
            if count == 5:  # each checkpoint flushes its file and its folder
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            sync(handle)
        gatewise.file.os.fsync = half
    elif die_in == "renaming":
        def never(*names):
            os.kill(os.getpid(), signal.SIGKILL)
        gatewise.file.os.replace = never
    files = {"checkpoint": folder / "run", "checkpoint_every": 0, "metrics": folder / "csv"}
    model, _ = fit(init(SPEC), series(), **files, **OPTIONS)
    model.save(folder / "model")

fit(init(SPEC), series(), steps=1)  # what is imported at first use is imported here
kills = 0
plan = ["renaming", 0.01, "writing", "renaming", "writing", 0.02, "writing"]
while True:
    how = plan.pop(0) if plan else random.uniform(0.0, 0.02 * 1.05**kills)
    if (pid := os.fork()) == 0:
        child(how)
        os._exit(0)
    if not isinstance(how, str):
        time.sleep(how)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status) or print(kills))
    kills += 1
    if kills > 200:
        sys.exit("no progress")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path: Path, whole: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(Path(__file__).parents[1]), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 7
    model = load(tmp_path / "model")
    assert {name: value.tobytes() for name, value in model.tensors.items()} == whole[0]
    assert dict(model.provenance) == whole[1]
    rows = [line.split(",") for line in (tmp_path / "csv").read_text().splitlines()[1:]]
    assert [int(row[0]) for row in rows] == [record[0] for record in whole[2]]  # no row twice, none lost
    assert [float(row[2]) for row in rows] == pytest.approx([record[2] for record in whole[2]], rel=1e-8)


@pytest.mark.parametrize("at", [1, 5, 12, 23])
def test_resumed_after_any_step_it_ends_with_the_same_bits(tmp_path: Path, whole: Any, at: int) -> None:
    path = tmp_path / "run"

    def stop(status: Status) -> None:
        if status.step == at:
            raise EOFError

    with pytest.raises(EOFError):
        fit(init(SPEC), series(), checkpoint=path, checkpoint_every=0, progress=stop, **OPTIONS)
    steps: list[int] = []
    resumed = fit(init(SPEC), series(), checkpoint=path, progress=lambda s: steps.append(s.step), **OPTIONS)
    assert steps == list(range(at + 1, 25))
    assert outcome(resumed) == whole


def test_losses_that_draw_random_numbers_resume_too(tmp_path: Path) -> None:
    def noisy(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (out[..., :1] + 0.3 * torch.randn_like(target) - target) ** 2

    def stop(status: Status) -> None:
        if status.step == 9:
            raise EOFError

    path = tmp_path / "run"
    straight = fit(init(SPEC), series(), loss=noisy, **OPTIONS)
    with pytest.raises(EOFError):
        fit(init(SPEC), series(), loss=noisy, checkpoint=path, checkpoint_every=0, progress=stop, **OPTIONS)
    torch.randn(100)
    assert outcome(fit(init(SPEC), series(), loss=noisy, checkpoint=path, **OPTIONS)) == outcome(straight)


def test_a_complete_run_returns_its_result_again(tmp_path: Path, whole: Any) -> None:
    path = tmp_path / "run"
    first = fit(init(SPEC), series(), checkpoint=path, checkpoint_every=1000, **OPTIONS)
    bytes_then = path.read_bytes()
    steps: list[Status] = []
    again = fit(init(SPEC), series(), checkpoint=path, progress=steps.append, **OPTIONS)
    assert outcome(first) == outcome(again) == whole
    assert not steps
    assert path.read_bytes() == bytes_then
    assert {name: value.tobytes() for name, value in recover(path).tensors.items()} == whole[0]


def test_the_first_checkpoint_comes_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = tmp_path / "run", []

    def count(status: Status) -> None:
        found.append(checkpoint.read(path).counters["step"] if path.exists() else 0)

    assert loop.FIRST_CHECKPOINT == 5.0
    fit(init(SPEC), series(), checkpoint=path, checkpoint_every=1000, progress=count, **OPTIONS)
    assert set(found[:-1]) == {0}
    path.unlink()
    found.clear()
    monkeypatch.setattr(loop, "FIRST_CHECKPOINT", 0.0)
    fit(init(SPEC), series(), checkpoint=path, checkpoint_every=1000, progress=count, **OPTIONS)
    assert set(found[:-1]) == {1}
    assert found[-1] > 1


def test_ctrl_c_finishes_the_step_and_keeps_it(tmp_path: Path, whole: Any) -> None:
    path = tmp_path / "run"
    handler = signal.getsignal(signal.SIGINT)

    def press(status: Status) -> None:
        if status.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    # It comes after the checkpoint of step 7, so step 8 is the one that is finished and kept.
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step 8, run it again to continue from .*run"):
        fit(init(SPEC), series(), checkpoint=path, checkpoint_every=1000, progress=press, **OPTIONS)
    assert signal.getsignal(signal.SIGINT) is handler
    steps: list[int] = []
    again = fit(init(SPEC), series(), checkpoint=path, progress=lambda status: steps.append(status.step), **OPTIONS)
    assert steps[0] == 9, "it went on, and did not begin anew"
    assert outcome(again) == whole
    with pytest.raises(KeyboardInterrupt, match="without a checkpoint"):
        fit(init(SPEC), series(), progress=press, **OPTIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.2}, r"learning_rate \(0.01 there, 0.2 here\)"),
        ({"steps": 25}, r"steps \(24 there, 25 here\)"),
        ({"seed": 1}, "seed"),
        ({"validation": 0.3}, "data"),
        ({"loss": lambda y, t, m: y[..., 0] - t}, r"loss \('head' there"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(broken_off: Path, change: dict[str, Any], message: str) -> None:
    before = broken_off.read_bytes()
    with pytest.raises(FileError, match=rf"belongs to another run, which differs in {message}.*resume=False"):
        fit(init(SPEC), series(), checkpoint=broken_off, **{**OPTIONS, **change})
    assert broken_off.read_bytes() == before


def test_a_checkpoint_of_another_model_or_data_is_refused(broken_off: Path, whole: Any) -> None:
    with pytest.raises(FileError, match="differs in model"):
        fit(init(SPEC, seed=1), series(), checkpoint=broken_off, **OPTIONS)
    assert SPEC.head is not None
    with pytest.raises(FileError, match="differs in model"):
        fit(init(SPEC.replace(head=SPEC.head.replace(df=4.0))), series(), checkpoint=broken_off, **OPTIONS)
    with pytest.raises(FileError, match="differs in data"):
        fit(init(SPEC), series() + 1, checkpoint=broken_off, **OPTIONS)
    anew = fit(init(SPEC), series(), checkpoint=broken_off, resume=False, **OPTIONS)
    assert outcome(anew) == whole


def test_a_run_with_another_number_of_threads_is_refused(broken_off: Path) -> None:
    """It would go on, to other bits."""
    with pytest.raises(
        FileError, match=r"differs in threads \(1 there, 2 here\).*other bits.*threads=1 .*resume=False"
    ):
        fit(init(SPEC), series(), checkpoint=broken_off, threads=2, **OPTIONS)
    model, _ = fit(init(SPEC), series(), checkpoint=broken_off, threads=1, **OPTIONS)
    assert model.provenance["training"]["threads"] == 1


def test_a_damaged_checkpoint_is_refused(broken_off: Path, tmp_path: Path) -> None:
    data = broken_off.read_bytes()
    length = int.from_bytes(data[:8], "little")
    flipped = [
        data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (3, 20, length - 40, length + 9, len(data) - 1)
    ]
    model = tmp_path / "model"
    init(SPEC).save(model)
    for damaged in (
        b"",
        data[:7],
        data[:100],
        data[: len(data) // 2],
        data[:-1],
        data + b"x",
        *flipped,
        model.read_bytes(),
    ):
        broken_off.write_bytes(damaged)
        with pytest.raises(FileError, match=r"checkpoint .*run\.safetensors"):
            fit(init(SPEC), series(), checkpoint=broken_off, **OPTIONS)
        with pytest.raises(FileError):
            recover(broken_off)


def _without(name: str) -> Any:
    return lambda tensors, told: tensors.pop(name)


def _with(name: str, value: Any) -> Any:
    return lambda tensors, told: tensors.update({name: value})


def _counter(name: str, value: Any) -> Any:
    return lambda tensors, told: told["counters"].update({name: value})


def _stopped_without_records(tensors: Any, told: Any) -> None:
    told["counters"]["stopped"] = "budget"
    tensors["records"] = tensors["records"][:0]


GENERATOR = len(torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("weights.gru0.weight_ih"), r"weights.gru0.weight_ih must be float32 \(12, 1\), got nothing"),
        (_with("best.dense0.bias", np.zeros(3, np.float32)), r"best.dense0.bias must be float32 \(2,\)"),
        (_with("state.gru0.hidden", np.zeros((3, 4))), r"state.gru0.hidden must be float32 \(3, 4\), got float64"),
        (_with("adam.step.gru0.bias_hh", np.zeros(2, np.float32)), r"adam.step.gru0.bias_hh must be float32 \(\)"),
        (_with("best.dense0.bias", np.full(2, np.nan, np.float32)), "tensor 'dense0.bias' holds 2 non-finite values"),
        (_with("generator", np.zeros(3, np.uint8)), "generator must be uint8"),
        (_with("generator", np.full(GENERATOR, 255, np.uint8)), "generator is no state of torch's random generator"),
        (_with("records", np.zeros((2, 3))), "records must be float64"),
        (_with("records", np.array(1.0)), "records must be float64"),
        (_without("records"), "records must be float64"),
        (_with("records", np.full((2, 8), np.nan)), "record 0 has the step nan"),
        (_with("records", np.full((2, 8), np.inf)), "record 0 has the step inf"),
        (_with("records", np.array([[5, 0.5, 0, 0, 0, 0, 0, 0]])), "record 0 has the epoch 0.5"),
        (_with("records", np.array([[5, -1.0, 0, 0, 0, 0, 0, 0]])), "record 0 has the epoch -1"),
        (_with("records", np.array([[5, 0, np.nan, 0, 0, 0, 0, 0]])), "record 0 has the loss nan"),
        (_stopped_without_records, "the run is over, but has no records"),
        (_counter("stopped", "bored"), "counter stopped is 'bored'"),
        (_counter("seconds", 10**400), "counter seconds is 1000"),
        (_counter("batches", 10**6), "it is at batch 1000000 of an epoch of"),
        (_counter("step", "many"), "counter step is 'many'"),
        (_counter("epoch", -1), "counter epoch is -1"),
        (_counter("more", 1), "must have the counters"),
    ],
)
def test_a_forged_checkpoint_is_refused(broken_off: Path, change: Any, message: str) -> None:
    """Its checksums are right; what it says is not."""
    keys = ("format", "run", "model", "counters", "tensors")
    tensors, described = unseal(broken_off.read_bytes(), 1, keys)
    change(tensors, described)
    from gatewise.file import digest

    broken_off.write_bytes(seal(tensors, {**described, "tensors": digest(tensors)}))
    with pytest.raises(FileError, match=rf"checkpoint .*run\.safetensors: .*{message}"):
        fit(init(SPEC), series(), checkpoint=broken_off, **OPTIONS)


def test_another_version_is_refused(broken_off: Path) -> None:
    tensors, described = unseal(broken_off.read_bytes(), 1, ("format", "run", "model", "counters", "tensors"))
    broken_off.write_bytes(seal(tensors, {**described, "format": 2}))
    with pytest.raises(FileError, match="format 2, this version reads 1; upgrade gatewise"):
        recover(broken_off)


def test_a_checkpoint_that_cannot_be_written_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="checkpoint='.*run': there is no folder .*none; create it first"):
        fit(init(SPEC), series(), checkpoint=tmp_path / "none" / "run", **OPTIONS)


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
@pytest.mark.parametrize("name", ["checkpoint", "metrics"])
def test_a_place_that_is_no_file_is_refused_before_any_step(tmp_path: Path, name: str, kind: str) -> None:
    path = node(tmp_path / "node", kind)
    before, steps = number_of(path), []
    with pytest.raises(InputError, match=f"{name}='.*node': this is {NODES[kind]}"):
        fit(init(SPEC), series(), **{name: path}, resume=False, progress=steps.append, **OPTIONS)
    assert (number_of(path), steps) == (before, [])


def test_files_that_would_overwrite_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("run")
    with pytest.raises(InputError, match="checkpoint and metrics are the same file, .*link; give each a file of its"):
        fit(init(SPEC), series(), checkpoint=tmp_path / "run", metrics=tmp_path / "link", **OPTIONS)


@pytest.mark.parametrize("missing", ["hold", "mask"])
def test_states_of_held_readings_resume_with_the_same_bits(tmp_path: Path, missing: str) -> None:
    """Their rows are columns of the matrix that was held, so they do not lie one after the other in memory."""
    gaps = np.concatenate([series(), series()[::-1]], axis=1)
    gaps[40:50, 0] = gaps[90:120, 1] = np.nan
    stage = LayerSpec("numeric", width=2, missing=missing)
    head = LayerSpec("tail_probability", masked=missing == "mask")
    model = init(ModelSpec(input=stage, layers=[LayerSpec("gru", units=4), LayerSpec("dense", units=2)], head=head))
    path = tmp_path / "run"

    def stop(status: Status) -> None:
        if status.step == 13:
            raise EOFError

    with pytest.raises(EOFError):
        fit(model, gaps, checkpoint=path, checkpoint_every=0, progress=stop, **OPTIONS)
    resumed = fit(model, gaps, checkpoint=path, **OPTIONS)
    assert outcome(resumed) == outcome(fit(model, gaps, **OPTIONS))


def test_a_checkpoint_that_could_not_be_read_again_is_no_checkpoint(
    tmp_path: Path, broken_off: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, before = checkpoint.read(broken_off), broken_off.read_bytes()
    with monkeypatch.context() as patch:  # memory as it lies, in the order of another array
        patch.setattr("gatewise.file._as_written", lambda value: value.reshape(value.shape[::-1]).T)
        with pytest.raises(FileError, match=r"checkpoint .*: .* would not be read again as it is, so nothing was writ"):
            checkpoint.write(broken_off, found)
    assert broken_off.read_bytes() == before
    with monkeypatch.context() as patch:  # a disk that keeps something else
        patch.setattr(checkpoint, "atomic_write", lambda path, data: Path(path).write_bytes(data[:-1] + b"?"))
        with pytest.raises(FileError, match=r"what was written cannot be read again; check the disk"):
            checkpoint.write(broken_off, found)
    checkpoint.write(broken_off, found)
    assert broken_off.read_bytes() == before
