"""Split the rows of each series in two, to train on and to validate on, as most tasks do."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter
from gatewise.layers.base import Array
from gatewise.tables.split import Parts, Span
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tasks.layout import Layout
from gatewise.tasks.parameters import as_json


def in_two(table: Table, layout: Layout, window: int, validation: Any) -> Parts:
    """Split each series in two, as `gatewise.train.fit` splits the inputs, and leave out series without an example.

    An example is a row of the training part with a full window up to it and a later reading of a target in that part.

    Args:
        table: the data, with its columns in the order of the input.
        layout: the columns that the model reads and forecasts.
        window: the least number of rows from which a forecast is made.
        validation: share of the rows of each series, at their end, that is held out from training.

    Raises:
        InputError: `validation` is not a share, or no series is long enough.
    """
    share = as_json(validation)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 <= share < 1.0:
        raise InputError(Parameter("validation"), f" must be a share from 0 to below 1, got {share!r}")
    near, far = layout.horizons[0], layout.horizons[-1]
    lengths = [max(0, stop - start - layout.lead) for _, start, stop in table.series]
    trained = [length - round(share * length) for length in lengths]
    longest = max(range(len(lengths)), key=lambda i: lengths[i])
    training, kept = trained[longest], lengths[longest] - trained[longest]
    own = "" if (name := table.series[longest][0]) is None else f", {name!r},"
    if training <= far or (share and kept <= far - layout.lead):
        raise InputError(
            f"the longest series{own} has {training} rows to train on and {kept} to validate on, too few to forecast "
            f"{far} steps ahead in each; give more rows, or nearer horizons"
        )
    seen: Array = np.isfinite(table.values[:, list(layout.targets)])
    spans, out = [], []
    for (name, start, stop), length, rows in zip(table.series, lengths, trained, strict=True):
        if seen[start + window - 1 + near : start + rows].any() and can_be_cut(length, share):
            spans.append(Span(start, start + rows, stop, stop))
        else:
            out.append((name, stop - start))
    if not out:
        return Parts(tuple(spans), float(share))
    takes = f"that takes at least {layout.lead + _least(window + near, share)} rows, with readings of a target"
    most = max(rows for _, rows in out)
    if not spans:
        raise InputError(
            f"no series gives an example to train on: {takes}, and the longest has {most}; "
            "give more rows, a shorter context or nearer horizons"
        )
    gives, are = ("gives", "is") if len(out) == 1 else ("give", "are")
    warning = (
        f"{len(out)} of {len(lengths)} series {gives} no example to train on, and {are} left out: "
        f"{listed([name for name, _ in out])}; {takes}, and the longest of these has {most}"
    )
    return Parts(tuple(spans), float(share), (warning,))


def _least(training: int, share: float) -> int:
    """The least length of a series that has this number of steps in the training part."""
    begin = max(training / (1 - share), 1.5 / share if share else 0.0)  # apart from rounding
    return next(n for n in count(int(begin)) if n - round(share * n) >= training and can_be_cut(n, share))


def can_be_cut(length: int, share: float) -> bool:
    """Whether both parts have the two steps that `gatewise.train.fit` needs."""
    return not share or 2 <= length - round(share * length) <= length - 2
