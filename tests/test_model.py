"""What a model says of itself: its columns, its alarm, its window."""

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError, SpecError


def test_a_wrong_width_names_the_columns() -> None:
    model = gw.init(
        gw.ModelSpec(
            input=gw.LayerSpec("numeric", width=2, columns=["v", "load"]), layers=[gw.LayerSpec("dense", units=1)]
        )
    )
    assert model.columns == ("v", "load")
    with pytest.raises(InputError, match=r"2 inputs a step \(columns: v, load\), got shape \(3,\)"):
        model.stream().push([1, 2, 3])


def test_a_window_is_never_passed_over_in_silence() -> None:
    model = gw.init(gw.ModelSpec(3, [gw.LayerSpec("gru", units=2)], context={"window": 6}))
    assert model.run(np.zeros((6, 3))).shape == (6, 2)
    with pytest.raises(InputError, match="window"):
        model.run(np.zeros((7, 3)))
    with pytest.raises(SpecError, match="window of 6 steps and cannot be streamed"):
        model.stream()


def test_only_a_detector_has_an_alarm() -> None:
    bare = gw.ModelSpec(1, [gw.LayerSpec("dense", units=2)])
    assert gw.init(bare).alarm_score is None
    detector = bare.replace(head=gw.LayerSpec("tail_probability", false_alarms_per_1000=10.0))
    assert gw.init(detector).alarm_score == pytest.approx(2.0)  # 1 in 100
