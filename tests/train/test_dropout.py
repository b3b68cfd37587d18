"""Dropout: masks counted and drawn by hand, against torch's own layers, and a training that stops and goes on."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gatewise as gw
from gatewise import _core
from gatewise.errors import FileError, InputError, SpecError
from gatewise.file import digest, seal, unseal
from gatewise.nn import Recurrent
from gatewise.train import Dropout, Status, fit, from_torch, to_torch, without_kernels

INPUTS, TIME, BATCH, UNITS = 3, 11, 5, 6
LENGTHS = torch.tensor([TIME, 0, 3, TIME - 1, 5])
ALL = Dropout(outputs=0.3, variational=0.2, weights=0.4)
EACH = [Dropout(outputs=0.3), Dropout(variational=0.2), Dropout(weights=0.4), ALL]
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("gru", {}),
    ("gru", {"reset": "before"}),
    ("lstm", {}),
    ("lstm", {"peepholes": True, "projection": 2}),
]
every_kind = pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda v: v if isinstance(v, str) else "-".join(v))
every_dropout = pytest.mark.parametrize("dropout", EACH, ids=["outputs", "variational", "weights", "all"])


def two_layers(kind: str = "gru", dropout: Dropout | None = None, **options: Any) -> Recurrent:
    """Two recurrent layers and a dense one with random weights, in float64."""
    layers = [gw.LayerSpec(kind, units=UNITS, **options) for _ in range(2)]
    net = to_torch(gw.init(gw.ModelSpec(INPUTS, [*layers, gw.LayerSpec("dense", units=2)])), dropout=dropout).double()
    generator = torch.Generator().manual_seed(3)
    for parameter in net.parameters():
        parameter.data = 0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return net


def echo(width: int, dropout: Dropout, dtype: torch.dtype = torch.float64) -> Recurrent:
    """A recurrent layer that writes what it reads."""
    net = to_torch(
        gw.init(gw.ModelSpec(width, [gw.LayerSpec("rnn", units=width, activation="linear")])), False, dropout
    )
    net.load_state_dict({name: torch.zeros_like(value) for name, value in net.state_dict().items()})
    net.load_state_dict({"rnn0.weight_ih": torch.eye(width)}, strict=False)
    return net.to(dtype)


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def results(net: Recurrent, *rows: Any, seed: int = 7) -> list[Tensor]:
    """Outputs, last states, and the gradients of inputs and parameters for a random loss, with masks of this seed."""
    x = draw(BATCH, TIME, INPUTS).requires_grad_()
    net.zero_grad()
    torch.manual_seed(seed)
    y, after = net(x, None, *rows)
    loss = (y * draw(*y.shape, seed=2)).sum() + sum((value * draw(*value.shape)).sum() for value in after.values())
    loss.backward()
    found = [y, *after.values(), x.grad, *(parameter.grad for parameter in net.parameters())]
    return [value.detach().clone() for value in found if value is not None]


def equal(got: list[Tensor], wanted: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(got, wanted, strict=True))


def close(got: list[Tensor], wanted: list[Tensor], tolerance: float) -> None:
    for one, other in zip(got, wanted, strict=True):
        one, other = one.detach(), other.detach()
        assert float((one - other).abs().max()) <= tolerance * (1.0 + float(other.abs().max()))


def five_sigma(share: float, p: float, count: int) -> bool:
    return abs(share - p) < 5.0 * (p * (1.0 - p) / count) ** 0.5


def neighbours_independent(gone: Tensor, p: float) -> bool:
    """Along each axis both of two neighbours are left out with probability p^2.

    Pairs overlap, so that their products correlate: the variance of the mean is at most twice that of separate pairs,
    q (1 - q) + 2 (p^3 - q^2) <= 2 q (1 - q) with q = p^2.
    """
    pairs = [(gone.narrow(d, 1, n - 1) & gone.narrow(d, 0, n - 1)).double() for d, n in enumerate(gone.shape)]
    return all(five_sigma(float(both.mean()), p * p, both.numel() // 2) for both in pairs)


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_a_share_of_the_values_at_each_step(p: float, dtype: torch.dtype) -> None:
    x = draw(40, 50, 30).to(dtype)
    torch.manual_seed(0)
    net = echo(30, Dropout(outputs=p), dtype)
    y, _ = net(x)
    gone = y == 0.0
    torch.testing.assert_close(y[~gone], x[~gone] / (1.0 - p), rtol=2 * torch.finfo(dtype).eps, atol=0.0)
    assert five_sigma(float(gone.double().mean()), p, gone.numel())
    assert neighbours_independent(gone, p), "rows, steps and units"
    assert not torch.equal(net(x)[0] == 0.0, gone), "each call has masks of its own"


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_variational_dropout_leaves_out_the_same_values_at_all_steps(p: float) -> None:
    x = draw(60, 20, 50)
    torch.manual_seed(0)
    net = echo(50, Dropout(variational=p))
    y, _ = net(x)
    gone = y == 0.0
    torch.testing.assert_close(y[~gone], x[~gone] / (1.0 - p), rtol=1e-15, atol=0.0)
    assert torch.equal(gone, gone[:, :1].expand_as(gone))
    first = gone[:, 0]
    assert five_sigma(float(first.double().mean()), p, first.numel())
    assert neighbours_independent(first, p), "rows and units"
    assert not torch.equal(net(x)[0] == 0.0, gone)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_weight_drop_leaves_out_entries_of_the_recurrent_matrix_for_a_whole_call(p: float) -> None:
    """With x = 0 and a state of one-hot rows, a linear layer writes a row for each column of the matrix it ran with."""
    units = 60
    net = echo(units, Dropout(weights=p))
    weight = draw(units, units)
    net.load_state_dict({"rnn0.weight_hh": weight}, strict=False)
    torch.manual_seed(0)
    y, _ = net(torch.zeros(units, 2, units, dtype=torch.float64), {"rnn0.hidden": torch.eye(units).double()})
    ran = y[:, 0].t()
    gone = ran == 0.0
    torch.testing.assert_close(ran[~gone], weight[~gone] / (1.0 - p), rtol=1e-15, atol=0.0)
    assert five_sigma(float(gone.double().mean()), p, gone.numel())
    assert neighbours_independent(gone, p), "rows and columns"
    torch.testing.assert_close(y[:, 1].t(), ran @ ran, rtol=1e-12, atol=1e-12)  # the same at the second step


def test_masks_of_outputs_multiply_and_the_state_has_none() -> None:
    x = draw(BATCH, TIME, 20)
    torch.manual_seed(0)
    y, after = echo(20, Dropout(outputs=0.25, variational=0.5))(x)
    torch.manual_seed(0)
    each = torch.empty(BATCH, TIME, 20, dtype=torch.float64).bernoulli_(0.75) / 0.75
    row = torch.empty(BATCH, 1, 20, dtype=torch.float64).bernoulli_(0.5) / 0.5
    torch.testing.assert_close(y, x * each * row, rtol=1e-15, atol=0.0)
    assert torch.equal(after["rnn0.hidden"], x[:, -1])


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_equals_torchs_layers_with_masks_by_hand(kind: str) -> None:
    """Outputs and gradients; that of weight_hh is the mask times that of what the layer ran with."""
    net = two_layers(kind, ALL)
    got = results(net)
    torch.manual_seed(7)
    shapes = [
        ((len(net.get_parameter(f"{kind}0.weight_hh")), UNITS), 0.4),
        ((BATCH, TIME, UNITS), 0.3),
        ((BATCH, 1, UNITS), 0.2),
    ]
    masks = [[torch.empty(shape).double().bernoulli_(1 - p) / (1 - p) for shape, p in shapes] for _ in range(2)]
    value = x = draw(BATCH, TIME, INPUTS).requires_grad_()
    states: list[Tensor] = []
    layers = []
    for i, (matrix, each, row) in enumerate(masks):
        assert (matrix == 0.0).any()
        layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](
            value.shape[2], UNITS, batch_first=True
        ).double()
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.copy_(net.get_parameter(f"{kind}{i}.{name[:-3]}"))
            layer.weight_hh_l0 *= matrix
        layers.append(layer)
        value, last = layer(value)
        states += [one[0] for one in (last if kind == "lstm" else [last])]
        value = value * each * row
    y = torch.nn.functional.linear(value, net.get_parameter("dense0.weight"), net.get_parameter("dense0.bias"))
    close(got[: 1 + len(states)], [y, *states], 1e-13)
    loss = (y * draw(*y.shape, seed=2)).sum() + sum((one * draw(*one.shape)).sum() for one in states)
    loss.backward()
    assert x.grad is not None
    wanted = [x.grad]
    for layer, (matrix, _, _) in zip(layers, masks, strict=True):
        layer.weight_hh_l0.grad *= matrix
        wanted += [parameter.grad for parameter in layer.parameters()]
    close(got[1 + len(states) : -2], wanted, 1e-12)


@every_kind
def test_weight_drop_equals_a_run_with_the_masked_matrix(kind: str, options: dict[str, Any]) -> None:
    net = two_layers(kind, Dropout(weights=0.4), **options)
    rows = (LENGTHS, draw(BATCH, TIME) > 1.0)
    got = results(net, *rows)
    torch.manual_seed(7)
    by_hand, masks = two_layers(kind, **options), {}
    for name, parameter in by_hand.named_parameters():
        if name.endswith("weight_hh"):
            masks[name] = torch.empty_like(parameter).bernoulli_(0.6).div_(0.6)
            parameter.data *= masks[name]
    wanted = results(by_hand, *rows)
    names = [name for name, _ in net.named_parameters()]
    first = len(wanted) - len(names)
    assert len(masks) == 2
    for i, name in enumerate(names):
        wanted[first + i] *= masks.get(name, 1.0)
    assert equal(got, wanted)


@every_kind
@every_dropout
def test_runs_natively(kind: str, options: dict[str, Any], dropout: Dropout, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rows that end early and resets; against torch, step by step, with the same masks."""
    net, rows = two_layers(kind, dropout, **options), (LENGTHS, draw(BATCH, TIME) > 1.0)
    with without_kernels():
        wanted = results(net, *rows)
    calls = []
    for name in ("train_forward", "train_backward"):
        original = getattr(_core, name)
        monkeypatch.setattr(_core, name, lambda *given, call=original: (calls.append(call), call(*given))[1])
    close(results(net, *rows), wanted, 1e-11)
    assert len(calls) == 4, "two layers, forward and backward"


@every_kind
@every_dropout
def test_recompute_has_the_same_masks(kind: str, options: dict[str, Any], dropout: Dropout) -> None:
    net = two_layers(kind, dropout, **options)
    for rows in ((), (LENGTHS, draw(BATCH, TIME) > 1.0)):
        net.recompute = False
        wanted = results(net, *rows)
        net.recompute = True
        got = results(net, *rows)
        close(got, wanted, 1e-14)  # products of fewer steps at a time round otherwise, with or without masks


def test_gradcheck() -> None:
    spec = gw.ModelSpec(2, [gw.LayerSpec("gru", units=4), gw.LayerSpec("lstm", units=3)])
    net = to_torch(gw.init(spec), dropout=ALL).double()
    names = [name for name, _ in net.named_parameters()]

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        torch.manual_seed(5)
        y, _ = torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (x, None, LENGTHS[2:]))
        return y  # type: ignore[no-any-return]

    weights = [parameter.detach().clone().requires_grad_() for parameter in net.parameters()]
    x = draw(3, TIME, 2).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *weights), eps=1e-6, atol=1e-7, rtol=1e-5, fast_mode=True)


@every_dropout
def test_eval_and_the_model_run_without(dropout: Dropout) -> None:
    model = gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec("lstm", units=UNITS), gw.LayerSpec("dense", units=2)]))
    net, plain = to_torch(model, dropout=dropout), to_torch(model)
    x = draw(BATCH, TIME, INPUTS).float()
    before = torch.get_rng_state()
    assert torch.equal(net.eval()(x, None, LENGTHS)[0], plain(x, None, LENGTHS)[0])
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(net.train()(x, None, LENGTHS)[0], plain(x, None, LENGTHS)[0])
    assert list(net.state_dict()) == list(model.tensors)
    back = from_torch(net)
    assert back.spec == model.spec
    assert back.run(x.numpy()).tobytes() == model.run(x.numpy()).tobytes()


def test_a_probability_of_0_draws_nothing() -> None:
    none, zero = two_layers("lstm"), two_layers("lstm", Dropout())
    wanted = results(none, LENGTHS)
    assert equal(results(zero, LENGTHS, seed=8), wanted)
    after = torch.get_rng_state()
    torch.manual_seed(8)
    assert torch.equal(torch.get_rng_state(), after)


def test_what_lies_beyond_the_end_of_a_row_never_matters() -> None:
    net, found = two_layers("gru", ALL), []
    for filling in (0.0, float("nan"), 1e30):
        x = draw(BATCH, TIME, INPUTS)
        for row, length in enumerate(LENGTHS.tolist()):
            x[row, length:] = filling
        net.zero_grad()
        torch.manual_seed(1)
        y, after = net(x.requires_grad_(), None, LENGTHS)
        y.square().sum().backward()
        assert not y[torch.arange(TIME) >= LENGTHS[:, None]].any()
        assert x.grad is not None
        found.append([y, *after.values(), x.grad, *(parameter.grad for parameter in net.parameters())])
    assert equal(found[1], found[0])
    assert equal(found[2], found[0])


def test_windows() -> None:
    """The answer to the last step alone has the masks of all; run over a sequence, each window is a row of its own."""
    layers = [gw.LayerSpec("gru", units=40), gw.LayerSpec("dense", units=2)]
    net = to_torch(gw.init(gw.ModelSpec(INPUTS, layers, context={"window": TIME})), dropout=ALL).double()
    x = draw(BATCH, TIME, INPUTS)
    torch.manual_seed(4)
    every, _, _ = net.body(x)
    torch.manual_seed(4)
    last, _, _ = net.body(x, last=True)
    assert last.shape == (BATCH, 1, 2)
    close([last], [every[:, -1:]], 1e-14)
    net.dropout = Dropout(variational=0.5)
    same = torch.ones(1, 3 * TIME, INPUTS, dtype=torch.float64)
    answers = net(same)[0][0, TIME:]  # to windows that are all alike
    assert len({tuple(answer) for answer in answers.tolist()}) == len(answers)
    alike = net.eval()(same)[0][0, TIME:]
    close([alike], [alike[:1].expand_as(alike)], 1e-14)


def test_parameters_are_shared_and_stay() -> None:
    net = two_layers("gru", ALL)
    before = {name: (parameter, parameter.detach().clone()) for name, parameter in net.named_parameters()}
    results(net)
    assert dict(net.named_parameters()).keys() == before.keys()
    for name, parameter in net.named_parameters():
        assert parameter is before[name][0]
        assert torch.equal(parameter, before[name][1])
        assert parameter.grad is not None
    assert equal(results(copy.deepcopy(net)), results(net))


def test_a_layer_may_be_called_dropout() -> None:
    layers = [gw.LayerSpec("gru", name="dropout", units=UNITS), gw.LayerSpec("dense", units=2)]
    net = to_torch(gw.init(gw.ModelSpec(INPUTS, layers)), dropout=Dropout(outputs=0.5))
    assert not torch.equal(net(torch.ones(1, 3, INPUTS))[0], net.eval()(torch.ones(1, 3, INPUTS))[0])


@pytest.mark.parametrize("wrong", [1.0, 1, -0.1, float("nan"), float("inf"), True, "0.2", None])
@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("outputs", r"dropout \(outputs\)"),
        ("variational", "variational dropout"),
        ("weights", r"weight drop \(weights\)"),
    ],
)
def test_what_is_no_probability_is_refused(field: str, name: str, wrong: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name} must be a probability from 0 to below 1, got {wrong!r}$"):
        Dropout(**{field: wrong})


def test_models_without_what_could_be_left_out_are_refused() -> None:
    dense = gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec("dense", units=2)]))
    with pytest.raises(SpecError, match=r"dropout is for recurrent layers, and the model has none \(dense\)"):
        to_torch(dense, dropout=Dropout(outputs=0.1))
    assert to_torch(dense, dropout=Dropout()).dropout is None
    with pytest.raises(InputError, match=r"must be a gatewise.train.Dropout, e.g. Dropout\(outputs=0.2\), .* got 0.1"):
        to_torch(dense, dropout=0.1)  # type: ignore[arg-type]


def test_layers_without_a_recurrent_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dense layer stands in for one of them."""
    from gatewise.layers.dense.spec import Spec

    monkeypatch.setattr(Spec, "recurrent", True)
    alone = gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec("dense", units=2)]))
    with pytest.raises(
        SpecError, match=r"weight drop is for layers with a weight_hh, and the model has none \(dense\)"
    ):
        to_torch(alone, dropout=Dropout(outputs=0.1, weights=0.1))
    x = draw(BATCH, TIME, INPUTS).float()
    assert not torch.equal(to_torch(alone, dropout=Dropout(outputs=0.5))(x)[0], to_torch(alone)(x)[0])
    both = gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec("gru", units=2), gw.LayerSpec("dense", "d", "input", units=2)]))
    net = to_torch(both, dropout=Dropout(weights=0.5))
    assert torch.equal(net(x)[0], to_torch(both)(x)[0])


# --- fit --------------------------------------------------------------------------------------------------------------

SPEC = gw.ModelSpec(
    inputs=1,
    layers=[gw.LayerSpec("gru", units=6), gw.LayerSpec("lstm", units=4), gw.LayerSpec("dense", units=2)],
    head=gw.LayerSpec("tail_probability"),
)
SETTINGS: dict[str, Any] = {"steps": 14, "evaluate_every": 5, "bptt": 16, "batch": 3, "learning_rate": 0.01}


def series() -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(0).standard_normal((260, 1))
    return np.sin(np.arange(260) / 5)[:, None] + 0.3 * noise


def outcome(result: Any) -> Any:
    """The bits of the weights, and the history but for its seconds."""
    model, history = result
    records = [(r.step, r.epoch, r.loss, r.validation, r.learning_rate, r.gradient_norm) for r in history.records]
    return {name: value.tobytes() for name, value in model.tensors.items()}, dict(model.provenance), records


def squares(out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return (out[..., 0] - target) ** 2


def test_fit_trains_with_it_and_validates_without() -> None:
    """At a learning rate that changes next to nothing, the losses are those of the first weights."""
    model = gw.init(SPEC.replace(head=None))
    still: dict[str, Any] = {**SETTINGS, "steps": 1, "batch": 1, "learning_rate": 1e-30, "seed": 5, "loss": squares}
    x, target = series(), np.cos(np.arange(260) / 5)
    plain, before = fit(model, x, target, **still)
    trained, history = fit(model, x, target, dropout=ALL, **still)
    for name, value in trained.tensors.items():
        np.testing.assert_allclose(value, plain.tensors[name], rtol=0.0, atol=1e-29)  # biases are 0 at first
    net = to_torch(model, dropout=ALL)
    torch.manual_seed(5)
    out, _, _ = net.body(torch.tensor(x[None, :16], dtype=torch.float32))
    by_hand = np.mean((out[0, :, 0].detach().numpy() - target[:16]) ** 2)
    assert history.records[0].loss == pytest.approx(by_hand, rel=1e-6)
    assert history.records[0].loss != pytest.approx(before.records[0].loss, rel=1e-3)
    assert history.records[0].validation == before.records[0].validation
    assert trained.provenance["training"]["dropout"] == {"outputs": 0.3, "variational": 0.2, "weights": 0.4}
    assert plain.provenance["training"]["dropout"] is None


def test_without_it_noise_is_learnt_by_heart() -> None:
    """Of 200 readings, a delay under noise of variance 1: the loss of training rises, the held-out one falls."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 20, 2))
    target = 0.7 * np.roll(x[:, :, 0], 2, axis=1) + rng.standard_normal((20, 20))
    target[:, :2] = np.nan
    model = gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=32), gw.LayerSpec("dense", units=1)]))
    held_out_rows = (list(x[10:]), list(target[10:]))
    budget = {"steps": 120, "bptt": 20, "evaluate_every": 40, "learning_rate": 0.02}

    def losses(dropout: Dropout | None) -> tuple[float, float]:
        parts = (list(x[:10]), list(target[:10]))
        _, history = fit(model, *parts, loss=squares, validation=held_out_rows, dropout=dropout, **budget)
        return history.records[-1].loss, history.records[-1].validation

    learnt, held_out = losses(None)
    assert learnt < 0.1
    assert held_out > 1.8
    for dropout in (Dropout(outputs=0.5), Dropout(variational=0.5), Dropout(weights=0.5)):
        less_learnt, better = losses(dropout)
        assert less_learnt > learnt + 0.1
        assert better < held_out - 0.2


@pytest.mark.parametrize("at", [1, 5, 9])
@pytest.mark.parametrize("context", ["carried", {"window": 16}], ids=["carried", "window"])
def test_a_run_broken_off_ends_with_the_same_bits(tmp_path: Path, at: int, context: Any) -> None:
    model = gw.init(SPEC.replace(context=context) if context != "carried" else SPEC)
    straight = outcome(fit(model, series(), dropout=ALL, **SETTINGS))

    def stop(status: Status) -> None:
        if status.step == at:
            raise EOFError

    path, options = tmp_path / "run", {"dropout": ALL, **SETTINGS}
    with pytest.raises(EOFError):
        fit(model, series(), checkpoint=path, checkpoint_every=0, progress=stop, **options)
    torch.randn(100)
    assert outcome(fit(model, series(), checkpoint=path, **options)) == straight
    assert outcome(fit(model, series(), **{**options, "dropout": Dropout(0.3, 0.2, 0.41)}))[0] != straight[0]


def test_checkpoints_say_what_was_left_out(tmp_path: Path) -> None:
    """One that says nothing of it, as older ones do, was trained without."""
    path = tmp_path / "run"
    options = {**SETTINGS, "checkpoint": path}
    plain = outcome(fit(gw.init(SPEC), series(), **options))
    tensors, told = unseal(path.read_bytes(), 1, ("format", "run", "model", "counters", "tensors"))
    assert told["run"].pop("dropout") is None
    path.write_bytes(seal(tensors, {**told, "tensors": digest(tensors)}))
    for same in (None, Dropout()):
        assert outcome(fit(gw.init(SPEC), series(), dropout=same, **options)) == plain
    with pytest.raises(FileError, match=r"belongs to another run, which differs in dropout \(None there, \{'outputs'"):
        fit(gw.init(SPEC), series(), dropout=Dropout(outputs=0.1), **options)


def test_a_checkpoint_tells_one_dropout_from_another(tmp_path: Path) -> None:
    options = {**SETTINGS, "checkpoint": tmp_path / "run"}
    fit(gw.init(SPEC), series(), dropout=Dropout(weights=0.1), **options)
    told = r"dropout \(\{[^{]*'weights': 0.1\} there, \{[^{]*'weights': 0.2\} here\)"
    with pytest.raises(FileError, match=told):
        fit(gw.init(SPEC), series(), dropout=Dropout(weights=0.2), **options)


def test_fit_refuses_what_is_no_dropout() -> None:
    for wrong in (0.2, 0, False, {"outputs": 0.2}):
        with pytest.raises(InputError, match=r"dropout must be a gatewise.train.Dropout.*, or None, got"):
            fit(gw.init(SPEC), series(), dropout=wrong, **SETTINGS)  # type: ignore[arg-type]


def test_weights_that_are_computed_cannot_be_dropped() -> None:
    net = two_layers(dropout=Dropout(weights=0.5))
    torch.nn.utils.parametrizations.spectral_norm(net._modules["gru0"], "weight_hh")
    with pytest.raises(InputError, match="weight drop needs weight_hh to be a parameter, but here it is computed"):
        net(draw(BATCH, TIME, INPUTS))
