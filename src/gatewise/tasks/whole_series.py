"""Split series in two as a whole: some train, the others validate.

Rows of one series are not independent of each other, so that the error on the last rows of a series that was trained on
tells little about another series. If the answers of a task are of this kind (`gatewise.tasks.supervised`), whole series
are therefore held out. With fewer than `LEAST` series, the last rows of each series are held out instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, Parameter, Text
from gatewise.layers.base import Array
from gatewise.tables.split import Parts, Span
from gatewise.tables.table import Table
from gatewise.tables.times import listed
from gatewise.tasks.parameters import as_json
from gatewise.tasks.two_parts import can_be_cut

LEAST = 5
"""The least number of series of which some are held out as a whole."""


def whole_series(table: Table, window: int, validation: Any, seed: int, groups: Sequence[Any] | None = None) -> Parts:
    """Hold out whole series, or the last rows of each if there are few; leave out series without an example.

    An example is a row with an answer and a full window up to it.

    Args:
        table: the data with their answers.
        window: the least number of rows before an answer that the model is trained on.
        validation: share of the series that is held out; 0 = all series train.
        seed: decides which series are held out.
        groups: for each series of the table the group to which it belongs. The same share of each group is held out,
            and at least one series of each is trained on; None = all are of one group.

    Raises:
        InputError: `validation` is not a share, there are no examples, or too few to hold some out.
    """
    share = as_json(validation)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 <= share < 1.0:
        raise InputError(Parameter("validation"), f" must be a share from 0 to below 1, got {share!r}")
    assert table.answers is not None
    known = table.answers.notna().to_numpy()
    gives = [bool(known[start + window - 1 : stop].any()) for _, start, stop in table.series]
    kept = [span for span, good in zip(table.series, gives, strict=True) if good]
    warnings = _left_out(table, gives, window)
    if not share:
        return Parts(tuple(Span(start, stop, stop, stop) for _, start, stop in kept), 0.0, warnings)
    if len(kept) < LEAST:
        return _last_rows(kept, known, window, share, warnings)
    named = [None] * len(gives) if groups is None else groups
    held_out = _choose([group for group, good in zip(named, gives, strict=True) if good], share, seed)
    spans = [
        Span(start, start if held else stop, stop, stop) for (_, start, stop), held in zip(kept, held_out, strict=True)
    ]
    return Parts(tuple(spans), None, warnings)


def divided(
    inputs: list[Array], targets: list[Array] | None, parts: Parts
) -> tuple[list[Array], list[Array] | None, Any]:
    """The inputs and targets of each series as `gatewise.train.fit` takes them: to train on, and `validation`."""
    if parts.share is not None:
        return inputs, targets, parts.share
    trains = [span.training < span.validation for span in parts.spans]
    own, others = _apart(inputs, trains)
    if targets is None:
        return own, None, others
    own_targets, other_targets = _apart(targets, trains)
    return own, own_targets, (others, other_targets)


def _apart(values: list[Array], first: Sequence[bool]) -> tuple[list[Array], list[Array]]:
    """The values of series that train, and those of the others."""
    pairs = list(zip(values, first, strict=True))
    return [value for value, yes in pairs if yes], [value for value, yes in pairs if not yes]


def _choose(groups: Sequence[Any], share: float, seed: int) -> Array:
    """Which series are held out, (series,) bool: a share of each group, at least one series in all."""
    order = np.random.default_rng([seed, len(groups)]).permutation(len(groups))
    held_out: Array = np.zeros(len(groups), bool)
    members: dict[Any, list[int]] = {}
    for i in order.tolist():
        members.setdefault(groups[i], []).append(i)
    for own in members.values():
        held_out[own[: min(round(share * len(own)), len(own) - 1)]] = True
    if not held_out.any():  # of many small groups, or with a small share
        held_out[max(members.values(), key=len)[0]] = True
    return held_out


def _last_rows(
    kept: Sequence[tuple[Any, int, int]], known: Array, window: int, share: float, warnings: tuple[Text, ...]
) -> Parts:
    """Hold out the last rows of each series."""
    spans, trains, validates = [], False, False
    for _, start, stop in kept:
        cut = stop - round(share * (stop - start))
        if can_be_cut(stop - start, share):
            spans.append(Span(start, cut, stop, stop))
            trains |= bool(known[start + window - 1 : cut].any())
            validates |= bool(known[max(cut, start + window - 1) : stop].any())
    if not (trains and validates):
        count = "one series" if len(kept) == 1 else f"{len(kept)} series"
        raise InputError(
            f"there {'is' if len(kept) == 1 else 'are'} {count} with an answer, too few to hold one out, and the rows "
            f"of {'it' if len(kept) == 1 else 'each'} cannot be divided so that there are answers in both parts; give "
            f"at least {LEAST} series, or ",
            Parameter("validation", 0),
        )
    return Parts(tuple(spans), float(share), warnings)


def _left_out(table: Table, gives: Sequence[bool], window: int) -> tuple[Text, ...]:
    """A warning that names the series without an example. Raises InputError if no series has one."""
    out = [span for span, good in zip(table.series, gives, strict=True) if not good]
    if not out:
        return ()
    full = "" if window == 1 else f" with {window} rows up to it, a full window,"
    if len(out) == len(gives):
        lacks = f"has an answer{full}" if len(gives) > 1 else f"has no answer{full}"
        raise InputError(
            f"{f'none of the {len(gives):,}' if len(gives) > 1 else 'the'} series {lacks} to train on; give answers"
            + ("" if window == 1 else ", longer series or a shorter window")
        )
    has, are = ("has", "is") if len(out) == 1 else ("have", "are")
    return (
        Text(
            f"{len(out):,} of {len(gives):,} series {has} no answer{full} and {are} neither trained on nor held out: "
            f"{listed([name for name, _, _ in out])}"
        ),
    )
