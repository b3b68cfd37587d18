"""gatewise: recurrent sequence models, from data to device.

An index: each name is imported from its module when it is first used, so that `import gatewise` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise import errors as errors
    from gatewise.assessment.assess import assess as assess
    from gatewise.model import Model as Model
    from gatewise.model import init as init
    from gatewise.model import load as load
    from gatewise.spec import LayerSpec as LayerSpec
    from gatewise.spec import ModelSpec as ModelSpec
    from gatewise.spec import bidirectional as bidirectional
    from gatewise.spec import residual as residual
    from gatewise.state import State as State
    from gatewise.stream import Pool as Pool
    from gatewise.stream import Stream as Stream
    from gatewise.tasks.classifier import Classifier as Classifier
    from gatewise.tasks.detector import Detector as Detector
    from gatewise.tasks.forecaster import Forecaster as Forecaster
    from gatewise.tasks.loading import load_task as load_task
    from gatewise.tasks.regressor import Regressor as Regressor
    from gatewise.tasks.task import Task as Task

__version__ = "0.1.0"

_HOME = {
    "LayerSpec": "gatewise.spec",
    "ModelSpec": "gatewise.spec",
    "bidirectional": "gatewise.spec",
    "residual": "gatewise.spec",
    "Model": "gatewise.model",
    "Pool": "gatewise.stream",
    "State": "gatewise.state",
    "Stream": "gatewise.stream",
    "init": "gatewise.model",
    "load": "gatewise.model",
    "Classifier": "gatewise.tasks.classifier",
    "Detector": "gatewise.tasks.detector",
    "Forecaster": "gatewise.tasks.forecaster",
    "Regressor": "gatewise.tasks.regressor",
    "Task": "gatewise.tasks.task",
    "load_task": "gatewise.tasks.loading",
    "assess": "gatewise.assessment.assess",
}
_MODULES = ("errors", "train", "measure", "importers", "figures", "report", "baselines")

__all__ = [
    "Classifier",
    "Detector",
    "Forecaster",
    "LayerSpec",
    "Model",
    "ModelSpec",
    "Pool",
    "Regressor",
    "State",
    "Stream",
    "Task",
    "assess",
    "bidirectional",
    "errors",
    "init",
    "load",
    "load_task",
    "residual",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"gatewise.{name}")
    else:
        raise AttributeError(f"module 'gatewise' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
