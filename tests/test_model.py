"""What a model says of itself: its columns, its alarm, its window."""

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError


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
