"""What torch makes of our modules elsewhere: exported programs, ONNX graphs and the transforms of torch.func.

Each is held to the module itself, or to gradients that autograd takes through the native kernels.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from conformance.cases import CASES, FEW, Case, readings, tensors
from gatewise.errors import InputError
from gatewise.graph import resolve
from gatewise.layers.base import Array
from gatewise.model import init
from gatewise.nn import Recurrent, to_torch
from gatewise.spec import LayerSpec, ModelSpec
from gatewise.train import without_kernels

LIKE_NO_OTHER = (
    *("lstm-17x5-projection=2", "rnn-17x5-activation=thresholded_relu", "rglru-17x5-signed", "norm-17x5-method=layer-"),
    *("graph-everything", "graph-residual-rnn", "numeric-width=3,", "quantiles-masked-windows-default"),
    "tail_probability-marked-targets=3names",
)
CHOSEN = [
    *{case.name.partition("-")[0]: case for case in reversed(FEW) if not case.name.startswith("graph-")}.values(),
    *{name: next(case for case in CASES if f"{case}-".startswith(name)) for name in LIKE_NO_OTHER}.values(),
]
"""The first case of each kind, and those whose torch operations no other has."""

# torch's own: that the exporter is the older one, what it calls itself, and that a trace is for one number of steps.
OLDER = [
    "ignore:.*TorchScript:DeprecationWarning",
    "ignore:.*feature will be removed:DeprecationWarning",
    "ignore:Converting a tensor to a Python:torch.jit.TracerWarning",
    "ignore:Exporting a model to ONNX with a batch_size:UserWarning",
    "ignore:Exporting aten..index operator:UserWarning",
]


def older(test: Any) -> Any:
    for warning in OLDER:
        test = pytest.mark.filterwarnings(warning)(test)
    return test


def module_of(case: Case) -> Recurrent:
    graph = resolve(case.spec)
    return Recurrent(graph, tensors(graph)).eval()


def rows(module: Recurrent, seed: int, batch: int = 3, time: int = 2) -> torch.Tensor:
    return torch.from_numpy(readings(module.graph, batch, time, seed))


def simple(kind: str = "gru", **options: Any) -> Recurrent:
    spec = ModelSpec(3, [LayerSpec(kind, units=8), LayerSpec("dense", units=2)], **options)
    return to_torch(init(spec, seed=1)).eval()


def close(got: Sequence[Any], wanted: Sequence[torch.Tensor]) -> None:
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        one = one.detach().numpy() if isinstance(one, torch.Tensor) else one
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=0, atol=1e-5)


def onnx(module: Recurrent, x: torch.Tensor, **options: Any) -> onnxruntime.InferenceSession:
    written = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(module, (x,), written, dynamo=False, **options)
    return onnxruntime.InferenceSession(written.getvalue(), providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, *given: torch.Tensor) -> list[Array]:
    names = [value.name for value in session.get_inputs()]
    return list(session.run(None, {n: v.numpy() for n, v in zip(names, given, strict=True)}))


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_an_exported_program_gives_the_modules_answers(case: Case) -> None:
    module = module_of(case)
    program = torch.export.export(module, (rows(module, 0),))
    assert not [node for node in program.graph.nodes if "gatewise" in str(node.target)], "none of our own operators"
    x = rows(module, 5)
    (y, state), (wanted, after) = program.module()(x), module(x)
    assert list(state) == list(after)
    close([y, *state.values()], [wanted, *after.values()])


@older
@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_an_onnx_graph_gives_the_modules_answers(case: Case) -> None:
    module = module_of(case)
    session, x = onnx(module, rows(module, 0)), rows(module, 5)
    y, state = module(x)
    close(run(session, x), [y, *state.values()])


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_vmap_over_rows_gives_the_modules_answers(case: Case) -> None:
    module = module_of(case)
    x = rows(module, 5)
    y, state = torch.func.vmap(lambda row: module(row[None]))(x)
    wanted, after = module(x)
    close([y[:, 0], *(value[:, 0] for value in state.values())], [wanted, *after.values()])


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own
@pytest.mark.parametrize("kind", ["lstm", "mingru"])
def test_the_newer_onnx_exporter_gives_the_modules_answers(kind: str) -> None:
    pytest.importorskip("onnxscript")
    module, x = simple(kind), torch.randn(2, 5, 3)
    program = torch.onnx.export(module, (x,), dynamo=True, verbose=False)
    assert program is not None
    written = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    y, state = module(x)
    close(run(session, x), [y, *state.values()])


def test_a_program_for_one_step_carries_the_state() -> None:
    module, x = simple("lstm").requires_grad_(False), torch.randn(2, 6, 3)
    wanted, state = module(x)
    _, now = module(x[:, :0])
    program = torch.export.export(module, (x[:, :1], now)).module()
    answers = []
    for step in x.split(1, 1):
        y, now = program(step, now)
        answers.append(y)
    close([torch.cat(answers, 1), *now.values()], [wanted, *state.values()])


@pytest.mark.parametrize("strict", [False, True])
def test_what_a_program_can_be_given(strict: bool) -> None:
    module = to_torch(
        init(ModelSpec(input=LayerSpec("numeric", width=3, missing="hold"), layers=[LayerSpec("gru", units=4)]))
    )
    x, lengths, resets = torch.randn(3, 5, 3), torch.tensor([5, 3, 0]), torch.rand(3, 5) < 0.3
    state = {field.name: torch.randn(3, *field.shape) for field in module.graph.state}
    program = torch.export.export(module.eval(), (x, state, lengths, resets), strict=strict)
    lengths, resets = torch.tensor([0, 5, 4]), torch.rand(3, 5) < 0.5
    x[0, 0, 0] = torch.nan
    (y, after), (wanted, end) = program.module()(x, state, lengths, resets), module(x, state, lengths, resets)
    close([y, *after.values()], [wanted, *end.values()])


@older
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_an_onnx_graph_takes_any_batch_and_number_of_steps_where_torch_has_the_layer(kind: str) -> None:
    module = simple(kind)
    axes = {0: "batch", 1: "time"}
    options = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": axes, "y": axes}}
    session, x = onnx(module, torch.randn(2, 5, 3), **options), torch.randn(4, 9, 3)
    y, state = module(x)
    close(run(session, x), [y, *state.values()])


@older
@pytest.mark.parametrize("layer", [LayerSpec("mingru", units=4), LayerSpec("lstm", units=4, peepholes=True)], ids=repr)
def test_an_onnx_graph_of_another_number_of_steps_fails_rather_than_answers(layer: LayerSpec) -> None:
    module = to_torch(init(ModelSpec(3, [layer]))).eval()
    axes = {0: "batch", 1: "time"}
    options = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": axes, "y": axes}}
    session = onnx(module, torch.randn(2, 5, 3), **options)
    x = torch.randn(4, 5, 3)
    y, state = module(x)
    close(run(session, x), [y, *state.values()])
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        run(session, torch.randn(4, 9, 3))


def test_an_exported_program_takes_any_batch_and_refuses_a_dynamic_number_of_steps() -> None:
    module = simple()
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time", min=2, max=1000)
    x = torch.randn(2, 5, 3)
    program = torch.export.export(module, (x,), dynamic_shapes={"x": {0: batch}})
    more = torch.randn(7, 5, 3)
    close([program.module()(more)[0]], [module(more)[0]])
    with pytest.raises(InputError, match="'gru0' is exported step by step.*export one step and carry its state"):
        torch.export.export(module, (x,), dynamic_shapes={"x": {0: batch, 1: time}})
    windows = simple(context={"window": 3})  # of a fixed length
    program = torch.export.export(windows, (x,), dynamic_shapes={"x": {0: batch, 1: time}})
    more = torch.randn(4, 9, 3)
    close([program.module()(more)[0]], [windows(more)[0]])


def test_within_without_kernels_too() -> None:
    module, x = simple(), torch.randn(2, 5, 3)
    with torch.no_grad(), without_kernels():
        program = torch.export.export(module, (x,))
    close([program.module()(x)[0]], [module(x)[0]])


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, for forward derivatives
@pytest.mark.parametrize("kind", ["gru", "lru"])
def test_gradients_of_each_row_and_derivatives_of_any_order(kind: str) -> None:
    module = simple(kind).double()
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def loss(values: dict[str, torch.Tensor], row: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, values, (row[None],))[0].square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for i, row in enumerate(x):
        module.zero_grad()
        module(row[None])[0].square().sum().backward()  # through the native kernels
        for name, value in module.named_parameters():
            torch.testing.assert_close(each[name][i], value.grad, rtol=1e-10, atol=1e-12)
    back, forth = (way(lambda x: module(x)[0])(x[:1]) for way in (torch.func.jacrev, torch.func.jacfwd))
    torch.testing.assert_close(back, forth, rtol=1e-10, atol=1e-12)
    second = torch.func.hessian(lambda x: module(x)[0].square().sum())(x[:1]).reshape(15, 15)
    torch.testing.assert_close(second, second.T, rtol=1e-10, atol=1e-12)
    with without_kernels():
        known = torch.autograd.functional.hessian(lambda x: module(x)[0].square().sum(), x[:1]).reshape(15, 15)
    torch.testing.assert_close(second, known, rtol=1e-10, atol=1e-12)


def test_where_nothing_is_recorded_readings_are_still_checked() -> None:
    module, x = simple(), torch.randn(2, 5, 3)
    torch.export.export(module, (x,))
    x[1, 3, 2] = torch.nan
    with pytest.raises(InputError, match="row 1, step 3, input 2"):
        module(x)
