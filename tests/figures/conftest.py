"""Axes to draw into, of a figure that pyplot does not know; figures that it does open are closed."""

from collections.abc import Iterator

import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@pytest.fixture
def ax() -> Axes:
    return Figure(layout="constrained").subplots()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    with pyplot.rc_context({"backend": "agg"}):
        yield
        pyplot.close("all")
