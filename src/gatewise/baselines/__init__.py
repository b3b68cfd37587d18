"""Simple methods, built on scikit-learn and NumPy, with which a model should be compared before it is used.

The estimators have the parameters, data and results of the tasks of the same name; the methods take arrays. An index:
each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.baselines.answers import Classifier as Classifier
    from gatewise.baselines.answers import Regressor as Regressor
    from gatewise.baselines.detector import Detector as Detector
    from gatewise.baselines.forecaster import Forecaster as Forecaster
    from gatewise.baselines.methods import suitable as suitable

_HOME = {
    "Classifier": "answers",
    "Detector": "detector",
    "Forecaster": "forecaster",
    "Regressor": "answers",
    "suitable": "methods",
}

__all__ = ["Classifier", "Detector", "Forecaster", "Regressor", "suitable"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gatewise.baselines' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gatewise.baselines.{_HOME[name]}"), name)
