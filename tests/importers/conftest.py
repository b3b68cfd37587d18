"""Imports in tests. Reading a file in a process of its own takes half a second; most tests leave that out."""

import pytest

from gatewise.importers.keras import child, files


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse files of Keras in this process, with the same code."""
    monkeypatch.setattr(files, "_answer", lambda data: b"".join(child.answer(data)))
