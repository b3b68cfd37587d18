"""A model that knows the names of its readings says them."""

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
