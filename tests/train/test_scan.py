"""The linear scan: against a loop over time in float64, finite differences and numbers worked out by hand."""

import os
import platform
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatewise import _core
from gatewise.errors import InputError
from gatewise.layers.train import threads
from gatewise.layers.train.scan import in_parallel
from gatewise.train import scan, without_kernels

BATCH, TIME = 5, 9
LENGTHS = torch.tensor([TIME, 0, 3, TIME - 1, 1])
WIDTHS = (1, 4, 7, 8, 19, 33, 64)
EXACT = {torch.float32: torch.float64, torch.complex64: torch.complex128}

Inputs = dict[str, Any]
SINGLE = pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=["float32", "complex64"])
DOUBLE = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["float64", "complex128"])
DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128], ids=lambda dtype: str(dtype)[6:]
)
SAME_A = pytest.mark.parametrize("same_a", [False, True], ids=["each-step", "same-a"])
RAGGED = pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])


def drawn(
    dtype: torch.dtype,
    width: int = 7,
    same_a: bool = False,
    ragged: bool = False,
    batch: int = BATCH,
    time: int = TIME,
    most: float = 1.5,
) -> Inputs:
    """What `scan` takes: |a| up to `most`, of either sign or any phase, some of it 0."""
    generator = torch.Generator().manual_seed(width)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=EXACT.get(dtype, dtype)).to(dtype)

    a = draw(width) if same_a else draw(batch, time, width)
    a = a / a.abs().clamp(min=1e-9) * most * torch.rand(a.shape, generator=generator).to(a.abs().dtype)
    a[..., ::5] *= torch.rand(a[..., ::5].shape, generator=generator).round().to(a.abs().dtype)
    rows: Inputs = {"lengths": None, "resets": None}
    if ragged:
        rows["lengths"] = LENGTHS if batch == BATCH and time == TIME else torch.arange(1, batch + 1) * time // batch
        rows["resets"] = torch.rand(batch, time, generator=generator) < 0.2
    return {"a": a, "b": draw(batch, time, width), "first": draw(batch, width), **rows}


def one_by_one(
    a: Tensor, b: Tensor, first: Tensor, lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The definition, row by row and step by step."""
    a = a.expand(b.shape)
    every, ends = [], []
    for row in range(len(b)):
        h = first[row]
        steps = []
        for t in range(b.shape[1]):
            if lengths is not None and t >= lengths[row]:
                steps.append(torch.zeros_like(h))
                continue
            before = torch.zeros_like(h) if resets is not None and resets[row, t] else h
            h = a[row, t] * before + b[row, t]
            steps.append(h)
        every.append(torch.stack(steps) if steps else b[row])
        ends.append(h)
    return torch.stack(every), torch.stack(ends)


def weights(inputs: Inputs) -> list[Tensor]:
    """Of h and last in a random loss: its gradients."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(inputs[name].shape, generator=generator, dtype=inputs["b"].dtype) for name in ("b", "first")]


def results(
    run: Callable[..., tuple[Tensor, Tensor]], inputs: Inputs, loss: list[Tensor] | None = None
) -> dict[str, Tensor]:
    """h, last and the gradients of a, b and first, for a loss with such weights."""
    leaves = {name: inputs[name].detach().clone().requires_grad_() for name in ("a", "b", "first")}
    h, last = run(**{**inputs, **leaves})
    torch.autograd.backward([h, last], weights(inputs) if loss is None else loss)
    grads = {f"d_{name}": value.grad for name, value in leaves.items() if value.grad is not None}
    return {"h": h.detach(), "last": last.detach(), **grads}


def cast(inputs: Inputs, dtype: torch.dtype) -> Inputs:
    return {name: value.to(dtype) if name in ("a", "b", "first") else value for name, value in inputs.items()}


def in_size(inputs: Inputs) -> Inputs:
    """The same scan of absolute values, in float64."""
    return {name: value.abs().double() if name in ("a", "b", "first") else value for name, value in inputs.items()}


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def close(got: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        assert got[name].dtype == value.dtype
        if value.numel():
            assert float((got[name] - value).abs().max()) <= tolerance * (1.0 + float(value.abs().max())), name


def within_roundings(inputs: Inputs, got: dict[str, Tensor], roundings: float) -> None:
    """Every value as near that of float64 as so many roundings of all that was added up to it, in absolute value."""
    wide, loss = EXACT[inputs["b"].dtype], weights(inputs)
    exact = results(one_by_one, cast(inputs, wide), [weight.to(wide) for weight in loss])
    sizes = results(one_by_one, in_size(inputs), [weight.abs().double() for weight in loss])
    for name, value in got.items():
        excess = (value.to(wide) - exact[name]).abs() - roundings * 2.0**-24 * sizes[name]
        assert float(excess.max()) <= 0.0, name


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call of a function of the core from now on."""
    calls: list[tuple[Any, ...]] = []
    original: Callable[..., None] = getattr(_core, name)

    def count(*arguments: Any) -> None:
        calls.append(arguments)
        original(*arguments)

    monkeypatch.setattr(_core, name, count)
    return calls


def on(monkeypatch: pytest.MonkeyPatch, cpu: str) -> None:
    """From now on the core's functions run on one instruction set."""

    def set_to(name: str) -> None:
        original = getattr(_core, name)
        monkeypatch.setattr(_core, name, lambda *arguments: original(*arguments[:-1], cpu))

    set_to("scan_forward")
    set_to("scan_backward")


RUNS = pytest.mark.parametrize("run", [scan, in_parallel], ids=["native", "parallel"])


@RUNS
def test_by_hand(run: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """h: 2 5 + 1, -1 11 + 2, 0 (-9) + 3, 3 3 + 4; the gradient of their sum from the end: 1, 1 + 3, 1 + 0, 1 - 1."""
    a = torch.tensor([2.0, -1.0, 0.0, 3.0]).reshape(1, 4, 1).requires_grad_()
    b = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1).requires_grad_()
    first = torch.tensor([[5.0]], requires_grad=True)
    h, last = run(a, b, first)
    assert h.flatten().tolist() == [11.0, -9.0, 3.0, 13.0]
    assert last.tolist() == [[13.0]]
    h.sum().backward()
    grads = [leaf.grad.flatten().tolist() for leaf in (a, b, first) if leaf.grad is not None]
    assert grads == [[0.0, 11.0, -36.0, 3.0], [0.0, 1.0, 4.0, 1.0], [0.0]]


@DOUBLE
@SAME_A
@RAGGED
@pytest.mark.parametrize("width", WIDTHS)
def test_equals_a_loop_over_time(
    dtype: torch.dtype, same_a: bool, ragged: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = drawn(dtype, width, same_a, ragged)
    calls = counted(monkeypatch, "scan_forward"), counted(monkeypatch, "scan_backward")
    got = results(scan, inputs)
    assert [len(some) for some in calls] == [1, 1], "the native kernels ran"
    close(got, results(one_by_one, inputs), 1e-14)


@DOUBLE
@SAME_A
@RAGGED
@pytest.mark.parametrize("time", [1, 2, 3, 7, 8, 9, 64, 65])
def test_torch_in_parallel_equals_a_loop_over_time(dtype: torch.dtype, same_a: bool, ragged: bool, time: int) -> None:
    inputs = drawn(dtype, 3, same_a, ragged, time=time)
    close(results(in_parallel, inputs), results(one_by_one, inputs), 1e-13)


def test_torch_is_taken_where_the_core_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, "scan_forward")
    inputs = drawn(torch.float64, ragged=True)
    with without_kernels():
        close(results(scan, inputs), results(one_by_one, inputs), 1e-13)
    half = cast(inputs, torch.bfloat16)
    h, last = scan(**half)
    assert h.dtype == last.dtype == torch.bfloat16
    assert float((h.double() - one_by_one(**cast(half, torch.float64))[0]).abs().max()) < 0.1  # 8 bits, of 5 at most
    h, last = scan(**{name: value.to("meta") for name, value in inputs.items()})
    assert h.shape == inputs["b"].shape
    assert not calls


@SINGLE
@SAME_A
@RAGGED
@pytest.mark.parametrize("width", [7, 64])
@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_float32_is_within_a_few_roundings(
    dtype: torch.dtype, same_a: bool, ragged: bool, width: int, cpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, cpu)
    inputs = drawn(dtype, width, same_a, ragged, time=70, most=0.95)
    within_roundings(inputs, results(scan, inputs), 4)


@SINGLE
@pytest.mark.parametrize("width", [1, 2, 3, 5, 9, 15, 16, 17, 31, 47])
@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_every_width_on_every_instruction_set(
    dtype: torch.dtype, width: int, cpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, cpu)
    for same_a in (False, True):
        inputs = drawn(dtype, width, same_a, ragged=True)
        within_roundings(inputs, results(scan, inputs), 4)


@DOUBLE
@SAME_A
@RAGGED
def test_gradcheck(dtype: torch.dtype, same_a: bool, ragged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = drawn(dtype, 3, same_a, ragged)
    given = [inputs[name].requires_grad_() for name in ("a", "b", "first")]
    calls = counted(monkeypatch, "scan_backward")
    assert torch.autograd.gradcheck(scan, (*given, inputs["lengths"], inputs["resets"]), eps=1e-6, atol=1e-7, rtol=1e-6)
    assert calls, "the native kernel ran"


@DTYPES
@SAME_A
@RAGGED
def test_opcheck(dtype: torch.dtype, same_a: bool, ragged: bool) -> None:
    inputs = drawn(dtype, 3, same_a, ragged)
    given = [inputs[name].requires_grad_() for name in ("a", "b", "first")]
    torch.library.opcheck(torch.ops.gatewise.scan.default, (*given, inputs["lengths"], inputs["resets"]))
    plain = [leaf.detach() for leaf in given]
    torch.library.opcheck(torch.ops.gatewise.scan.default, (*plain, inputs["lengths"], inputs["resets"]))


@DTYPES
@SAME_A
@RUNS
def test_what_lies_beyond_the_end_of_a_row_never_matters(
    run: Callable[..., tuple[Tensor, Tensor]], dtype: torch.dtype, same_a: bool
) -> None:
    """Not by one bit, in what goes in and in the gradient of h; and all that comes out is 0 there."""
    inputs = drawn(dtype, 11, same_a, ragged=True)
    beyond = (torch.arange(TIME) >= LENGTHS[:, None])[:, :, None]
    loss = weights(inputs)
    found = []
    for filling in (0.0, float("nan"), float("inf"), -1e30):
        padded = {**inputs, "b": inputs["b"].masked_fill(beyond, filling)}
        if not same_a:
            padded["a"] = inputs["a"].masked_fill(beyond, filling)
        found.append(results(run, padded, [loss[0].masked_fill(beyond, filling), loss[1]]))
    for other in found[1:]:
        same_bits(other, found[0])
    for name in ("h", "d_b") if same_a else ("h", "d_b", "d_a"):
        assert not found[0][name].masked_select(beyond).any()


@DTYPES
@SAME_A
def test_a_reset_begins_a_new_series(dtype: torch.dtype, same_a: bool) -> None:
    """With the same bits, and nothing passes it, not even NaN; nor does a gradient."""
    inputs = drawn(dtype, 9, same_a)
    inputs["resets"] = torch.zeros(BATCH, TIME, dtype=torch.bool)
    inputs["resets"][:, 4] = True
    inputs["b"][:, 3] = float("nan")
    leaves = [inputs[name].clone().requires_grad_() for name in ("a", "b", "first")]
    h, last = scan(*leaves, None, inputs["resets"])
    a = inputs["a"] if same_a else inputs["a"][:, 4:]
    alone, end = scan(a, inputs["b"][:, 4:], torch.zeros_like(inputs["first"]))
    assert torch.equal(h[:, 4:], alone)
    assert torch.equal(last, end)
    assert bool(h[:, 3].isnan().all())
    last.abs().sum().backward()
    d_a, d_b, d_first = (leaf.grad for leaf in leaves if leaf.grad is not None)
    assert not d_b[:, :4].any()
    assert not d_first.any()
    assert bool(d_b[:, 4:].isfinite().all())
    if not same_a:
        assert not d_a[:, 4].any()


@RUNS
@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 0, 3), (3, 4, 0), (0, 0, 0), (1, 1, 1)])
@SAME_A
def test_empty_batches_and_sequences(
    run: Callable[..., tuple[Tensor, Tensor]], shape: tuple[int, int, int], same_a: bool
) -> None:
    batch, time, width = shape
    inputs = drawn(torch.float64, width, same_a, batch=batch, time=time)
    got = results(run, inputs)
    assert got["h"].shape == shape
    assert got["d_a"].shape == inputs["a"].shape
    assert all(torch.isfinite(value).all() for value in got.values())
    if time == 0:
        assert torch.equal(got["last"], inputs["first"])
        assert bool((got["d_first"] != 0).all()), "the gradient of last goes on to first"
        assert not got["d_a"].any()


@DTYPES
@SAME_A
def test_threads_give_the_same_bits(dtype: torch.dtype, same_a: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = drawn(dtype, 19, same_a, ragged=True)
    wanted = results(scan, inputs)
    monkeypatch.setattr(threads, "SHARE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    calls = counted(monkeypatch, "scan_forward"), counted(monkeypatch, "scan_backward")
    same_bits(results(scan, inputs), wanted)
    for some in calls:
        assert [call[-3] for call in some] == [3], "in three shares"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_after_a_fork_scans_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SHARE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    inputs = drawn(torch.float32)
    wanted, _ = scan(**inputs)
    child = os.fork()
    if not child:
        got, _ = scan(**inputs)
        os._exit(0 if torch.equal(got, wanted) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(0, 1).contiguous().transpose(0, 1)


def _sliced(x: Tensor) -> Tensor:
    return torch.stack([x, torch.full_like(x, float("nan"))], -1)[..., 0]


def _conjugated(x: Tensor) -> Tensor:
    return x.conj().resolve_conj().conj()


@DTYPES
@pytest.mark.parametrize("view", [_transposed, _sliced, _conjugated])
def test_inputs_need_not_be_contiguous(dtype: torch.dtype, view: Callable[[Tensor], Tensor]) -> None:
    inputs = drawn(dtype, 5, ragged=True)
    viewed = {**inputs, **{name: view(inputs[name]) for name in ("a", "b", "first")}}
    viewed["resets"] = _transposed(inputs["resets"])
    h, last = scan(**viewed)
    same_bits({"h": h, "last": last}, dict(zip(("h", "last"), scan(**inputs), strict=True)))


@DTYPES
def test_gradients_need_not_be_contiguous(dtype: torch.dtype) -> None:
    inputs = drawn(dtype, 5)
    found = []
    for d_h in (torch.ones(1, 1, 1, dtype=dtype).expand(BATCH, TIME, 5), torch.ones(BATCH, TIME, 5, dtype=dtype)):
        leaves = [inputs[name].clone().requires_grad_() for name in ("a", "b", "first")]
        torch.autograd.backward(scan(*leaves)[0], d_h)
        found.append({str(i): leaf.grad for i, leaf in enumerate(leaves)})
    same_bits(*found)  # type: ignore[arg-type]


@given(
    cuts=st.lists(st.integers(0, 20), max_size=6),
    width=st.integers(1, 20),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128]),
    same_a=st.booleans(),
    cpu=st.sampled_from(_core.instruction_sets()),
)
@settings(deadline=None)
def test_any_cut_of_time_gives_the_same_bits(
    cuts: list[int], width: int, dtype: torch.dtype, same_a: bool, cpu: str
) -> None:
    inputs = drawn(dtype, width, same_a, batch=2, time=20)
    a, b, state = inputs["a"], inputs["b"], inputs["first"]
    resets = torch.rand(2, 20, generator=torch.Generator().manual_seed(len(cuts))) < 0.1
    with pytest.MonkeyPatch.context() as patch:
        on(patch, cpu)
        whole, end = scan(a, b, state, None, resets)
        parts = []
        edges = [0, *sorted(cuts), 20]
        for start, stop in pairwise(edges):
            piece = slice(start, stop)
            h, state = scan(a if same_a else a[:, piece], b[:, piece], state, None, resets[:, piece])
            parts.append(h)
    assert torch.equal(torch.cat(parts, 1), whole)
    assert torch.equal(state, end)


def test_a_second_derivative_is_refused_clearly() -> None:
    inputs = drawn(torch.float64)
    a = inputs["a"].requires_grad_()
    with pytest.raises(InputError, match=r"the native scan has no second derivative.*without_kernels\(\)"):
        torch.autograd.grad(scan(a, inputs["b"], inputs["first"])[0].sum(), a, create_graph=True)
    with without_kernels():
        assert torch.autograd.gradgradcheck(scan, (a[:2, :3, :2], inputs["b"][:2, :3, :2], inputs["first"][:2, :2]))


def test_what_is_kept_for_a_gradient() -> None:
    """a, h and first; without a gradient nothing, and the same bits."""
    inputs = drawn(torch.float64, 16, time=50)
    kept: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        h, _ = scan(inputs["a"].requires_grad_(), inputs["b"].requires_grad_(), inputs["first"])
        assert sum(kept.values()) == 2 * h.untyped_storage().nbytes() + inputs["first"].untyped_storage().nbytes()
        kept.clear()
        with torch.no_grad():
            assert torch.equal(scan(**inputs)[0], h)
        with torch.inference_mode():
            assert torch.equal(scan(**inputs)[0], h)
        assert not kept


def test_only_the_gradients_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, "scan_backward")
    inputs = drawn(torch.float64)
    wanted = results(scan, inputs)
    b = inputs["b"].clone().requires_grad_()
    h, last = scan(inputs["a"], b, inputs["first"])
    torch.autograd.backward([h, last], weights(inputs))
    assert [call[8] is None for call in calls] == [False, True]
    assert b.grad is not None
    assert torch.equal(b.grad, wanted["d_b"])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only there does a denormal cost so much")
@pytest.mark.parametrize("cpu", _core.instruction_sets())
def test_float32_never_decays_into_denormals(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, cpu)
    tiny = torch.full((1, 1), 2.0**-124)
    h, _ = scan(torch.full((1, 10, 1), 0.5), torch.zeros(1, 10, 1), tiny)
    assert h.flatten().tolist() == [2.0**-125, 2.0**-126, *[0.0] * 8]
    assert float(np.float32(2.0**-126) * np.float32(0.5)) == 2.0**-127, "and only while it runs"
    h, _ = scan(torch.full((1, 10, 1), 0.5).double(), torch.zeros(1, 10, 1).double(), tiny.double())
    assert h.flatten().tolist() == [2.0 ** (-125 - t) for t in range(10)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"b": torch.zeros(TIME, 7)}, r"b must be \(batch, time, width\), got \(9, 7\)"),
        ({"a": torch.zeros(BATCH, TIME, 6)}, r"a must be \(5, 9, 7\), as b, or \(7,\), got \(5, 9, 6\)"),
        ({"a": torch.zeros(1)}, r"a must be \(5, 9, 7\), as b, or \(7,\), got \(1,\)"),
        ({"first": torch.zeros(7)}, r"first must be \(5, 7\), got \(7,\)"),
        (
            {"first": torch.zeros(BATCH, 7).double()},
            "one dtype, got torch.float32, torch.float32 and torch.float64",
        ),
        ({"a": torch.zeros(7).cfloat()}, "one dtype, got torch.complex64, torch.float32"),
        ({"lengths": torch.zeros(4).long()}, r"lengths must be whole numbers \(5,\), got torch.int64 \(4,\)"),
        ({"lengths": torch.zeros(BATCH)}, r"lengths must be whole numbers \(5,\), got torch.float32 \(5,\)"),
        ({"resets": torch.zeros(BATCH, TIME)}, r"resets must be bool \(5, 9\), got torch.float32 \(5, 9\)"),
        ({"a": 0.5}, "a must be a torch tensor, got float; convert it with torch.as_tensor"),
        ({"lengths": [1, 2, 3, 4, 5]}, "lengths must be a torch tensor, got list"),
        ({"resets": np.zeros((BATCH, TIME), bool)}, "resets must be a torch tensor, got ndarray"),
        ({"resets": torch.zeros(TIME, BATCH).bool()}, r"resets must be bool \(5, 9\), got torch.bool \(9, 5\)"),
    ],
)
@pytest.mark.parametrize("kernels", [True, False])
def test_what_does_not_fit(change: Inputs, words: str, kernels: bool) -> None:
    inputs = {**drawn(torch.float32), **change}
    with nullcontext() if kernels else without_kernels(), pytest.raises(InputError, match=words):
        scan(**inputs)


@pytest.mark.parametrize("length", [-1, TIME + 1])
def test_lengths_out_of_range(length: int) -> None:
    with pytest.raises(InputError, match=f"lengths must be from 0 to 9, got {length}"):
        scan(**{**drawn(torch.float32), "lengths": torch.full((BATCH,), length)})


def test_lengths_of_32_bits() -> None:
    inputs = drawn(torch.float32, ragged=True)
    same_bits(results(scan, inputs), results(scan, {**inputs, "lengths": LENGTHS.int()}))
