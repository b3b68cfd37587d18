"""State as a value: named float32 fields that cannot change, copied wherever they go."""

import copy
import pickle

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import StateError
from gatewise.graph import resolve
from hostile.attacks import SPEC

MODEL = gw.init(SPEC)
X = np.random.default_rng(0).normal(size=(3, 7, 2)).astype(np.float32)


def test_fields_have_names_shapes_and_bytes() -> None:
    _, state = MODEL.run(X, return_state=True)
    assert {name: value.shape for name, value in state.fields.items()} == {
        "gru0.hidden": (3, 2),
        "head.location": (3, 1),
        "head.log_scale": (3, 1),
        "head.smoothed": (3, 1),
        "head.level": (3, 2, 2),
        "head.pause": (3, 1),
        "head.rate_evidence": (3, 1, 2),
        "head.level_evidence": (3, 2, 2),
    }
    assert all(value.dtype == np.float32 for value in state.fields.values())
    assert state.batch == 3
    assert state.nbytes == 3 * 16 * 4 == 3 * MODEL.graph.state_bytes
    assert state.structure == MODEL.graph.structure


def test_a_state_cannot_change() -> None:
    given = {"a": np.ones((1, 2), np.float32)}
    state = gw.State("s", given)
    given["a"][:] = 5
    given["b"] = given["a"]
    assert list(state.fields) == ["a"]
    assert (state.fields["a"] == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        state.fields["a"][0] = 2
    with pytest.raises(TypeError):
        state.fields["a"] = given["a"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        state.structure = "x"  # type: ignore[misc]


def test_equal_states_are_equal() -> None:
    _, one = MODEL.run(X, return_state=True)
    _, same = MODEL.run(X, return_state=True)
    _, other = MODEL.run(X[:, :-1], return_state=True)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != one.to_bytes()


def test_copies_are_equal() -> None:
    _, state = MODEL.run(X, return_state=True)
    for again in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert again == state
        assert list(again.fields) == list(state.fields)


def test_bytes_come_in_any_buffer() -> None:
    saved = MODEL.stream().save()
    for data in (saved, bytearray(saved), memoryview(saved), memoryview(b"".join(bytes([b, 0]) for b in saved))[::2]):
        assert gw.State.from_bytes(data).to_bytes() == saved
        MODEL.stream(data)  # type: ignore[arg-type]


def test_the_same_state_gives_the_same_bytes_however_it_is_held() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    wanted = gw.State("s", {"a": values, "b": values}).to_bytes()
    assert gw.State("s", {"b": np.asfortranarray(values), "a": values[::-1][::-1]}).to_bytes() == wanted
    swapped = gw.State("s", {"a": values.astype(">f4"), "b": values})
    assert gw.State.from_bytes(swapped.to_bytes()).fields["a"].tolist() == values.tolist()


def test_rows_in_the_layout_of_the_core() -> None:
    _, state = MODEL.run(X, return_state=True)
    rows = state.rows(MODEL.graph, 3)
    assert rows.shape == (3, 16)
    np.testing.assert_array_equal(
        rows, np.concatenate([value.reshape(3, -1) for value in state.fields.values()], axis=1)
    )
    assert gw.State.from_rows(MODEL.graph, rows) == state
    stream = MODEL.stream()
    stream.push_many(X[1])
    assert stream.get_state() == rows[1].tobytes()


def test_a_state_fits_other_weights_but_no_other_structure() -> None:
    retrained, wider = gw.init(SPEC, seed=9), gw.init(gw.ModelSpec(2, [gw.LayerSpec("gru", units=3)]))
    saved = MODEL.stream().save()
    retrained.stream(saved)
    calibrated = SPEC.replace(head=SPEC.head and SPEC.head.replace(samples=100, false_alarms_per_1000=0.5))
    assert resolve(calibrated).structure == MODEL.graph.structure
    gw.init(calibrated).stream(saved)
    with pytest.raises(StateError, match="another structure"):
        wider.stream(saved)


def test_a_model_without_state_has_an_empty_one() -> None:
    model = gw.init(gw.ModelSpec(2, [gw.LayerSpec("dense", units=1)]))
    stream = model.stream()
    stream.push([1, 2])
    saved = stream.save()
    assert dict(gw.State.from_bytes(saved).fields) == {}
    assert stream.get_state() == b""
    assert model.stream(saved).save() == saved
    _, state = model.run(X, return_state=True)
    assert state.nbytes == 0
    model.run(X, state=state)
    with pytest.raises(StateError, match="another structure"):
        model.stream(MODEL.stream().save())


def test_a_state_that_has_diverged_cannot_be_saved() -> None:
    """Nothing could go on from it, so it must not replace the last good one."""
    state = gw.State("s", {"gru0.hidden": np.array([[1.0, np.nan]], np.float32)})
    with pytest.raises(StateError, match=r"gru0\.hidden.*non-finite.*reset"):
        state.to_bytes()


@pytest.mark.parametrize("given", [(5, {}), ("s", [1])])
def test_no_state_without_a_hash_and_fields(given: tuple[object, object]) -> None:
    with pytest.raises(StateError, match="structure hash and a mapping"):
        gw.State(*given)  # type: ignore[arg-type]


def test_a_pickled_model_takes_the_best_of_where_it_is_loaded() -> None:
    assert MODEL.__reduce__()[1][3] is None
    assert gw.init(SPEC, cpu="base").__reduce__()[1][3] == "base"
    assert pickle.loads(pickle.dumps(gw.init(SPEC, cpu="base"))).cpu == "base"
