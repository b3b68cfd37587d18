"""The native core, on every instruction set, held to the float64 reference, to torch, and to itself."""

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewise as gw
from conformance.cases import BATCH, CASES, FEW, TIME, Case, each, readings, tensors, truth
from gatewise import _core
from gatewise.graph import reference_run, resolve
from gatewise.layers.base import Array
from gatewise.nn import Recurrent
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.state import COUNT, READINGS

CPUS = _core.instruction_sets()


def model(spec: ModelSpec, cpu: str | None = None, gain: float = 1.0) -> gw.Model:
    return gw.Model(spec, tensors(resolve(spec), gain=gain), cpu=cpu)


def fields(state: gw.State) -> dict[str, Array]:
    return dict(state.fields)


def reference(found: gw.Model, x: Array, state: dict[str, Array] | None = None) -> tuple[Array, dict[str, Array]]:
    return reference_run(found.graph, found.tensors, x, state)


def torch_error(found: gw.Model, x: Array, y: Array, state: dict[str, Array]) -> float:
    """The greatest error of torch in float32 against the float64 reference, over answers and last state."""
    module = Recurrent(found.graph, found.tensors)
    with torch.inference_mode():
        answers, after = module(torch.tensor(x))
    return error(answers.numpy(), {name: value.numpy() for name, value in after.items()}, y, state)


def error(got: Array, got_state: dict[str, Array], y: Array, state: dict[str, Array]) -> float:
    """The greatest difference; NaN where one has a number and the other none. Readings in a state may be missing."""
    pairs = [(got, y), *((got_state[name], value) for name, value in state.items())]
    return float(np.max([_apart(one, other) for one, other in pairs]))


def _apart(one: Array, other: Array) -> float:
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return float(np.abs(one[~same] - other[~same]).max(initial=0.0))


@functools.cache
def error_of_torch(case: Case) -> float:
    """How far torch in float32 is from the truth."""
    return torch_error(model(case.spec), *truth(case))


def same_bits(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_this_machine_has_a_baseline_and_reports_it_last() -> None:
    assert CPUS[-1] == "base"
    assert len(set(CPUS)) == len(CPUS)


@pytest.mark.parametrize("cpu", CPUS)
@each(CASES)
def test_native_is_the_reference(case: Case, cpu: str) -> None:
    found = model(case.spec, cpu)
    assert found.cpu == cpu
    x, y, state = truth(case)
    got, after = found.run(x, return_state=True)
    assert list(after.fields) == [field.name for field in found.graph.state]
    wrong = error(got, fields(after), y, state)
    assert wrong <= 1e-5
    assert wrong <= 4 * error_of_torch(case) + 1e-6


@pytest.mark.parametrize("cpu", CPUS)
@each(CASES)
def test_steps_chunks_batch_and_whole_are_the_same_bits(case: Case, cpu: str) -> None:
    found = model(case.spec, cpu)
    x = readings(found.graph, BATCH, TIME)
    whole, end = found.run(x, return_state=True)
    out = np.empty(found.outputs, np.float32)
    for row in range(BATCH):
        alone, alone_end = found.run(x[row], return_state=True)
        assert same_bits(alone, whole[row])
        for name, value in fields(end).items():
            assert same_bits(alone_end.fields[name][0], value[row])
        steps, chunks, into = found.stream(), found.stream(), found.stream()
        pushed = np.stack([steps.push(reading) for reading in x[row]])
        parts = [chunks.push_many(part) for part in np.split(x[row], [1, 1, 8, 15])]
        filled = np.stack([into.push(reading, out=out).copy() for reading in x[row]])
        for answers in (pushed, np.concatenate(parts), filled):
            assert same_bits(answers, whole[row])
        for stream in (steps, chunks, into):
            assert stream.state == alone_end
            assert stream.save() == alone_end.to_bytes()


@st.composite
def cuts(draw: st.DrawFn, steps: int) -> list[int]:
    """Lengths of chunks, 0 and 1 among them, that add up to `steps`."""
    inner = sorted(draw(st.lists(st.integers(0, steps), max_size=6)))
    return [int(length) for length in np.diff([0, *inner, steps])]


@pytest.mark.parametrize("cpu", CPUS)
@settings(max_examples=60)
@given(case=st.sampled_from(FEW), lengths=cuts(17), data=st.data())
def test_any_chunking_through_saved_bytes(cpu: str, case: Case, lengths: list[int], data: st.DataObject) -> None:
    """Each chunk by push, push_many or run, in the same stream or a new one that got the saved bytes."""
    found = model(case.spec, cpu)
    x = readings(found.graph, 1, 17)[0]
    whole, end = found.run(x, return_state=True)
    stream, done = found.stream(), 0
    for length in lengths:
        part = x[done : done + length]
        wanted = whole[done : done + length]
        how = data.draw(st.sampled_from(["push", "push_many", "run", "new stream", "load"]))
        if how == "push":
            answers = np.array([stream.push(reading) for reading in part], np.float32).reshape(length, found.outputs)
        elif how == "run":
            answers, state = found.run(part, state=stream.state, return_state=True)
            stream.load(state)
        else:
            if how == "new stream":
                stream = found.stream(stream.save())
            elif how == "load":
                saved = stream.save()
                stream = found.stream()
                stream.push_many(x[:3])
                stream.load(saved)
            answers = stream.push_many(part)
        assert same_bits(answers, wanted)
        done += length
    assert stream.state == end


@each(FEW)
def test_a_state_moves_between_instruction_sets(case: Case) -> None:
    models = [model(case.spec, cpu) for cpu in CPUS]
    x = readings(models[0].graph, 1, TIME)[0]
    y, end = reference(models[0], x[None])
    allowed = 4 * torch_error(models[0], x[None], y, end) + 1e-6
    at, answers, saved = 0, [], None
    turns = [*models, *models[::-1], models[0]]
    for found, part in zip(turns, np.array_split(x, len(turns)), strict=True):
        stream = found.stream(saved)
        answers.append(stream.push_many(part))
        saved = stream.save()
        at += len(part)
    assert error(np.concatenate(answers), fields(gw.State.from_bytes(saved or b"")), y[0], end) <= allowed


@each(FEW)
def test_each_model_keeps_its_own_instruction_set(case: Case) -> None:
    """All in one process, taking turns step by step: the same bits as alone."""
    models = [model(case.spec, cpu) for cpu in CPUS]
    x = readings(models[0].graph, 1, TIME)[0]
    alone = [found.run(x) for found in models]
    streams = [found.stream() for found in models]
    answers = np.array([[stream.push(reading) for stream in streams] for reading in x])
    for i, wanted in enumerate(alone):
        assert same_bits(np.ascontiguousarray(answers[:, i]), wanted)


def gru_errors(options: Mapping[str, Any], gain: float, seeds: int) -> Iterator[tuple[float, float]]:
    """Errors of the native core and of torch, both float32, for GRUs with recurrent weights `gain` times as large."""
    for seed, units in itertools.product(range(seeds), (16, 33, 64)):
        spec = ModelSpec(5, [LayerSpec("gru", units=units, **options)])
        best = gw.Model(spec, tensors(resolve(spec), seed, gain))
        x = readings(best.graph, 8, 60, seed)
        y, state = reference(best, x)
        torchs = torch_error(best, x, y, state)
        for cpu in CPUS:
            got, after = best.replace(cpu=cpu).run(x, return_state=True)
            yield error(got, fields(after), y, state), torchs


@pytest.mark.parametrize("gain", [2.0, 4.0])
@pytest.mark.parametrize("options", [{}, {"reset": "before"}], ids=str)
def test_errors_stay_near_those_of_torch(options: Mapping[str, Any], gain: float) -> None:
    for ours, torchs in gru_errors(options, gain, seeds=2):
        assert ours <= 4 * torchs + 1e-6


@pytest.mark.parametrize("options", [{}, {"reset": "before"}], ids=str)
def test_chaos_amplifies_no_more_than_in_torch(options: Mapping[str, Any]) -> None:
    """Here each rounding grows a thousandfold, and one error may be ten times another by chance: the mean counts."""
    ratios = [ours / torchs for ours, torchs in gru_errors(options, gain=6.0, seeds=5)]
    assert np.exp(np.mean(np.log(ratios))) <= 4


def test_a_given_state_is_where_the_run_starts() -> None:
    for case in FEW:
        found = model(case.spec)
        x, rng = readings(found.graph, BATCH, 7), np.random.default_rng(0)
        start = {f.name: rng.normal(0, 0.5, (BATCH, *f.shape)).astype(np.float32) for f in found.graph.state}
        if found.window is not None:
            seen = rng.integers(0, found.window + 1, (BATCH, 1))
            start[COUNT] = seen.astype(np.float32)
            start[READINGS][np.arange(found.window) < found.window - seen] = 0.0
        state = gw.State(found.graph.structure, start)
        before = state.to_bytes()
        y, end = reference(found, x, start)
        got, after = found.run(x, state=state, return_state=True)
        assert error(got, fields(after), y, end) <= 1e-5
        assert state.to_bytes() == before, "a state is a value: running from it does not change it"


def unflushed(values: Array) -> Array:
    """Values too small to be in a state: below 2^-64, but no zero."""
    size = np.abs(values)
    return values[(size > 0) & (size < 2.0**-64)]


def decaying() -> Iterator[tuple[str, ModelSpec]]:
    """Models whose state dies out under zero input, slowly."""
    for reset in ("after", "before"):
        yield f"gru-{reset}", ModelSpec(2, [LayerSpec("gru", units=17, reset=reset)])
    yield "gru-linear", ModelSpec(2, [LayerSpec("gru", units=5, activation="linear")])
    yield "stack", ModelSpec(2, [LayerSpec("gru", units=9), LayerSpec("gru", units=3)])
    stage = LayerSpec("numeric", width=2, missing="hold")
    layers = [LayerSpec("gru", units=8), LayerSpec("dense", units=2)]
    yield "head", ModelSpec(input=stage, layers=layers, head=LayerSpec("tail_probability", smooth=30))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("name", "spec"), list(decaying()), ids=lambda value: value if isinstance(value, str) else "")
def test_silence_leaves_no_denormals(name: str, spec: ModelSpec, cpu: str) -> None:
    graph = resolve(spec)
    drawn = tensors(graph)
    for key, value in drawn.items():
        if "bias" in key:
            value[:] = 0.0
    found = gw.Model(spec, drawn, cpu=cpu)
    stream = found.stream()
    stream.push_many(readings(graph, 1, 50)[0])
    if name == "head":
        stream.push(np.zeros(2))
    loud = stream.state
    assert any(np.abs(value).max() > 1e-3 for value in loud.fields.values())
    hidden = stream.push_many(np.zeros((100_000, 2), np.float32))
    for value in stream.state.fields.values():
        assert unflushed(value).size == 0
    assert np.abs(stream.state.fields["gru0.hidden"]).max() == 0, "a contraction without biases ends at zero"
    if spec.nodes[-1].kind == "gru":
        assert unflushed(hidden).size == 0


@pytest.mark.parametrize("cpu", CPUS)
def test_a_tiny_state_is_zero_on_every_instruction_set(cpu: str) -> None:
    # One unit that keeps half of its state: z = 1/2, n = 0.
    spec = ModelSpec(1, [LayerSpec("gru", units=1)])
    zero = {name: np.zeros(shape, np.float32) for name, shape in resolve(spec).tensors.items()}
    found = gw.Model(spec, zero, cpu=cpu)
    for power, wanted in ((-62, 2.0**-63), (-63, 2.0**-64), (-64, 0.0), (-100, 0.0), (-140, 0.0)):
        for sign in (1, -1):
            start = gw.State(found.graph.structure, {"gru0.hidden": np.array([[sign * 2.0**power]], np.float32)})
            stream = found.stream(start)
            assert stream.push([0.0])[0] == sign * wanted
            assert stream.state.fields["gru0.hidden"][0, 0] == sign * wanted


@pytest.mark.parametrize("cpu", CPUS)
@each(FEW)
def test_tiny_readings_leave_no_tiny_state(case: Case, cpu: str) -> None:
    graph = resolve(case.spec)
    drawn = tensors(graph)
    for name, value in drawn.items():
        if "bias" in name or name == "input.offset":
            value[:] = 0.0
    for size in (1e-19, 1e-25, 1e-36, 1e-42):
        stream = gw.Model(case.spec, drawn, cpu=cpu).stream()
        stream.push_many(size * np.random.default_rng(0).normal(size=(6, graph.edges[0].width)))
        for name, value in stream.state.fields.items():
            assert name == READINGS or unflushed(value).size == 0, "readings are kept as they came"


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("log_scale", [-1000.0, -10.5, -9.5, 9.5, 10.5, 1000.0])
def test_the_head_clips_a_wild_scale(log_scale: float, cpu: str) -> None:
    spec = ModelSpec(1, [LayerSpec("dense", units=2)], head=LayerSpec("tail_probability", smooth=3))
    drawn = tensors(resolve(spec))
    drawn["dense0.weight"][:] = 0.0
    drawn["dense0.bias"][:] = [0.25, log_scale]
    found = gw.Model(spec, drawn, cpu=cpu)
    x = readings(found.graph, 1, 6)
    np.testing.assert_allclose(found.run(x), reference(found, x)[0], rtol=1e-5, atol=1e-5)


def test_scores_lie_within_the_table_and_beyond_it() -> None:
    # Otherwise one of the two ways to a score would go untested above.
    for case in (case for case in CASES if case.name.startswith("tail_probability") and "smooth" not in case.name):
        _, y, _ = truth(case)
        drawn = tensors(resolve(case.spec))
        last = drawn.get("head.joint_score", drawn["head.score"][0])[-1]
        assert (y[..., 0] < last).any()
        assert (y[..., 0] > last).any()


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("units", [2, 16, 17, 33])
def test_softmax_of_huge_sums(units: int, cpu: str) -> None:
    spec = ModelSpec(1, [LayerSpec("dense", units=units, activation="softmax")])
    drawn = tensors(resolve(spec))
    for size in (1e2, 1e4, 1e30):
        found = gw.Model(
            spec, {"dense0.weight": size * drawn["dense0.weight"], "dense0.bias": drawn["dense0.bias"]}, cpu=cpu
        )
        x = np.array([[[1.0], [-1.0], [0.0]]], np.float32)
        got = found.run(x)
        np.testing.assert_allclose(got, reference(found, x)[0], rtol=0, atol=3e-6)
        np.testing.assert_allclose(got.sum(axis=-1), 1, rtol=0, atol=1e-6)
