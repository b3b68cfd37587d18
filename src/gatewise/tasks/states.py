"""The initial states of a task: one for one series, or one for each of several series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatewise.errors import Parameter, StateError
from gatewise.state import State
from gatewise.tables.times import listed

States = State | bytes | Mapping[str | int, State | bytes] | None
"""The initial state of one series, or of each of several series."""


def by_series(state: States, series: str | None, ids: Sequence[Any], fitted: Any) -> Mapping[Any, Any]:
    """States by the ids of their series, which is None if there is only one.

    Args:
        state: the argument of the user.
        series: name of the column of ids with which the task was fitted.
        ids: ids of the series in the data.
        fitted: the states after training, which need not all be used.

    Raises:
        StateError: there is one state for several series or a dict for one, or a state belongs to no series.
    """
    if state is not None and (series is None) == isinstance(state, Mapping):
        if series is None:
            raise StateError("this task was fitted without series, so state must be one State")
        fitted_with = Parameter("series", series)
        raise StateError("this task was fitted with ", fitted_with, ", so state must be a dict from ids to States")
    if not isinstance(state, Mapping):
        return {None: state}
    unused: list[Any] = [key for key in state if key not in ids]
    if len(unused) < len(state):
        alike = set(map(str, ids))
        unused = [key for key in unused if str(key) in alike or key not in fitted]
    if unused:
        kinds = " and ".join(sorted({type(key).__name__ for key in unused}))
        raise StateError(
            f"no series of the data is called {listed(unused)} ({kinds}), which state has a State for; "
            f"they are called {listed(ids)} ({type(ids[0]).__name__}); give the ids as the data has them"
        )
    return state


def after_training(given: Mapping[Any, Any], fitted: Any) -> list[Any]:
    """The ids of series that begin at the state after training."""
    ends: Mapping[Any, Any] = fitted if isinstance(fitted, Mapping) else {None: fitted}
    return [
        name
        for name, state in given.items()
        if name in ends and state == (ends[name] if isinstance(state, State) else ends[name].to_bytes())
    ]
