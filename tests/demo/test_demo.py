"""The demo with a small budget: what it writes, and that the page says what the run found."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import demo
from gatewise.demo.data import FIRST_STREAMED_YEAR, load_elnino
from gatewise.demo.report import look_up, share
from gatewise.demo.summary import one_in
from gatewise.tasks.detector import Detector


class Page(HTMLParser):
    """Collects the numbers in <data> elements, the addresses, and the code of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str, str]] = []
        self.addresses: list[str] = []
        self.code: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.addresses += [found[key] for key in ("src", "srcset", "href") if key in found]
        if tag == "data":
            self.numbers.append((found["id"], found["value"], ""))
        if tag == "pre":
            self.code.append("")
        self._open = tag if tag in ("data", "code") else self._open

    def handle_endtag(self, tag: str) -> None:
        self._open = None if tag in ("data", "code") else self._open

    def handle_data(self, data: str) -> None:
        if self._open == "data":
            key, value, text = self.numbers[-1]
            self.numbers[-1] = (key, value, text + data)
        elif self._open == "code" and self.code:
            self.code[-1] += data


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    folder = tmp_path_factory.mktemp("demo") / "made"
    said: list[str] = []
    summary = demo.run(folder, steps=60, other_seeds=1, say=said.append)
    return folder, summary, said


def test_the_numbers_on_the_page_are_those_returned(ran: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, summary, _ = ran
    page = Page((folder / "report.html").read_text())
    keys = [key for key, _, _ in page.numbers]
    for key, value, text in page.numbers:
        expected = look_up(summary, key)
        assert type(expected)(value) == expected, key
        plain = re.fullmatch(r"([\d,.]+)( %)?", text)
        if plain and not key.endswith("score"):
            shown = float(plain[1].replace(",", "")) / (100 if plain[2] else 1)
            digits = len(plain[1].partition(".")[2])
            assert shown == pytest.approx(expected, abs=0.5 * 10.0**-digits, rel=0.05), key
    for required in ("alarms.found", "alarms.expected", "stream.microseconds_per_step", "gradients.GRU.3"):
        assert required in keys
    assert sum(key.endswith(".score") and key.startswith("strongest") for key in keys) == 5


def test_the_summary_is_plain_json_and_its_counts_agree(ran: tuple[Path, dict[str, Any], list[str]]) -> None:
    _, summary, said = ran
    assert json.loads(json.dumps(summary)) == summary
    alarms = summary["alarms"]
    assert alarms["found"] == len(alarms["months"]) == sum(alarms["great"].values()) + alarms["elsewhere"]
    assert alarms["expected"] == pytest.approx(372 / 120)
    scores = [item["score"] for item in summary["strongest"]]
    assert scores == sorted(scores, reverse=True)
    split = summary["split"]
    assert split["training_months"] + split["stopping_months"] + split["calibration_months"] == 360
    assert (split["last"], split["streamed_first"], split["streamed_months"]) == ("1979-12", "1980-01", 372)
    assert summary["seeds"]["tried"] == 2
    assert summary["stream"]["equal_bits"] is True
    assert any("microseconds a step" in line for line in said)
    assert any(f"alarms: {alarms['found']} months" in line for line in said)


def test_scores_are_those_of_the_saved_detector(ran: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, summary, _ = ran
    detector = Detector.load(folder / "model.safetensors")
    series = load_elnino()
    later = series[series["month"].dt.year >= FIRST_STREAMED_YEAR]
    found = detector.explain(later, detector.state_)
    for item in summary["strongest"]:
        row = found[found["month"] == item["month"] + "-01"].iloc[0]
        assert {key: item[key] for key in ("score", "expected", "low", "high")} == {
            key: row[key] for key in ("score", "expected", "low", "high")
        }
        assert item["temperature"] == pytest.approx(row["observed"], rel=1e-6)
        assert (item["alarm"], item["extrapolated"]) == (row["alarm"], row["extrapolated"])
    assert summary["alarms"]["found"] == int(found["alarm"].sum())


def test_the_page_is_one_file_and_small(ran: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, _, _ = ran
    text = (folder / "report.html").read_text()
    addresses = Page(text).addresses
    assert len(addresses) == 6
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert "http:" not in text
    assert "https:" not in text
    assert len(text) < 1_000_000
    assert 20_000 < (folder / "figure.png").stat().st_size <= 250 * 1024


def test_the_commands_on_the_page_work(ran: tuple[Path, dict[str, Any], list[str]], tmp_path: Path) -> None:
    folder, _, _ = ran
    code, snippet = Page((folder / "report.html").read_text()).code
    (tmp_path / "elnino.csv").write_bytes((folder / "elnino.csv").read_bytes())
    program = f"{sys.executable} -c 'from gatewise.cli import main; main()'"
    script = code.replace("gatewise train", "gatewise train --steps 5").replace("gatewise ", f"{program} ")
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"step"')]
    assert [result["month"] for result in results][:: 12 * 30] == ["1980-01-01", "2010-01-01"]
    assert len(results) == 372

    assert max(map(len, (code + "\n" + snippet).splitlines())) <= 50  # what a phone shows
    short = snippet.replace("Detector(", "Detector(steps=5,", 1)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", short], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_same_seed_finds_the_same(ran: tuple[Path, dict[str, Any], list[str]], tmp_path: Path) -> None:
    folder, summary, _ = ran
    again = demo.run(tmp_path, steps=60, other_seeds=1, say=None)
    timed = ("seconds", "stream", "files")
    assert {k: v for k, v in again.items() if k not in timed} == {k: v for k, v in summary.items() if k not in timed}
    assert (tmp_path / "figure.png").read_bytes() == (folder / "figure.png").read_bytes()
    saved = [gw.load(path / "model.safetensors").tensors for path in (folder, tmp_path)]
    assert all(np.array_equal(saved[0][name], saved[1][name]) for name in saved[0])


def test_the_series_is_that_of_statsmodels() -> None:
    series = load_elnino()
    assert len(series) == 61 * 12
    assert series["temperature"].iloc[0] == 23.11
    assert series.loc[series["month"] == "1997-12-01", "temperature"].item() == 27.08
    assert series["month"].is_monotonic_increasing


@pytest.mark.parametrize(("score", "text"), [(0.0, "1"), (0.5, "3.2"), (2.079, "120"), (2.477, "300"), (4.0, "10,000")])
def test_chances_read_well(score: float, text: str) -> None:
    assert one_in(score) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.104, "10 %"), (0.00437, "0.44 %"), (3.4e-8, "3·10⁻⁸"), (9.7e-5, "1·10⁻⁴")]
)
def test_shares_read_well(value: float, text: str) -> None:
    assert share(value) == text
