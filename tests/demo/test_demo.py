"""The demo with a small budget: what it writes, and that the page says what the run found."""

import json
import os
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise import demo
from gatewise.demo.data import FIRST_STREAMED_YEAR, NEW_ROWS, PUMP_FAULTS, PUMP_ROWS, load_elnino, make_pump
from gatewise.demo.report import great, look_up, share, way_to_run
from gatewise.demo.summary import month_name, one_in
from gatewise.tasks.detector import Detector


class Page(HTMLParser):
    """Collects the numbers in <data> elements, the addresses, the ids, and the code of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str, str]] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.code: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.addresses += [found[key] for key in ("src", "srcset", "href", "xlink:href") if key in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "data":
            self.numbers.append((found["data-key"], found["value"], ""))
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
    summary = demo.run(folder, steps=60, other_seeds=1, budget=2.0, say=said.append)
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
    for required in (
        "alarms.found",
        "alarms.expected",
        "stream.microseconds_per_step",
        "memory.GRU.left.4",
        "memory.RNN.error",
    ):
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
    page = Page(text)
    assert all(re.match(r"#|data:image/png;base64,|verdict\.html$", address) for address in page.addresses)
    assert set(re.findall(r"url\((.*?)\)|xlink:href=\"(#.*?)\"", text)) <= {
        one for name in page.ids for one in ((f"#{name}", ""), ("", f"#{name}"))
    }
    assert set(re.findall(r"https?:[^\"]*", text)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert len(page.ids) == len(set(page.ids))
    assert len(text) < 1_000_000
    for name in ("figure.png", "figure_narrow.png"):
        assert 20_000 < (folder / name).stat().st_size <= 250 * 1024


def test_figures_come_in_two_widths_and_in_the_colours_of_the_page(
    ran: tuple[Path, dict[str, Any], list[str]],
) -> None:
    folder, _, _ = ran
    text = (folder / "report.html").read_text()
    drawings = re.findall(
        r'<div class="(wide|narrow)-only"[^>]*><svg.*?viewBox="0 0 ([\d.]+) .*?</svg>', text, re.DOTALL
    )
    assert [size for size, _ in drawings] == 3 * ["wide", "narrow"]
    assert all(
        float(width) < 72 * 3.75 for size, width in drawings if size == "narrow"
    )  # points: a phone is 390 px wide
    bodies = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert not any(re.search(r"(fill|stroke): ?#", body) for body in bodies)  # each colour follows dark and light
    used = set(re.findall(r"var\(--(\w+)\)", text))
    light, dark = re.findall(r":root {(?: color-scheme: light dark;)?\s*(--paper.*?)}", text, re.DOTALL)
    assert used <= set(re.findall(r"--(\w+):", light)) == set(re.findall(r"--(\w+):", dark))
    assert light != dark


def test_the_page_begins_with_the_answer_then_the_picture(ran: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, summary, _ = ran
    text = (folder / "report.html").read_text()
    lead = text[text.index('<p class="lead">') : text.index("</p>")]
    assert all(month_name(item["month"], whole=True) in lead for item in summary["strongest"][:2])
    assert text.index('<p class="lead">') < text.index("<svg") < text.index("<h2>")
    both = {great(item["month"]) for item in summary["strongest"][:2]} == {"1982-83", "1997-98"}
    assert ("lie in the two great El Niños" in lead) == both


def test_the_commands_on_the_page_find_its_alarms(ran: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, summary, _ = ran
    shell, snippet = Page((folder / "report.html").read_text()).code
    programs = folder.parent / "programs"
    programs.mkdir()
    program = programs / "gatewise"  # should the page count on it
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from gatewise.cli import main; main()' \"$@\"\n")
    program.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-e", "-c", shell],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"step"')]
    assert summary["alarms"]["found"] > 0
    assert [one["month"][:7] for one in found] == summary["alarms"]["months"]
    scores = {one["month"][:7]: one["score"] for one in found}
    for item in summary["strongest"]:
        if item["alarm"]:
            assert scores[item["month"]] == pytest.approx(item["score"], rel=1e-6)

    assert max(map(len, (shell + "\n" + snippet).splitlines())) <= 50  # what a phone shows
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", snippet], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line[:7] for line in done.stdout.splitlines()] == summary["alarms"]["months"]
    assert "float32" not in done.stdout


def test_the_page_names_a_program_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, programs = tmp_path / "demo", tmp_path / ".venv" / "bin"
    folder.mkdir()
    programs.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert way_to_run(folder) is None  # there is no program to name
    (programs / "gatewise").write_text("#!/bin/sh\n")
    (programs / "gatewise").chmod(0o755)
    assert way_to_run(folder) == "../.venv/bin"
    monkeypatch.setenv("PATH", str(programs))
    assert way_to_run(folder) is None  # a shell finds it


def test_the_same_seed_finds_the_same(ran: tuple[Path, dict[str, Any], list[str]], tmp_path: Path) -> None:
    folder, summary, _ = ran
    again = demo.run(tmp_path, steps=60, other_seeds=1, budget=2.0, say=None)
    timed = ("seconds", "stream", "files", "verdict")
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


def test_the_pump_is_the_same_each_time_and_written_beside_the_page(
    ran: tuple[Path, dict[str, Any], list[str]],
) -> None:
    folder, summary, _ = ran
    weeks, days = make_pump()
    for name, table, rows in [("pump.csv", weeks, PUMP_ROWS), ("new.csv", days, NEW_ROWS)]:
        assert str(folder / name) in summary["files"]
        read = pd.read_csv(folder / name, parse_dates=["time"])
        assert len(read) == rows
        assert read["time"].tolist() == table["time"].tolist()
        assert np.array_equal(read[["load", "vibration"]], table[["load", "vibration"]])
    assert days["time"].iloc[0] - weeks["time"].iloc[-1] == pd.Timedelta("1min")
    assert weeks["load"].between(0, 1).all()


def test_the_faults_of_the_pump_are_found_and_little_else() -> None:
    weeks, days = make_pump()
    detector = Detector(target="vibration", time="time", steps=200, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = detector.fit(weeks).explain(days, detector.state_)
    alarms = np.flatnonzero(found["alarm"])
    usual = np.ones(len(days), bool)
    for first, end in PUMP_FAULTS.values():
        assert ((alarms >= first) & (alarms < end)).any()
        usual[first : end + 10] = False  # the network sees the last readings of a fault a little longer
    assert usual[alarms].sum() < 4 * 0.001 * usual.sum()


@pytest.mark.parametrize(("score", "text"), [(0.0, "1"), (0.5, "3.2"), (2.079, "120"), (2.477, "300"), (4.0, "10,000")])
def test_chances_read_well(score: float, text: str) -> None:
    assert one_in(score) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.104, "10 %"), (0.00437, "0.44 %"), (3.4e-8, "3·10⁻⁸"), (9.7e-5, "1·10⁻⁴")]
)
def test_shares_read_well(value: float, text: str) -> None:
    assert share(value) == text
