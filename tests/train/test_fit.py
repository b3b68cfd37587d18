"""`fit` against a loop written by hand, known entropies, and the reference run; and what it leaves behind."""

import csv
import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

import gatewise
from gatewise.errors import InputError, SpecError, TrainError
from gatewise.graph import reference_run, resolve
from gatewise.model import Model, init
from gatewise.nn import to_torch
from gatewise.spec import LayerSpec, ModelSpec, bidirectional
from gatewise.train import Status, fit, recover

Array = np.ndarray[Any, Any]


def forecaster(units: int = 8, inputs: int = 1, **options: Any) -> ModelSpec:
    return ModelSpec(
        input=LayerSpec("numeric", width=inputs, **options),
        layers=[LayerSpec("gru", units=units), LayerSpec("dense", units=2)],
        head=LayerSpec("tail_probability", df=5.0),
    )


def autoregression(steps: int, seed: int = 0, noise: float = 0.5) -> Array:
    """x_t = 1.2 x_(t-1) - 0.5 x_(t-2) + noise e_t with e of a Student t with 5 degrees of freedom."""
    e = noise * np.random.default_rng(seed).standard_t(5, steps)
    x = np.zeros(steps)
    for t in range(2, steps):
        x[t] = 1.2 * x[t - 1] - 0.5 * x[t - 2] + e[t]
    return x[:, None]


def same_bits(a: Model, b: Model) -> bool:
    return all(a.tensors[name].tobytes() == b.tensors[name].tobytes() for name in a.tensors)


def squares(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (out[..., 0] - target) ** 2


def test_equals_a_loop_written_by_hand() -> None:
    """One lane of torch's own GRU, AdamW and schedule in float64: the state is carried, the gradient is cut."""
    model = init(ModelSpec(inputs=2, layers=[LayerSpec("gru", units=4), LayerSpec("dense", units=1)]))
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((40, 2)), rng.standard_normal(40)
    target[5] = np.nan
    settings = {"learning_rate": 0.02, "weight_decay": 0.1, "clip": 0.3, "warmup": 0.2}
    fitted, history = fit(model, x, target, loss=squares, validation=0, epochs=4, bptt=10, batch=1, **settings)

    gru, dense = torch.nn.GRU(2, 4, batch_first=True).double(), torch.nn.Linear(4, 1).double()
    own = {f"gru0.{name[:-3]}": parameter for name, parameter in gru.named_parameters()}
    own |= {f"dense0.{name}": parameter for name, parameter in dense.named_parameters()}
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.tensor(model.tensors[name]))
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for n, p in own.items() if "weight" in n], "weight_decay": 0.1},
            {"params": [p for n, p in own.items() if "bias" in n], "weight_decay": 0.0},
        ]
    )
    norms, losses = [], []
    for step in range(16):
        if step % 4 == 0:
            h = torch.zeros(1, 1, 4, dtype=torch.float64)
        part = slice(10 * (step % 4), 10 * (step % 4) + 10)
        y, h = gru(torch.tensor(x[None, part]), h.detach())
        known = np.isfinite(target[part])
        error = (dense(y)[0, known, 0] - torch.tensor(target[part][known])) ** 2
        optimiser.zero_grad()
        error.mean().backward()
        losses.append(error.mean().item())
        norms.append(torch.nn.utils.clip_grad_norm_(list(own.values()), 0.3).item())
        used = step / 16
        ramp = max(used / 0.2, 0.01) if used < 0.2 else 0.5 * (1 + math.cos(math.pi * (used - 0.2) / 0.8))
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * ramp
        optimiser.step()
    for name, parameter in own.items():
        np.testing.assert_allclose(fitted.tensors[name], parameter.detach().numpy(), rtol=1e-4, atol=1e-5)
    (record,) = history.records
    assert (record.step, record.epoch, history.stopped) == (16, 4, "budget")
    assert record.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert record.gradient_norm == pytest.approx(np.mean(norms), rel=1e-4)
    assert record.clip_rate == np.mean(np.array(norms) > 0.3)
    assert 0 < record.clip_rate < 1
    assert record.learning_rate == pytest.approx(0.02 * ramp)
    assert math.isnan(record.validation)
    assert history.best_validation is None


def test_the_held_out_loss_equals_the_reference_run() -> None:
    """With gaps, a scaled input, and two series; against NumPy float64 and scipy's Student t."""
    rng = np.random.default_rng(1)
    series = [autoregression(300, 1) * 3 + 10, autoregression(100, 2) * 3 + 10]
    series[0][rng.random(300) < 0.1] = np.nan
    model = init(forecaster(scaling="standard", missing="hold"))
    scaling = {"input.offset": np.array([10.0], np.float32), "input.scale": np.array([3.0], np.float32)}
    model = model.replace(tensors={**model.tensors, **scaling})
    fitted, history = fit(model, series, steps=30, evaluate_every=30, bptt=20, validation=0.25)
    assert history.best_step == 30

    losses: list[float] = []
    body = resolve(fitted.spec.replace(head=None))
    for x in series:
        cut = len(x) - len(x) // 4
        begin = max(0, cut - 4 * 20)
        z = (x[:, 0] - 10) / 3
        out = reference_run(body, {n: v for n, v in fitted.tensors.items() if n in body.tensors}, x[None, begin:])[0][0]
        for t in range(cut, len(x) - 1):
            if np.isfinite(z[t + 1]):
                location, log_scale = out[t - begin]
                losses.append(-scipy.stats.t.logpdf(z[t + 1], 5, location, np.exp(log_scale)))
    assert history.best_validation == pytest.approx(np.mean(losses), abs=1e-5)


def test_learns_an_autoregression_to_its_entropy() -> None:
    """No forecast can have a lower expected loss than the entropy of the noise; this one comes close to it."""
    x = autoregression(6000)
    fitted, history = fit(init(forecaster()), x, steps=400, learning_rate=0.01)
    entropy = scipy.stats.t.entropy(5) + math.log(0.5)
    # The same noise under the true law: what the held-out part could give at best, chance included.
    residual = x[4801:, 0] - 1.2 * x[4800:-1, 0] + 0.5 * x[4799:-2, 0]
    possible = -scipy.stats.t.logpdf(residual, 5, 0, 0.5).mean()
    assert possible == pytest.approx(entropy, abs=0.06)
    assert history.best_validation is not None
    assert possible - 0.01 < history.best_validation < possible + 0.02
    marginal = -scipy.stats.t.logpdf(x[4801:, 0], *scipy.stats.t.fit(x[:4800, 0])).mean()
    assert history.best_validation < marginal - 0.3
    # The fitted model says so too: its head's band and expected value, run in the native core.
    answers = dict(zip(fitted.output_names, np.asarray(fitted.run(x)).T, strict=True))
    ideal = 1.2 * x[1:-1, 0] - 0.5 * x[:-2, 0]
    assert np.abs(answers["expected"][2:] - ideal)[100:].mean() < 0.1


def test_carried_state_reaches_further_back_than_the_gradient() -> None:
    """The sign seen every 40 steps must be told all the time; the gradient goes back 10 steps only."""
    rng = np.random.default_rng(0)
    signs = np.repeat(rng.choice([-1.0, 1.0], 100), 40)
    x = np.where(np.arange(4000) % 40 < 10, signs, 0.0)[:, None]
    model = init(ModelSpec(inputs=1, layers=[LayerSpec("gru", units=8), LayerSpec("dense", units=1)]))
    _, history = fit(model, x, signs, loss=squares, steps=600, bptt=10, learning_rate=0.01)
    assert history.best_validation is not None
    # Without memory the 30 silent steps of each 40 could not be told: a loss of 0.75.
    assert history.best_validation < 0.1


def test_classifies_with_whole_number_targets() -> None:
    """Which of the last three readings was largest."""
    x = np.random.default_rng(0).standard_normal((3000, 1))
    target = np.array([int(np.argmax(x[t - 2 : t + 1])) if t > 1 else 0 for t in range(3000)])
    model = init(ModelSpec(inputs=1, layers=[LayerSpec("gru", units=16), LayerSpec("dense", units=3)]))

    parts = (x[:2400], target[:2400]), (x[2400:], target[2400:])
    fitted, history = fit(model, *parts[0], validation=parts[1], loss=cross_entropy, steps=300, learning_rate=0.02)
    answers = np.asarray(fitted.run(x[2400:])).argmax(1)
    assert (answers[2:] == target[2402:]).mean() > 0.9
    assert history.best_validation is not None
    assert history.best_validation < 0.3 < math.log(3)


def cross_entropy(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(out.transpose(1, 2), target, reduction="none")


def test_absent_labels_have_no_loss_and_no_gradient() -> None:
    """Against torch's own GRU in float64, whose loss is the mean over the labels that are present alone."""
    model = init(ModelSpec(inputs=2, layers=[LayerSpec("gru", units=4), LayerSpec("dense", units=3)]))
    rng = np.random.default_rng(0)
    x, labels, present = rng.standard_normal((40, 2)), rng.integers(0, 3, 40), rng.random(40) < 0.4
    settings = {"learning_rate": 0.02, "weight_decay": 0.0, "clip": None, "warmup": 0.0, "evaluate_every": 1}
    options: dict[str, Any] = {**settings, "epochs": 2, "bptt": 10, "batch": 1, "validation": (x, labels, ~present)}
    _, history = fit(model, x, labels, mask=present, loss=cross_entropy, patience=None, **options)

    gru, dense = torch.nn.GRU(2, 4, batch_first=True).double(), torch.nn.Linear(4, 3).double()
    own = {f"gru0.{name[:-3]}": parameter for name, parameter in gru.named_parameters()}
    own |= {f"dense0.{name}": parameter for name, parameter in dense.named_parameters()}
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.tensor(model.tensors[name]))
    optimiser = torch.optim.AdamW(own.values(), weight_decay=0.0)
    for step, record in enumerate(history.records):
        if step % 4 == 0:
            h = torch.zeros(1, 1, 4, dtype=torch.float64)
        part = slice(10 * (step % 4), 10 * (step % 4) + 10)
        y, h = gru(torch.tensor(x[None, part]), h.detach())
        there = present[part]
        loss = torch.nn.functional.cross_entropy(dense(y)[0, there], torch.tensor(labels[part][there]))
        optimiser.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in own.values() if p.grad is not None))
        assert record.loss == pytest.approx(loss.item(), rel=1e-5)
        assert record.gradient_norm == pytest.approx(norm, rel=1e-5)
        optimiser.param_groups[0]["lr"] = 0.02 * 0.5 * (1 + math.cos(math.pi * step / 8))
        optimiser.step()
        with torch.no_grad():
            others = dense(gru(torch.tensor(x[None]))[0])[0, ~present]
        held_out = torch.nn.functional.cross_entropy(others, torch.tensor(labels[~present]))
        assert record.validation == pytest.approx(held_out.item(), rel=1e-5)
    assert len(history.records) == 8
    last, _ = fit(model, x, labels, mask=present, loss=cross_entropy, **{**options, "validation": 0})
    for name, parameter in own.items():
        np.testing.assert_allclose(last.tensors[name], parameter.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert not same_bits(last, model)


@pytest.mark.parametrize("context", ["carried", {"window": 5}], ids=["carried", "window"])
def test_the_value_of_an_absent_target_never_matters(context: Any) -> None:
    layers = [LayerSpec("gru", units=4), LayerSpec("dense", units=3)]
    model = init(ModelSpec(inputs=1, layers=layers, context=context))
    rng = np.random.default_rng(0)
    x, labels, present = rng.standard_normal((120, 1)), rng.integers(0, 3, 120), rng.random(120) < 0.4

    def trained(labels: Array, mask: Array | None, loss: Any = cross_entropy) -> Model:
        return fit(model, x, labels, mask=mask, loss=loss, steps=15, batch=3, bptt=None, evaluate_every=5)[0]

    wanted = trained(labels, present)
    for other in (-100, 7, 2**40):  # no labels of a class, and what torch itself would ignore
        assert same_bits(trained(np.where(present, labels, other), present), wanted)
    assert not same_bits(trained(np.where(present, labels, 0), None), wanted)
    assert same_bits(trained(np.ma.masked_array(labels, ~present), None), wanted)

    def of_floats(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return cross_entropy(out, target.long(), mask)

    for absent in (np.nan, np.inf, 1.5e30):
        assert same_bits(trained(np.where(present, labels, absent), present, of_floats), wanted)


def test_a_joint_loss_counts_steps_whose_targets_are_all_there() -> None:
    model = init(ModelSpec(inputs=1, layers=[LayerSpec("dense", units=2)]))
    target = np.ones((20, 2))
    target[3, 1] = target[7] = np.nan
    seen = []

    def joint(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen.append(mask)
        return 0.0 * out.sum(-1) + target.sum(-1)

    _, history = fit(model, np.ones((20, 1)), target, loss=joint, steps=1, validation=0)
    assert history.records[0].loss == 2.0  # 18 steps of 2; a step with a gap would give 1 or 0
    assert int(seen[0].sum()) == 37
    with pytest.raises(InputError, match="do not reduce it"):
        fit(model, np.ones((20, 1)), target, loss=lambda y, t, m: (y - t).mean(), steps=1, validation=0)


@pytest.mark.parametrize("loss", [lambda y, t: (y - t) ** 2, lambda y, t, m, n: y, torch.nn.MSELoss(reduction="none")])
def test_a_loss_must_take_three_arguments(loss: Any) -> None:
    model = init(ModelSpec(inputs=1, layers=[LayerSpec("dense", units=1)]))
    x = np.ones((20, 1))
    with pytest.raises(InputError, match=r"called as loss\(out, target, mask\), got one with the parameters \("):
        fit(model, x, x, loss=loss, steps=1, validation=0)


@pytest.mark.parametrize("loss", [lambda *three: (three[0] - three[1]) ** 2, lambda y, t, m, n=2: (y - t) ** n])
def test_a_loss_may_take_more_arguments_that_need_not_be_given(loss: Any) -> None:
    model = init(ModelSpec(inputs=1, layers=[LayerSpec("dense", units=1)]))
    x = np.ones((20, 1))
    assert fit(model, x, x, loss=loss, steps=1, validation=0)[1].records[0].step == 1


def test_the_same_seed_gives_the_same_bits_and_nothing_is_left_behind(tmp_path: Path) -> None:
    model, x = init(forecaster(), seed=1), autoregression(500)
    before = {name: value.tobytes() for name, value in model.tensors.items()}
    torch.manual_seed(5)
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    used = []
    with torch.no_grad():
        first, history = fit(model, x, steps=20, seed=3, threads=1)
        fit(model, x, steps=1, threads=2, progress=lambda status: used.append(torch.get_num_threads()))
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), generator)
    assert used == [2]
    assert torch.get_num_threads() == threads
    assert {name: value.tobytes() for name, value in model.tensors.items()} == before
    torch.manual_seed(99)
    again, same = fit(model, x, steps=20, seed=3, threads=1)
    other, _ = fit(model, x, steps=20, seed=4, threads=1)
    assert same_bits(first, again)
    assert not same_bits(first, other)
    assert [r.loss for r in history.records] == [r.loss for r in same.records]
    first.save(tmp_path / "a")
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_says_where_it_came_from(tmp_path: Path) -> None:
    fitted, history = fit(init(forecaster()), autoregression(200), steps=5, seed=7, clip=0.5)
    provenance = json.loads(json.dumps(dict(fitted.provenance), allow_nan=False))
    assert provenance["seed"] == 7
    assert len(provenance["data"]) == 64
    assert provenance["versions"]["torch"] == torch.__version__
    assert provenance["metrics"]["validation"] == history.best_validation
    assert provenance["metrics"]["steps"] == 5
    assert provenance["training"]["clip"] == 0.5
    fitted.save(tmp_path / "m")
    assert gatewise.load(tmp_path / "m").provenance == fitted.provenance


def test_stops_when_it_no_longer_improves_and_keeps_the_best(tmp_path: Path) -> None:
    """Noise teaches nothing: the loss on the held-out part soon rises."""
    x = np.random.default_rng(0).standard_normal((300, 1))
    options: dict[str, Any] = {"steps": 5000, "evaluate_every": 5, "patience": 4}
    options |= {"learning_rate": 0.02, "validation": 0.4}
    fitted, history = fit(init(forecaster(32)), x, **options)
    losses = [record.validation for record in history.records]
    assert history.stopped == "patience"
    assert history.records[-1].step < 5000
    assert np.argmin(losses) == len(losses) - 5
    assert history.best_step == history.records[-5].step
    assert history.best_validation == min(losses)

    # The weights are those of that moment: a run that is broken off just after that evaluation has the same.
    def keep(status: Status) -> None:
        if status.step == history.best_step + 1:
            raise _Enough

    with pytest.raises(_Enough):
        fit(init(forecaster(32)), x, progress=keep, checkpoint=tmp_path / "run", checkpoint_every=0, **options)
    assert same_bits(recover(tmp_path / "run"), fitted)


class _Enough(Exception):
    pass


@pytest.mark.parametrize("checkpoint", [None, "run.safetensors"])
def test_a_run_that_diverges_says_so_and_keeps_the_best(tmp_path: Path, checkpoint: str | None) -> None:
    x = autoregression(300)
    x[200] = 1e17
    model = init(ModelSpec(inputs=1, layers=[LayerSpec("gru", units=3), LayerSpec("dense", units=1)]))
    path = None if checkpoint is None else tmp_path / checkpoint
    kept = "weights of step 3" if checkpoint else "checkpoint=... the best weights would have been kept"
    message = rf"the loss is not finite in step 4, at a learning rate of 0.00\d+; .*{kept}"
    options: dict[str, Any] = {"loss": squares, "batch": 1, "validation": 0.2, "evaluate_every": 1}
    with pytest.raises(TrainError, match=message):
        fit(model, x, x[:, 0].clip(-5, 5) * np.where(x[:, 0] > 1e16, 1e30, 1), epochs=2, checkpoint=path, **options)
    if path is not None:
        assert not same_bits(recover(path), model)


@pytest.mark.parametrize("context", ["carried", {"window": 8}])
@pytest.mark.parametrize("extreme", ["reading", "target"])
def test_a_held_out_loss_that_is_never_finite_is_no_success(context: Any, extreme: str) -> None:
    series = [autoregression(300, seed) for seed in (1, 2)]
    targets = [x[:, 0].copy() for x in series]
    if extreme == "reading":
        series[1][270] = targets[1][270] = -1e16
        where = r"reading there is -1e\+16 in column 'flow', row 270 of series 1, 1e\+16 in size once scaled;"
    else:
        targets[1][270] = -1e16
        where = r"target there is 1e\+16 in size, in row 270 of series 1;"
    spec = forecaster(columns=["flow"], scaling="standard", missing="hold").replace(context=context)

    def cubes(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (out[..., 0] - target).abs() ** 3

    with pytest.raises(TrainError, match=rf"held-out loss is not finite \(inf\) after step \d\d, .* {where}"):
        fit(init(spec), series, targets, loss=cubes, steps=60, bptt=8, learning_rate=1e-4)


def test_budgets() -> None:
    model, x = init(forecaster()), autoregression(400)
    options: dict[str, Any] = {"bptt": 20, "batch": 4, "validation": 0}
    assert fit(model, x, steps=7, **options)[1].records[-1].step == 7
    by_epochs = fit(model, x, epochs=3, **options)[1].records[-1]
    assert (by_epochs.step, by_epochs.epoch) == (15, 3)  # 4 lanes of 100 steps in 5 windows
    assert fit(model, x, epochs=3, steps=4, **options)[1].records[-1].step == 4
    by_time = fit(model, x, seconds=0.4, **options)[1].records[-1]
    assert 0.4 <= by_time.seconds < 0.8
    assert by_time.step > 15


def test_records_are_written_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    _, history = fit(init(forecaster()), autoregression(300), steps=10, evaluate_every=4, metrics=path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [4, 8, 10]
    for row, record in zip(rows, history.records, strict=True):
        assert float(row["validation"]) == pytest.approx(record.validation, rel=1e-8)
        assert float(row["seconds"]) == pytest.approx(record.seconds, rel=1e-8)
    fit(init(forecaster()), autoregression(300), steps=2, validation=0, metrics=path)
    assert path.read_text().splitlines()[1].split(",")[3] == ""  # no validation, an empty cell


def test_runs_in_a_thread() -> None:
    found: list[Model] = []
    model, x = init(forecaster()), autoregression(300)
    worker = threading.Thread(target=lambda: found.append(fit(model, x, steps=3)[0]))
    worker.start()
    worker.join()
    assert same_bits(found[0], fit(model, x, steps=3)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"bptt": 2.5}, "bptt must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, got 0"),
        ({"clip": -1.0}, "clip must be a number above 0"),
        ({"warmup": 1.0}, "warmup must be a number from 0 to below 1"),
        ({"weight_decay": math.nan}, "weight_decay must be a number from 0"),
        ({"seconds": math.inf}, "seconds must be a number above 0, got inf"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"progress": "dots"}, 'progress must be "bar"'),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(init(forecaster()), autoregression(100), **options)


def test_models_that_cannot_be_trained_are_refused() -> None:
    with pytest.raises(InputError, match="^fit needs a Model, got ModelSpec; use gatewise.load or gatewise.init$"):
        fit(forecaster(), autoregression(100))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs targets and a loss"):
        fit(init(ModelSpec(inputs=1, layers=[LayerSpec("gru", units=3)])), autoregression(100))
    both = [*bidirectional(LayerSpec("gru", units=3), source="input"), LayerSpec("dense", units=2)]
    with pytest.raises(SpecError, match="bidirectional_reversed, bidirectional_restored needs the whole sequence"):
        fit(init(ModelSpec(1, both, head=LayerSpec("tail_probability"))), autoregression(100))


def test_a_custom_loss_may_use_the_targets_of_the_head() -> None:
    model, x = init(forecaster()), autoregression(200)
    head = to_torch(model).head

    def same(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        losses = head.loss(out, target, mask)  # type: ignore[union-attr,operator]
        assert isinstance(losses, torch.Tensor)
        return losses

    assert same_bits(fit(model, x, steps=5)[0], fit(model, x, steps=5, loss=same)[0])
