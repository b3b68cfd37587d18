"""Models whose task keeps something else, as a file from elsewhere may."""

from collections.abc import Mapping
from typing import Any

import gatewise as gw
from gatewise.file import Section
from gatewise.state import State
from gatewise.tasks.section import section


def retold(model: gw.Model, described: Mapping[str, Any], kind: str | None = None, **tensors: Any) -> gw.Model:
    """The model with other words of its task; `tensors` come instead of those that it keeps, where any are given."""
    own = model.task
    held = tensors or ({} if own is None else own.tensors)
    return model.replace(task=Section(kind or ("detector" if own is None else own.kind), described, held))


def ended(model: gw.Model, series: list[Any] | None, *states: State, **described: Any) -> gw.Model:
    """The model as one that a detector was fitted with, with the states after training."""
    return model.replace(task=section("detector", {"series": series, **described}, states))
