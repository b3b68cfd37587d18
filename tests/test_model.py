"""What a model says of itself: its columns, its alarm, its window; and models made of a model."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import _core
from gatewise.errors import InputError, SpecError
from gatewise.graph import resolve


def test_a_wrong_width_names_the_columns() -> None:
    model = gw.init(
        gw.ModelSpec(
            input=gw.LayerSpec("numeric", width=2, columns=["v", "load"]), layers=[gw.LayerSpec("dense", units=1)]
        )
    )
    assert model.columns == ("v", "load")
    with pytest.raises(InputError, match=r"2 inputs a step \(columns: v, load\), got shape \(3,\)"):
        model.stream().push([1, 2, 3])


def test_a_model_says_its_window_and_knows_no_more() -> None:
    carried = gw.ModelSpec(3, [gw.LayerSpec("gru", units=2)])
    model = gw.init(carried.replace(context={"window": 6}))
    assert (gw.init(carried).window, model.window) == (None, 6)
    x = np.random.default_rng(0).standard_normal((7, 3))
    assert model.run(x)[6].tobytes() == gw.init(carried).run(x[1:])[5].tobytes()
    assert model.run(x)[5].tobytes() == gw.init(carried).run(x)[5].tobytes()


def test_only_a_detector_has_an_alarm() -> None:
    bare = gw.ModelSpec(1, [gw.LayerSpec("dense", units=2)])
    assert gw.init(bare).alarm_score is None
    detector = bare.replace(head=gw.LayerSpec("tail_probability", false_alarms_per_1000=10.0))
    assert gw.init(detector).alarm_score == pytest.approx(2.0)  # 1 in 100


DETECTOR = gw.ModelSpec(
    input=gw.LayerSpec("numeric", width=2, scaling="standard", missing="mask", columns=["v", "load"]),
    layers=[gw.LayerSpec("gru", units=3), gw.LayerSpec("dense", units=4)],
    head=gw.LayerSpec("tail_probability", targets=[0, 1], masked=True),
)
X = np.random.default_rng(0).standard_normal((50, 2))
CONSTANTS = np.array([0.0, 6e8])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a spec was resolved, and weights were packed."""
    counts: Counter[str] = Counter()

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted_call(*given: Any) -> Any:
            counts[name] += 1
            return call(*given)

        return counted_call

    monkeypatch.setattr("gatewise.model.resolve", counting("resolved", resolve))
    monkeypatch.setattr("gatewise.packed._core", SimpleNamespace(Model=counting("packed", _core.Model)))
    return counts


def test_a_chain_of_changes_resolves_and_packs_once(counted: Counter[str]) -> None:
    untrained = gw.init(DETECTOR, seed=1)
    trained = untrained.replace(tensors={**untrained.tensors, "input.scale": np.array([2, 3], np.float32)})
    calibrated = trained.with_options(head={"samples": 900, "false_alarms_per_1000": 2})
    raw = calibrated.absolute(CONSTANTS)
    kept = raw.replace(provenance={"by": "test"})
    assert counted == {"resolved": 1}, "nothing has run, so nothing is packed"
    answers = kept.run(X + CONSTANTS)
    kept.stream().push(X[0])
    raw.pool(2)
    assert calibrated.run(X).shape == answers.shape
    assert counted == {"resolved": 1, "packed": 1}
    trained.run(X)  # the core knows of the rate of alarms
    assert counted == {"resolved": 1, "packed": 2}
    spec = DETECTOR.replace(
        input=DETECTOR.input.replace(subtract=CONSTANTS.tolist()),
        head=DETECTOR.head.replace(samples=900, false_alarms_per_1000=2),
    )
    same = gw.Model(spec, trained.tensors)
    assert (kept.spec, kept.graph.structure, kept.provenance) == (same.spec, same.graph.structure, {"by": "test"})
    assert same.run(X + CONSTANTS).tobytes() == answers.tobytes()


def test_what_stays_is_not_copied(counted: Counter[str]) -> None:
    model = gw.init(DETECTOR)
    other = model.replace(spec=DETECTOR.replace(layers=[gw.LayerSpec("gru", units=3, clip=9.0), DETECTOR.nodes[1]]))
    for found in (model.replace(tensors=model.tensors), model.with_options(head={"df": 3}), other):
        assert all(found.tensors[name] is value for name, value in model.tensors.items())
    given = {name: value.copy() for name, value in model.tensors.items()}
    changed = model.replace(tensors=given)
    given["gru0.weight_ih"][:] = np.nan
    assert np.isfinite(changed.tensors["gru0.weight_ih"]).all()
    counted.clear()
    assert model.replace(spec=model.spec).graph is model.graph
    assert model.replace(spec=gw.ModelSpec.from_json(model.spec.to_json())).graph is model.graph
    assert not counted


def test_names_of_columns_come_with_the_options() -> None:
    model = gw.init(DETECTOR.replace(input=DETECTOR.input.replace(missing="raise"), head=None))
    renamed = model.with_options(input={"columns": ["a", "b"]})
    assert (model.columns, renamed.columns) == (("v", "load"), ("a", "b"))
    for found, name in ((model, "load"), (renamed, "b")):
        with pytest.raises(InputError, match=f"'{name}'"):
            found.run([[0.0, np.nan]])
    assert model.run(X).tobytes() == renamed.run(X).tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": {"missing": "hold"}}, r"numeric 'input' with {'missing': 'hold'} in place of {'missing': 'mask'}"),
        ({"input": {"width": 3, "columns": None}}, "would change edges, tensors or states"),
        ({"input": {"scaling": "none"}}, "would change edges"),
        ({"input": {"transform": ["log1p", None]}}, "would change edges"),
        ({"input": {"columns": ["a"]}}, "numeric 'input': columns must be 2 different names"),
        ({"input": {"size": 3}}, "numeric 'input' has no option 'size'"),
        ({"head": {"targets": [0]}}, "tail_probability reads"),
        ({"head": {"masked": False}}, "pass masked=True"),
        ({"head": {"smooth": 0}}, "tail_probability 'head': smooth must be"),
    ],
)
def test_options_that_need_another_graph_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gw.init(DETECTOR).with_options(**options)


def test_options_of_a_head_need_one() -> None:
    bare = gw.init(gw.ModelSpec(1, [gw.LayerSpec("dense", units=2)]))
    with pytest.raises(SpecError, match="the model has no head, got options for one"):
        bare.with_options(head={"df": 3})
    with pytest.raises(SpecError, match="would change edges"):
        bare.with_options(input={"missing": "hold"})
    assert bare.with_options(input={"columns": ["v"]}).columns == ("v",)


CORE_LIMITS = {
    "its reciprocal is too large for float32": lambda: gw.init(DETECTOR).replace(
        tensors={**gw.init(DETECTOR).tensors, "input.scale": np.array([1, 1e-39], np.float32)}
    ),
    "writes 4194304 values, more than 1048576": lambda: gw.init(
        gw.ModelSpec(
            1,
            [
                gw.LayerSpec("dense", "wide0", units=1 << 16),
                *(gw.LayerSpec("concat", f"wide{i + 1}", [f"wide{i}"] * 4) for i in range(3)),
            ],
        )
    ),
    "are 5002 numbers, more than 4096": lambda: gw.init(
        gw.ModelSpec(
            5000,
            [gw.LayerSpec("dense", units=5000)],
            head=gw.LayerSpec("quantiles", targets=list(range(5000)), quantiles=[0.5]),
        )
    ),
}


@pytest.mark.parametrize("message", CORE_LIMITS)
def test_what_the_core_would_refuse_is_refused_when_a_model_is_made(message: str) -> None:
    with pytest.raises(SpecError, match=message):
        CORE_LIMITS[message]()


def test_threads_that_come_first_at_once_get_the_same_answers() -> None:
    model = gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=64)]), seed=2)
    barrier = threading.Barrier(8)

    def run(_: int) -> bytes:
        barrier.wait()
        return np.asarray(model.run(X)).tobytes()

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(run, range(8)))
    assert answers == {np.asarray(gw.init(model.spec, seed=2).run(X)).tobytes()}
