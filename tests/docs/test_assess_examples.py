"""The reports that the guide to assessments shows are as the program writes them now."""

import html
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from gatewise.assessment.findings import Candidate, Finding, Question, Reason

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = sorted((DOCS / "_static").glob("turbofan_*.json"))


def names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}


def test_the_guide_shows_them() -> None:
    guide = (DOCS / "guides" / "assess.md").read_text()
    assert len(SHOWN) == 2
    for path in SHOWN:
        assert f"../_static/{path.name}" in guide
        assert f"../_static/{path.with_suffix('.html').name}" in guide


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_keys_are_those_that_the_guide_describes(path: Path) -> None:
    found = json.loads(path.read_text())
    table = (DOCS / "guides" / "assess.md").read_text().split("## The JSON")[1]
    described = {name for line in re.findall(r"^\| (`.*?`) \|", table, re.M) for name in re.findall(r"`(\w+)`", line)}
    assert set(found) == described
    for key, kind in (("questions", Question), ("candidates", Candidate), ("findings", Finding), ("reasons", Reason)):
        assert all(set(each) == names(kind) for each in found[key]), key
    codes = [each["code"] for each in found["findings"]]
    assert codes == sorted(set(codes))


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_the_page_says_the_same(path: Path) -> None:
    found, page = json.loads(path.read_text()), path.with_suffix(".html").read_text()
    assert len(page.encode()) < 2 << 20
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert found["sentence"] in text
    assert found["flip"] in text
    for each in found["findings"]:
        assert each["code"] in text
    assert "/tmp/" not in text
