"""docs/survival.md says what the survival scripts found."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_results() -> None:
    spec = importlib.util.spec_from_file_location("survival_table", ROOT / "benchmarks" / "survival_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "docs" / "survival.md").read_text()
    assert text == module.page(text), "write it anew: python benchmarks/survival_table.py"
    assert module.table() in text
