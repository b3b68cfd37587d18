"""gatewise stream, as a program: lines in, results out."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from cli.program import PROGRAM, diverging, gatewise
from gatewise.cli.session import Session
from sections import retold

RNG = np.random.default_rng(7)
V = RNG.normal(size=(60, 1)).astype(np.float32)
AB = RNG.normal(size=(60, 2)).astype(np.float32)


def results(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def outputs(found: list[dict[str, Any]], names: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """What the results say, back as float32."""
    return np.array([[result[name] for name in names] for result in found], np.float32)


def rows(values: np.ndarray[Any, Any], form: str) -> str:
    """Readings as lines of text."""
    if form == "objects":
        return "".join(json.dumps({"b": float(b), "t": i, "a": float(a)}) + "\n" for i, (a, b) in enumerate(values))
    if form == "arrays":
        return "".join(json.dumps([float(v) for v in row]) + "\n" for row in values)
    if form == "bare csv":
        return "".join(",".join(str(v) for v in row) + "\r\n" for row in values)
    assert form == "csv"
    return "t,b,a\n" + "".join(f"{i},{b},{a}\n" for i, (a, b) in enumerate(values))


@contextmanager
def running(*arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The program at work; killed at the end, if it has not ended."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], **{**pipes, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("form", ["objects", "arrays", "bare csv", "csv"])
def test_equals_the_api(two: Path, form: str) -> None:
    model = gw.load(two)
    truth = model.run(AB)
    ran = gatewise("stream", two, stdin=rows(AB, form))
    assert (ran.returncode, ran.stderr) == (0, "")
    found = results(ran.stdout)
    assert list(found[0]) == ["step", "score", "expected", "low", "high", "extrapolated", "alarm"]
    assert [result["step"] for result in found] == list(range(1, 61))
    np.testing.assert_array_equal(outputs(found, model.output_names), truth)
    alarms = [bool(score >= -np.log10(40 / 1000)) for score in truth[:, 0]]
    assert [result["alarm"] for result in found] == alarms
    assert {True, False} == set(alarms)
    assert {type(result["extrapolated"]) for result in found} == {bool}


def test_model_without_head(bare: Path) -> None:
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    found = results(gatewise("stream", bare, stdin=rows(x, "arrays")).stdout)
    assert list(found[0]) == ["step", "y0", "y1"]
    np.testing.assert_array_equal(outputs(found, ("y0", "y1")), gw.load(bare).run(x))


def test_each_result_comes_before_the_next_reading(one: Path) -> None:
    with running("stream", one) as process:
        assert process.stdin
        assert process.stdout
        for i, value in enumerate([0.5, -0.25, 3]):
            process.stdin.write(b"%r\n" % value)
            assert json.loads(process.stdout.readline())["step"] == i + 1
        process.stdin.write(b"7")  # the last line may lack its end
        process.stdin.close()
        assert json.loads(process.stdout.readline())["step"] == 4
        assert process.wait(20) == 0


def test_fields_are_passed_on(two: Path) -> None:
    lines = 't,b,a\n2024-01-01 00:00,1,2\n"x ""y""",3,4\n'
    ran = gatewise("stream", two, "--pass", "t", stdin=lines)
    assert [result["t"] for result in results(ran.stdout)] == ["2024-01-01 00:00", 'x "y"']
    lines = '{"a":1,"b":2,"t":{"s":[1,null]}}\n'
    assert results(gatewise("stream", two, "--pass", "t", stdin=lines).stdout)[0]["t"] == {"s": [1, None]}


def test_missing_values_are_held(two: Path) -> None:
    x = AB.copy()
    x[[3, 4, 10], [0, 0, 1]] = np.nan
    lines = rows(x, "arrays").replace("NaN", "null").splitlines()
    lines[0] = "\ufeff" + lines[0]
    ran = gatewise("stream", two, "--format", "ndjson", stdin="\n\n".join(lines))
    model = gw.load(two)
    np.testing.assert_array_equal(outputs(results(ran.stdout), model.output_names), model.run(x))
    csv = gatewise("stream", two, stdin=rows(x, "bare csv").replace("nan", ""))
    assert csv.stdout == ran.stdout


def test_missing_values_are_refused(one: Path) -> None:
    ran = gatewise("stream", one, stdin='{"v":1}\n{"v":null}\n{"v":2}\n')
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr.startswith("gatewise: line 2: column 'v' is missing or not finite, and this model refuses that")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("series", [False, True])
def test_one_reading_that_scaling_takes_too_far_spoils_nothing(one: Path, two: Path, series: bool) -> None:
    with_id = ',"id":7' if series else ""
    option = ("--series", "id") if series else ()
    lines = [f'{{"v":{v}{with_id}}}' for v in ("1", "3.4e38", "-2e18", "2")]
    model = gw.load(one)
    truth = model.run(np.array([[1], [2]], np.float32))
    ran = gatewise("stream", one, *option, "--on-error", "skip", stdin="\n".join(lines))
    assert ran.returncode == 0
    np.testing.assert_array_equal(outputs(results(ran.stdout), model.output_names), truth)
    said = ran.stderr.splitlines()
    assert len(said) == 2
    assert said[0].startswith("gatewise: line 2: column 'v' is 3.4e+38, too far from the data")
    assert said[0].endswith("--missing hold to repeat the last reading (skipped)")
    ran = gatewise("stream", one, *option, stdin="\n".join(lines))
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1
    assert "trained anew" not in ran.stderr

    held = [f'{{"a":{a},"b":1{with_id}}}' for a in ("1", "3.4e38", "2")]
    ran = gatewise("stream", two, *option, stdin="\n".join(held))
    assert (ran.returncode, ran.stderr) == (0, "")
    model, x = gw.load(two), np.array([[1, 1], [np.nan, 1], [2, 1]], np.float32)
    np.testing.assert_array_equal(outputs(results(ran.stdout), model.output_names), model.run(x))


def test_malformed_line_stops(two: Path, tmp_path: Path) -> None:
    state = tmp_path / "s"
    ran = gatewise("stream", two, "--state", state, stdin="[1,2]\n\n[3,4]\nwhat?\n[5,6]\n")
    assert ran.returncode == 1
    assert [result["step"] for result in results(ran.stdout)] == [1, 2]
    assert ran.stderr.splitlines() == ["gatewise: line 4: no valid JSON: Expecting value: line 1 column 1 (char 0)"]
    ran = gatewise("stream", two, "--state", state, stdin="[5,6]\n")
    assert ran.stderr.splitlines() == ["gatewise: continuing after step 2"]
    assert results(ran.stdout)[0]["step"] == 3


def test_malformed_lines_are_skipped(two: Path) -> None:
    text = rows(AB[:3], "arrays").splitlines()
    lines = [text[0], "{", text[1], "[1]", text[2]]
    data = "\n".join(lines).encode() + b"\n\xff\xfe\n"
    ran = gatewise("stream", two, "--on-error", "skip", stdin=data)
    assert ran.returncode == 0
    assert ran.stdout == gatewise("stream", two, stdin="\n".join(text)).stdout
    assert [line.partition(": ")[2].partition(":")[0] for line in ran.stderr.splitlines()] == [
        "line 2",
        "line 4",
        "line 6",
    ]
    assert all(line.endswith("(skipped)") for line in ran.stderr.splitlines())


def test_wrong_header_is_never_skipped(two: Path) -> None:
    ran = gatewise("stream", two, "--on-error", "skip", stdin="t,a,c\n1,2,3\n")
    assert ran.returncode == 1
    assert ran.stderr == "gatewise: line 1: the header does not name column 'b', it names t, a, c\n"


def test_endless_line(one: Path) -> None:
    ran = gatewise("stream", one, stdin=b"1\n" + b"1" * (2 << 20))
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1
    assert "line 1: after this line comes a line of more than 1,048,576 bytes" in ran.stderr


@pytest.mark.parametrize("form", ["objects", "bare csv", "csv"])
def test_stopped_stream_continues(two: Path, tmp_path: Path, form: str) -> None:
    whole = rows(AB, form).splitlines(keepends=True)
    truth = gatewise("stream", two, stdin="".join(whole)).stdout
    first = gatewise("stream", two, "--state", tmp_path / "s", stdin="".join(whole[:30]))
    second = gatewise("stream", two, "--state", tmp_path / "s", stdin="".join(whole[30:]))
    assert second.returncode == 0
    assert first.stdout + second.stdout == truth


def test_replay_skips_what_was_answered(two: Path, tmp_path: Path) -> None:
    whole = rows(AB, "csv").splitlines(keepends=True)
    truth = gatewise("stream", two, stdin="".join(whole)).stdout
    first = gatewise("stream", two, "--state", tmp_path / "s", stdin="".join(whole[:30]))
    second = gatewise("stream", two, "--state", tmp_path / "s", "--replay", stdin="".join(whole))
    assert first.stdout + second.stdout == truth
    third = gatewise("stream", two, "--state", tmp_path / "s", "--replay", stdin="".join(whole[:11]))
    assert third.returncode == 1
    assert third.stdout == ""
    assert third.stderr.splitlines()[-1] == (
        "gatewise: the input ends 50 readings short of step 60, where the stream stood"
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
def test_signals_end_it_with_the_state_saved(two: Path, tmp_path: Path, number: int, status: int) -> None:
    whole = rows(AB, "arrays").splitlines(keepends=True)
    with running("stream", two, "--state", tmp_path / "s") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("".join(whole[:9]).encode())
        first = b"".join(process.stdout.readline() for _ in range(9))
        process.send_signal(number)
        assert process.wait(20) == status
        assert process.stderr
        assert process.stderr.read() == b""
    second = gatewise("stream", two, "--state", tmp_path / "s", stdin="".join(whole[9:]))
    assert second.stderr == "gatewise: continuing after step 9\n"
    assert first.decode() + second.stdout == gatewise("stream", two, stdin="".join(whole)).stdout


def test_signal_while_nobody_reads_the_results(two: Path, tmp_path: Path) -> None:
    values = RNG.normal(size=(3000, 2)).astype(np.float32)
    whole = rows(values, "arrays").splitlines(keepends=True)
    with running("stream", two, "--state", tmp_path / "s", stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        os.set_blocking(process.stdin.fileno(), False)
        os.write(process.stdin.fileno(), "".join(whole).encode()[:60_000])
        state = tmp_path / "s"
        written = -1  # the pipe is full when the state no longer moves
        while not state.exists() or written != (written := state.stat().st_mtime_ns):
            time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        first = process.stdout.read()
    count = first.count(b"\n")
    assert 100 < count < 1000
    second = gatewise("stream", two, "--state", tmp_path / "s", stdin="".join(whole[count:]))
    assert second.stderr == f"gatewise: continuing after step {count}\n"
    assert first.decode() + second.stdout == gatewise("stream", two, stdin="".join(whole)).stdout


def test_reader_goes_away(one: Path, tmp_path: Path) -> None:
    state = tmp_path / "s"
    program = [*PROGRAM, "stream", str(one), "--state", str(state)]
    command = ["bash", "-c", 'set -o pipefail; yes 1 | "$@" | head -n 2', "bash", *program]
    ran = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert len(ran.stdout.splitlines()) == 2
    assert ran.stderr == b""
    assert ran.returncode == 141
    answered = gatewise("stream", one, "--state", state).stderr
    assert re.fullmatch(r"gatewise: continuing after step \d+\n", answered), "what was written is known, if not read"
    again = gatewise("stream", one, "--state", state, "--after", "2", stdin="1\n")
    assert again.stdout == gatewise("stream", one, stdin="1\n" * 3).stdout.splitlines(keepends=True)[2]


def test_killed_between_state_and_result(two: Path, tmp_path: Path) -> None:
    """It says so; the default takes the result for written, and --after says that it was not."""
    truth = gatewise("stream", two, stdin=rows(AB, "arrays")).stdout.splitlines(keepends=True)
    read, write = os.pipe()
    for state in ("default", "after"):
        with Session(gw.load(two), str(tmp_path / state), output=write) as session:
            session.advance(AB[:2])
            session.commit()
    os.close(read)
    os.close(write)
    rest = rows(AB, "arrays").splitlines(keepends=True)
    ran = gatewise("stream", two, "--state", tmp_path / "default", stdin="".join(rest[2:]))
    assert ran.stdout == "".join(truth[2:])
    assert ran.stderr.splitlines() == [
        "gatewise: continuing after step 2",
        "gatewise: the stream ended as it wrote; if your results end at another step K, start again with --after K",
    ]
    ran = gatewise("stream", two, "--state", tmp_path / "after", "--after", "1", stdin="".join(rest[1:]))
    assert (ran.stdout, ran.stderr) == ("".join(truth[1:]), "gatewise: continuing after step 1\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is a device of Linux")
def test_full_disk(one: Path, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full, running("stream", one, "--state", tmp_path / "s", stdout=full) as process:
        _, error = process.communicate(b"1\n", timeout=60)
    assert process.returncode == 1
    assert error == b"gatewise: No space left on device\n"
    ran = gatewise("stream", one, "--state", tmp_path / "s", stdin="1\n")
    assert results(ran.stdout)[0]["step"] == 1


def test_foreign_state_is_refused(one: Path, two: Path, tmp_path: Path) -> None:
    assert gatewise("stream", one, "--state", tmp_path / "s", stdin="1\n").returncode == 0
    ran = gatewise("stream", two, "--state", tmp_path / "s", stdin="[1,2]\n")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"gatewise: {tmp_path}/s: this state belongs to a model of another structure")
    assert ran.stderr.count("\n") == 1
    assert results(gatewise("stream", one, "--state", tmp_path / "s", stdin="1\n").stdout)[0]["step"] == 2


def test_state_that_would_not_be_finite(tmp_path: Path) -> None:
    diverging().save(tmp_path / "m")
    ran = gatewise("stream", tmp_path / "m", stdin="1\n" * 400)
    assert ran.returncode == 1
    step = len(ran.stdout.splitlines()) + 1
    assert ran.stderr.startswith(f"gatewise: step {step}: this reading takes the state of the model beyond float32")
    assert ran.stderr.count("\n") == 1
    kept = gatewise("stream", tmp_path / "m", "--state", tmp_path / "s", stdin="1\n" * 400)
    assert (kept.returncode, kept.stdout, kept.stderr) == (1, ran.stdout, ran.stderr)
    again = gatewise("stream", tmp_path / "m", "--state", tmp_path / "s", stdin="1\n")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.splitlines() == [f"gatewise: continuing after step {step - 1}", ran.stderr.strip()]


@pytest.mark.parametrize(
    ("told", "tensors", "message"),
    [
        (None, {}, "it does not keep the state after training"),
        ({}, {}, "it does not keep the state after training"),
        ({"series": 5}, {}, "the series of the task are no list of ids"),
        ({"series": [["a"]]}, {}, "the series of the task are no list of ids"),
        ({}, {"state.gru0.hidden": np.zeros((2, 1), np.float32)}, "state field "),
        ({}, {"state.gru0.hidden": np.full((1, 1), np.nan, np.float32)}, "state field "),
    ],
)
def test_no_state_after_training(
    one: Path, tmp_path: Path, told: dict[str, Any] | None, tensors: dict[str, Any], message: str
) -> None:
    model = gw.load(one)
    (model if told is None else retold(model, told, **tensors)).save(tmp_path / "m")
    ran = gatewise("stream", tmp_path / "m", "--after-training", "--state", tmp_path / "s", stdin="1\n")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"gatewise: {tmp_path}/m")
    assert message in ran.stderr
    assert ran.stderr.endswith("leave out --after-training\n")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_state_file_that_is_the_model(one: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(one)
    before = one.read_bytes()
    ran = gatewise("stream", one, "--state", tmp_path / "link", stdin="1\n")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "MODEL and --state are the same file" in ran.stderr
    assert one.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--after", "3"], "--after, --settle and --replay need --state"),
        (["--replay"], "--after, --settle and --replay need --state"),
        (["--pass", "score"], "--pass score: results have a member of that name already"),
        (["--on-error", "ignore"], "'ignore' is not one of 'stop', 'skip'"),
        (["--wrong"], "No such option"),
    ],
)
def test_usage(one: Path, arguments: list[str], message: str) -> None:
    ran = gatewise("stream", one, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("gatewise: ")
    assert message in ran.stderr
    assert ran.stderr.endswith("(see 'gatewise stream --help')\n")
    assert ran.stderr.count("\n") == 1
