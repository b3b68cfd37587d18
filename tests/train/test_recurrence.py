"""The native training kernels: against torch step by step, torch's own layers and finite differences."""

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import gatewise as gw
from gatewise import _core
from gatewise.errors import InputError
from gatewise.layers.train import recurrence, threads
from gatewise.nn import Recurrent, to_torch
from gatewise.train import without_kernels

INPUTS, TIME, BATCH = 3, 7, 5
LENGTHS = torch.tensor([TIME, 0, 3, TIME - 1, 5])
ACTIVATIONS: list[Any] = [
    "linear",
    "relu",
    "tanh",
    "sigmoid",
    {"kind": "hard_sigmoid", "slope": 0.2, "offset": 0.5},
    {"kind": "affine", "alpha": 0.5, "beta": 0.1},
    {"kind": "leaky_relu", "alpha": 0.1},
    {"kind": "leaky_relu", "alpha": -0.1},
    {"kind": "thresholded_relu", "alpha": 0.3},
    {"kind": "thresholded_relu", "alpha": -0.3},
    {"kind": "scaled_tanh", "alpha": 1.7, "beta": 0.6},
    {"kind": "elu", "alpha": 1.2},
    {"kind": "elu", "alpha": -1.2},
    "selu",
    "softsign",
    "softplus",
    "log_sigmoid",
    "exponential",
    "silu",
    "gelu",
    "gelu_tanh",
    "relu6",
    "hard_tanh",
    "hard_silu",
    "mish",
]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("gru", {}),
    ("gru", {"reset": "before"}),
    ("lstm", {}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"projection": 3, "input_forget": True}),
    ("lstm", {"peepholes": True, "projection": 2, "input_forget": True, "clip": 0.8, "cell_clip": 0.5}),
]
for act in ACTIVATIONS:
    CASES += [
        *([("rnn", {"activation": act})] if act != "exponential" else []),  # which grows beyond all bounds
        ("rnn", {"activation": act, "clip": 0.4}),
        ("gru", {"activation": act}),
        ("gru", {"gate_activation": act, "clip": 0.4}),
        ("gru", {"gate_activation": act, "activation": act, "reset": "before", "clip": 0.7}),
        ("lstm", {"activation": act, "clip": 0.9, "peepholes": True}),
        ("lstm", {"gate_activation": act, "clip": 0.4, "projection": 3}),
        ("lstm", {"output_activation": act, "cell_clip": 0.5, "peepholes": True, "input_forget": True}),
    ]


def name_of(value: object) -> str:
    return value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in dict(value).items())  # type: ignore[call-overload]


TORCH_HAS = [
    *(("rnn", {}), ("rnn", {"activation": "tanh"}), ("rnn", {"activation": "relu"})),
    *(("gru", {}), ("gru", {"activation": "tanh"})),
    *(("lstm", {}),),
]
"""Cases that torch has a layer of its own for."""

EVERY = pytest.mark.parametrize(("kind", "options"), CASES, ids=name_of)
PLAIN = pytest.mark.parametrize(("kind", "options"), CASES[:7], ids=name_of)


def module(kind: str, dtype: torch.dtype = torch.float64, units: int = 6, **options: Any) -> Recurrent:
    """A recurrent layer with random weights."""
    spec = gw.ModelSpec(INPUTS, [gw.LayerSpec(kind, name="layer", units=units, **options)])
    found = to_torch(gw.init(spec))
    generator = torch.Generator().manual_seed(3)
    for parameter in found.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return found.to(dtype)


def gradients(
    net: Recurrent, lengths: Tensor | None = None, resets: Tensor | None = None, batch: int = BATCH, time: int = TIME
) -> list[Tensor]:
    """Outputs, last states, and the gradients of all that went in, for one random loss."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(net.dtype)

    x = draw(batch, time, INPUTS).requires_grad_()
    state = {field.name: (0.3 * draw(batch, *field.shape)).requires_grad_() for field in net.graph.state}
    net.zero_grad()
    y, after = net(x, state, lengths, resets)
    loss = (y * draw(*y.shape)).sum() + sum((value * draw(*value.shape)).sum() for value in after.values())
    loss.backward()
    parameters = [parameter.grad for parameter in net.parameters()]
    found = [y, *after.values(), x.grad, *(value.grad for value in state.values()), *parameters]
    return [value.detach().clone() for value in found if value is not None]


def some_resets() -> Tensor:
    return torch.rand(BATCH, TIME, generator=torch.Generator().manual_seed(2)) < 0.2


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call of a function of the core from now on."""
    calls: list[tuple[Any, ...]] = []
    original: Callable[..., None] = getattr(_core, name)

    def count(*arguments: Any) -> None:
        calls.append(arguments)
        original(*arguments)

    monkeypatch.setattr(_core, name, count)
    return calls


def close(got: list[Tensor], wanted: list[Tensor], tolerance: float) -> None:
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one.shape == other.shape
        if one.numel():
            one, other = one.detach(), other.detach()
            assert float((one - other).abs().max()) <= tolerance * (1.0 + float(other.abs().max()))


@EVERY
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_equals_torch_step_by_step(
    kind: str, options: dict[str, Any], ragged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, rows = module(kind, **options), (LENGTHS, some_resets()) if ragged else (None, None)
    with without_kernels():
        wanted = gradients(net, *rows)
    calls = counted(monkeypatch, "train_backward")
    got = gradients(net, *rows)
    assert len(calls) == 1, "the native kernel ran"
    close(got, wanted, 1e-11)


@EVERY
def test_other_devices_have_torchs_own_layers(
    kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried on the CPU, where it is not used otherwise: as if it were another device."""
    net, layer = module(kind, **options), module(kind, **options)._modules["layer"]
    wanted = gradients(net)
    monkeypatch.setattr(recurrence, "native", lambda x: False)
    monkeypatch.setattr(recurrence, "NOT_FUSED", ())
    steps: list[Any] = []
    loop = recurrence.step_by_step
    monkeypatch.setattr(recurrence, "step_by_step", lambda *given: (steps.append(given), loop(*given))[1])
    close(gradients(net), wanted, 1e-11)
    plain = (kind, options) in TORCH_HAS
    assert bool(steps) != plain, "torch's own layer ran where it can"
    assert (layer.fused() is not None) == plain  # type: ignore[union-attr,operator]
    if plain:
        gradients(net, LENGTHS, some_resets())
        assert steps, "rows that end or begin anew need the loop"


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_torchs_own_layers_know_whether_there_is_a_gradient(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN refuses to go back through a layer that was not run in training mode, and keeps more where it was."""
    function = {"rnn": "rnn_tanh"}.get(kind, kind)
    original, told = getattr(torch, function), []

    def listen(*given: Any) -> Any:
        told.append(given[6])  # train, after has_biases, num_layers and dropout
        return original(*given)

    net, x = module(kind).eval(), torch.zeros(2, 3, INPUTS, dtype=torch.float64)
    monkeypatch.setattr(torch, function, listen)
    monkeypatch.setattr(recurrence, "native", lambda x: False)
    monkeypatch.setattr(recurrence, "NOT_FUSED", ())
    net(x)
    with torch.no_grad():
        net(x)
    assert told == [True, False]


def test_lengths_of_32_bits() -> None:
    net = module("gru")
    close(gradients(net, LENGTHS.int()), gradients(net, LENGTHS), 0.0)


@PLAIN
@pytest.mark.parametrize("units", [6, 37])
def test_float32_is_as_near_float64_as_torchs(kind: str, options: dict[str, Any], units: int) -> None:
    exact = gradients(module(kind, units=units, **options), LENGTHS, some_resets())
    own = gradients(module(kind, torch.float32, units, **options), LENGTHS, some_resets())
    with without_kernels():
        torchs = gradients(module(kind, torch.float32, units, **options), LENGTHS, some_resets())
    for got, other, truth in zip(own, torchs, exact, strict=True):
        assert float((got - truth).abs().max()) <= 4 * float((other - truth).abs().max()) + 1e-6


@pytest.mark.parametrize("cpu", _core.instruction_sets())
@PLAIN
def test_every_instruction_set(kind: str, options: dict[str, Any], cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def on(name: str) -> None:
        original = getattr(_core, name)
        monkeypatch.setattr(_core, name, lambda *arguments: original(*arguments[:-1], cpu))

    net = module(kind, torch.float32, 19, **options)
    wanted = gradients(net, LENGTHS, some_resets())
    for name in ("train_saved", "train_forward", "train_backward"):
        on(name)
    close(gradients(net, LENGTHS, some_resets()), wanted, 1e-5)


@PLAIN
def test_gradcheck(kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    net = module(kind, units=4, **options)
    names = [name for name, _ in net.named_parameters()]
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(BATCH, TIME, INPUTS, generator=generator, dtype=torch.float64, requires_grad=True)
    state = [
        torch.randn(BATCH, *field.shape, generator=generator, dtype=torch.float64).mul(0.3).requires_grad_()
        for field in net.graph.state
    ]
    fields = [field.name for field in net.graph.state]
    calls = counted(monkeypatch, "train_backward")

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        start = dict(zip(fields, rest[: len(fields)], strict=True))
        weights = dict(zip(names, rest[len(fields) :], strict=True))
        y, after = torch.func.functional_call(net, weights, (x, start, LENGTHS, some_resets()))
        return y, *after.values()

    weights = [parameter.detach().clone().requires_grad_() for parameter in net.parameters()]
    assert torch.autograd.gradcheck(run, (x, *state, *weights), eps=1e-6, atol=1e-7, rtol=1e-5)
    assert calls, "the native kernel ran"


@PLAIN
def test_opcheck(kind: str, options: dict[str, Any]) -> None:
    layer = module(kind, **options)._modules["layer"]
    assert layer is not None
    tensors = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    x = torch.randn(BATCH, TIME, INPUTS, dtype=torch.float64, requires_grad=True)
    fields = layer.layer.state(module(kind, **options).graph.nodes[0].edges)  # type: ignore[union-attr,operator]
    first = [torch.randn(BATCH, *field.shape, dtype=torch.float64, requires_grad=True) for field in fields]
    plain = layer.layer.native()  # type: ignore[union-attr,operator]
    lengths = torch.full((BATCH,), TIME)  # what is kept beyond the end of a row is not set
    for keep in (True, False):
        arguments = (kind, plain, x, first, tensors, lengths, some_resets(), keep)
        if not keep:
            arguments = tuple(_without_gradient(value) for value in arguments)  # type: ignore[assignment]
        torch.library.opcheck(torch.ops.gatewise.recurrence.default, arguments)


def _without_gradient(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], Tensor):
        return [one.detach() for one in value]
    return value.detach() if isinstance(value, Tensor) else value


@PLAIN
def test_threads_give_the_same_bits(kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    net = module(kind, torch.float32, **options)
    wanted = gradients(net, LENGTHS, some_resets())
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "SHARE", 1)
    calls = counted(monkeypatch, "train_forward")
    try:
        torch.set_num_threads(3)
        got = gradients(net, LENGTHS, some_resets())
    finally:
        torch.set_num_threads(before)
    assert [call[-3] for call in calls] == [3], "in three shares"
    rows = 2 + 2 * len(net.graph.state)  # what belongs to a row; gradients of weights are sums over all rows
    assert all(torch.equal(*pair) for pair in zip(got[:rows], wanted[:rows], strict=True))
    close(got, wanted, 1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_after_a_fork_learns_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    net = module("gru", torch.float32)
    monkeypatch.setattr(threads, "SHARE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    wanted = gradients(net)
    child = os.fork()
    if not child:
        torch.set_num_threads(1)  # torch's own products would wait for threads that are not there
        got = gradients(net)
        os._exit(0 if all(torch.equal(*pair) for pair in zip(got[:4], wanted[:4], strict=True)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@PLAIN
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_lies_beyond_the_end_of_a_row_never_matters(
    kind: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    net = module(kind, dtype, **options)
    x = torch.randn(BATCH, TIME, INPUTS, generator=torch.Generator().manual_seed(1), dtype=dtype)
    found = []
    for filling in (0.0, float("nan"), float("inf"), 1e30):
        padded = x.clone()
        for row, length in enumerate(LENGTHS.tolist()):
            padded[row, length:] = filling
        padded.requires_grad_()
        net.zero_grad()
        y, after = net(padded, None, LENGTHS)
        (y.square().sum() + sum(value.sum() for value in after.values())).backward()
        assert padded.grad is not None
        found.append([y, *after.values(), padded.grad, *(parameter.grad for parameter in net.parameters())])
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))
    more = torch.cat([x, torch.full((BATCH, 4, INPUTS), float("nan"), dtype=dtype)], 1)
    y, after = net(more, None, LENGTHS)
    close([y[:, :TIME], *after.values()], found[0][: 1 + len(after)], 1e-6)


@PLAIN
def test_a_reset_begins_a_new_series(kind: str, options: dict[str, Any]) -> None:
    net = module(kind, **options)
    x = torch.randn(1, TIME, INPUTS, dtype=torch.float64)
    resets = torch.zeros(1, TIME, dtype=torch.bool)
    resets[0, 3] = True
    y, after = net(x, None, None, resets)
    first, _ = net(x[:, :3])
    second, end = net(x[:, 3:])
    close([y, *after.values()], [torch.cat([first, second], 1), *end.values()], 1e-14)


def test_resets_reach_every_state() -> None:
    """Also where torch runs a node piece by piece: held readings, and the smoothed residuals of a head."""
    stage = gw.LayerSpec("numeric", width=2, missing="hold")
    layers = [gw.LayerSpec("gru", units=4), gw.LayerSpec("dense", units=2)]
    spec = gw.ModelSpec(input=stage, layers=layers, head=gw.LayerSpec("tail_probability", targets=[0], smooth=3))
    net = to_torch(gw.init(spec)).double()
    x = torch.randn(BATCH, TIME, 2, dtype=torch.float64)
    x[:, [2, 3, 5], 0] = float("nan")
    resets = some_resets()
    resets[0, 3] = True  # the held reading is gone
    for lengths in (None, LENGTHS):
        got, after = net(x, None, lengths, resets)
        for row in range(BATCH):
            end = TIME if lengths is None else int(lengths[row])
            starts = [0, *(t for t in range(1, end) if resets[row, t]), end]
            pieces = [net(x[row : row + 1, a:b]) for a, b in pairwise(starts)]
            alone = torch.cat([y for y, _ in pieces], 1)[0]
            close([got[row, :end]], [alone], 1e-12)
            if end:
                close([value[row] for value in after.values()], [value[0] for value in pieces[-1][1].values()], 1e-12)


@pytest.mark.parametrize(
    ("resets", "words"),
    [
        (torch.zeros(BATCH, TIME), r"resets must be bool \(5, 7\), got torch.float32 \(5, 7\)"),
        (torch.zeros(TIME, BATCH, dtype=torch.bool), r"resets must be bool \(5, 7\), got torch.bool \(7, 5\)"),
    ],
)
def test_resets_that_do_not_fit(resets: Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        module("gru")(torch.zeros(BATCH, TIME, INPUTS, dtype=torch.float64), None, None, resets)


def test_a_window_has_no_resets() -> None:
    net = to_torch(gw.init(gw.ModelSpec(INPUTS, [gw.LayerSpec("gru", units=2)], context={"window": 3})))
    with pytest.raises(InputError, match="this one has a window; leave them out"):
        net(torch.zeros(1, 4, INPUTS), None, None, torch.zeros(1, 4, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0), (1, 1)])
def test_empty_batches_and_sequences(kind: str, shape: tuple[int, int]) -> None:
    found = gradients(module(kind), batch=shape[0], time=shape[1])
    assert found[0].shape == (*shape, 6)
    assert all(torch.isfinite(value).all() for value in found)


def test_a_second_derivative_is_refused_clearly() -> None:
    net = module("gru")
    x = torch.randn(2, 4, INPUTS, dtype=torch.float64, requires_grad=True)
    with pytest.raises(InputError, match=r"the native gru has no second derivative.*without_kernels\(\)"):
        torch.autograd.grad(net(x)[0].sum(), x, create_graph=True)
    with without_kernels():
        (first,) = torch.autograd.grad(net(x)[0].sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert torch.isfinite(second).all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, for forward derivatives
def test_forward_derivatives_are_refused() -> None:
    net = module("gru").requires_grad_(False)
    x = torch.randn(2, 4, INPUTS, dtype=torch.float64)
    with torch.autograd.forward_ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        net(torch.autograd.forward_ad.make_dual(x, torch.ones_like(x)))


def test_without_a_gradient_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, "train_forward")
    net, x = module("lstm"), torch.randn(2, 4, INPUTS, dtype=torch.float64)
    with torch.inference_mode():
        quick, _ = net(x)
    assert [call[9] for call in calls] == [None]
    assert torch.equal(quick, net(x)[0])
    assert calls[1][9].shape == (4, 2, 36)


@PLAIN
def test_recompute_gives_the_same_and_keeps_less(kind: str, options: dict[str, Any]) -> None:
    net, rows = module(kind, **options), (LENGTHS, some_resets())
    wanted = gradients(net, *rows)
    net.recompute = True
    close(gradients(net, *rows), wanted, 1e-12)

    def kept(recompute: bool) -> int:
        sizes: dict[int, int] = {}

        def pack(value: Tensor) -> Tensor:
            sizes[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            return value

        net.recompute = recompute
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            y, _ = net(torch.zeros(4, 400, INPUTS, dtype=torch.float64))
        return sum(sizes.values()) + 0 * len(y)

    assert kept(True) < kept(False) / 2


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_learning_is_unchanged(kind: str) -> None:
    """200 steps of Adam beside torch's own layer from the same weights, in float64."""
    own = module(kind, units=8)
    torchs = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](INPUTS, 8, batch_first=True)
    theirs = torchs.double()
    names = [name.partition(".")[2] for name, _ in own.named_parameters()]
    with torch.no_grad():
        for name, parameter in zip(names, own.parameters(), strict=True):
            getattr(theirs, f"{name}_l0").copy_(parameter)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(200, 4, 12, INPUTS, generator=generator, dtype=torch.float64)
    for net in (own, theirs):
        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        for step in x:
            optimiser.zero_grad()
            (net(step)[0][:, 1:, :INPUTS] - step[:, :-1]).square().mean().backward()
            optimiser.step()
    for name, parameter in zip(names, own.parameters(), strict=True):
        assert float((parameter - getattr(theirs, f"{name}_l0")).detach().abs().max()) < 1e-8


def test_how_many_threads_a_batch_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(threads, "team", lambda: 1)
    worth = threads.SHARE
    assert [threads.shares_of(*work) for work in ((8, 1), (8, worth // 4), (3, worth), (32, worth), (0, 9))] == [
        *(1, 2, 3, 4, 1),
    ]
    monkeypatch.setattr(threads, "team", lambda: 0)
    assert threads.shares_of(32, worth) == 1
