"""What every test shares: reproducible hypothesis runs, and the folders of shared data."""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples each run, so a failure is a change in the code; no limits of time, as CI machines stall.
settings.register_profile("gatewise", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gatewise")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that send it need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names the folder of {what}")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"{variable}={value} is not a folder")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of data sets, from GATEWISE_DATA."""
    return _folder("GATEWISE_DATA", "data sets")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of foreign model files, from GATEWISE_MODELS."""
    return _folder("GATEWISE_MODELS", "foreign model files")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads the shared folders, so that `-m 'not data'` leaves it out."""
    for item in items:
        if {"data_dir", "models_dir"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("data")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all tests and imported modules, which live as long as the run does."""
    gc.collect()
    gc.freeze()
