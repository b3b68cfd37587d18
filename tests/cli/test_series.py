"""gatewise stream --series: each series gets what a stream of its own would give it, whatever comes in between."""

import csv
import io
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewise as gw
from cli.program import detector, diverging, gatewise
from cli.test_stream import running
from gatewise.cli import series as module
from gatewise.cli.answer import answer_lines
from gatewise.cli.lines import LineError
from gatewise.cli.series import SeriesReader, SeriesSession
from gatewise.errors import InputError, StateError
from gatewise.state import State

CARRIED = detector(["a", "b"], 2, "hold", 5, units=4)
WINDOW = gw.init(
    gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=2, columns=["a", "b"], missing="mask"),
        layers=[gw.LayerSpec("lstm", units=3), gw.LayerSpec("dense", units=2)],
        context={"window": 3},
    ),
    seed=6,
)
MODELS = {"carried": CARRIED, "window": WINDOW}
IDS = ["north", 'so"uth', "é,x", "7", 7, 8, -1, 1 << 70]


def answered(
    model: gw.Model,
    text: str,
    most: int | None = None,
    begin: dict[str, State] | None = None,
    says: list[str] | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """What the loop of the program answers to a text that comes at once, `most` readings at a time."""
    reader = SeriesReader("id", model.columns, model.inputs, model.graph.refuses_missing, **options)
    messages: list[str] = [] if says is None else says
    session = SeriesSession(model, reader.ids, begin, messages.append)
    session.most = most or session.most
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output:
        source.write(text.encode())
        source.seek(0)
        try:
            answer_lines(session, reader, source.fileno(), output.fileno(), say=messages.append)
        except (InputError, StateError) as error:
            messages.append(str(error))
        output.seek(0)
        return [json.loads(line) for line in output]


def as_json(readings: list[tuple[Any, list[float]]]) -> str:
    named = ({"id": id} | {n: None if np.isnan(v) else v for n, v in zip("ab", x, strict=True)} for id, x in readings)
    return "".join(json.dumps(one) + "\n" for one in named)


def as_csv(readings: list[tuple[Any, list[float]]]) -> str:
    page = io.StringIO()
    csv.writer(page).writerows([["b", "id", "a"], *([x[1], id, x[0]] for id, x in readings)])
    return page.getvalue()


numbers = st.floats(-100, 100, width=32) | st.just(float("nan"))


@pytest.mark.parametrize("form", [as_json, as_csv])
@pytest.mark.parametrize("name", MODELS)
@given(
    readings=st.lists(st.tuples(st.sampled_from(IDS), st.lists(numbers, min_size=2, max_size=2)), max_size=60),
    most=st.integers(1, 40),
)
@settings(max_examples=60)
def test_any_interleaving_equals_separate_streams(
    form: Any, name: str, readings: list[tuple[Any, list[float]]], most: int
) -> None:
    model = MODELS[name]
    found = answered(model, form(readings), most)
    streams: dict[str, gw.Stream] = defaultdict(model.stream)
    steps: dict[str, int] = defaultdict(int)
    assert len(found) == len(readings)
    for (id, x), result in zip(readings, found, strict=True):
        answer = streams[str(id)].push(np.array(x, np.float32))
        steps[str(id)] += 1
        assert (str(result["id"]), result["step"]) == (str(id), steps[str(id)])
        if form is as_json:
            assert result["id"] == id
            assert type(result["id"]) is type(id)
        np.testing.assert_array_equal(np.array([result[n] for n in model.output_names], np.float32), answer)


@pytest.mark.parametrize("form", [as_json, as_csv])
def test_lines_are_those_of_a_program_for_each_series(two: Path, form: Any) -> None:
    rng = np.random.default_rng(0)
    ids = rng.choice(["x", "y", "z"], 300, p=[0.6, 0.3, 0.1]).tolist()
    readings = list(zip(ids, rng.normal(size=(300, 2)).astype(np.float32).tolist(), strict=True))
    ran = gatewise("stream", two, "--series", "id", "--pass", "b", "--pass", "id", stdin=form(readings))
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines(keepends=True)
    assert [json.loads(line)["id"] for line in lines] == ids
    for one in ("x", "y", "z"):
        alone = gatewise(
            "stream",
            two,
            "--pass",
            "id",
            "--pass",
            "b",
            stdin=form([reading for reading in readings if reading[0] == one]),
        )
        assert "".join(line for line in lines if json.loads(line)["id"] == one) == alone.stdout


def test_each_result_comes_before_the_next_reading(two: Path) -> None:
    with running("stream", two, "--series", "id") as process:
        assert process.stdin
        assert process.stdout
        for id, step in (("p", 1), ("q", 1), ("p", 2)):
            process.stdin.write(json.dumps({"id": id, "a": 1, "b": 2}).encode() + b"\n")
            result = json.loads(process.stdout.readline())
            assert (result["id"], result["step"]) == (id, step)
        process.stdin.close()
        assert process.wait(20) == 0


def test_model_without_names(bare: Path) -> None:
    """Its columns are those of the header that tell no series and are not passed on."""
    x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    rows = [f"{a},{'pq'[i % 2]},{b},t{i},{c}" for i, (a, b, c) in enumerate(x)]
    ran = gatewise("stream", bare, "--series", "id", "--pass", "t", stdin="\n".join(["u,id,v,t,w", *rows]))
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["t"] for one in found] == [f"t{i}" for i in range(6)]
    for k in (0, 1):
        own = np.array([[one["y0"], one["y1"]] for one in found[k::2]], np.float32)
        np.testing.assert_array_equal(own, gw.load(bare).run(x[k::2]))
    ran = gatewise("stream", bare, "--series", "id", stdin='{"id":1,"u":1,"v":2,"w":3}\n')
    assert ran.stderr == (
        "gatewise: line 1: the model does not name its columns, so it reads no objects; send CSV with a header\n"
    )


def reader(**options: Any) -> SeriesReader:
    return SeriesReader("id", ("v",), 1, True, **options)


def test_ids_are_text() -> None:
    lines = reader(format="ndjson")
    for line, place in (
        ('{"id":7,"v":1}', 0),
        ('{"id":"7","v":1}', 0),
        ('{"id":"07","v":1}', 1),
        ('{"id":"","v":1}', 2),
    ):
        found = lines.read(line)
        assert found is not None
        assert found[0] == [1.0, place]
    assert lines.ids == ["7", "07", ""]
    lines = reader(whole=True)
    assert lines.read("id,v") is None
    for line, kept in (("007,1", '"007"'), ("7,1", "7"), ('"+7",1', '"+7"')):
        assert lines.read(line) == ([1.0, 0.0], f'"id":{kept},')
    assert lines.read("x7,1") == ([1.0, 1.0], '"id":"x7",')


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"id":null,"v":1}'], "the series 'id' is missing"),
        (["id,v", ",1"], "the series 'id' is missing"),
        (["id,v", "NaN,1"], "the series 'id' is missing"),
        (['{"id":1.5,"v":1}'], "the series 'id' must be a text or a whole number, got 1.5"),
        (['{"id":1e3,"v":1}'], "must be a text or a whole number, got 1000.0"),
        (['{"id":true,"v":1}'], "must be a text or a whole number, got true"),
        (['{"id":["x"],"v":1}'], r'must be a text or a whole number, got \["x"\]'),
        (['{"id":{"%s":1},"v":1}' % ("x" * 99)], r"got \{.{50,56}\.\.\."),
        (['{"id":"%s","v":1}' % ("x" * 257)], "the series 'id' must have at most 256 characters, got 257"),
        (['{"v":1}'], "column 'id' is absent, got v"),
        (["[1]"], r"an object is needed, with a field 'id', got \[1\]"),
        (["1"], "a header line is needed, to tell which field is 'id'"),
        (['{"id":"new","v":"x"}'], "column 'v' must be a number"),
        (['{"id":"new","v":null}'], "column 'v' is missing or not finite"),
    ],
)
def test_refused_lines(lines: list[str], message: str) -> None:
    found = reader()
    for line in lines[:-1]:
        assert found.read(line) is None
    with pytest.raises(LineError, match=message):
        found.read(lines[-1])
    assert found.ids == [], "a line that is refused begins no series"


def test_skipped_lines_touch_no_series(two: Path) -> None:
    good = [f'{{"id":"{"pq"[i % 2]}","a":{i},"b":1}}' for i in range(4)]
    lines = [good[0], '{"id":"p","a":"x","b":1}', good[1], '{"id":null,"a":1,"b":1}', good[2], good[3]]
    ran = gatewise("stream", two, "--series", "id", "--on-error", "skip", stdin="\n".join(lines))
    assert ran.returncode == 0
    assert ran.stdout == gatewise("stream", two, "--series", "id", stdin="\n".join(good)).stdout
    assert [line.split(":")[1] for line in ran.stderr.splitlines()] == [" line 2", " line 4"]


def test_refused_line_ends_the_stream_after_those_before_it(two: Path) -> None:
    lines = ['{"id":"p","a":1,"b":1}', '{"id":"q","a":1,"b":1}', '{"id":"p","a":1}', '{"id":"q","a":2,"b":1}']
    ran = gatewise("stream", two, "--series", "id", stdin="\n".join(lines))
    assert ran.returncode == 1
    assert ran.stdout == gatewise("stream", two, "--series", "id", stdin="\n".join(lines[:2])).stdout
    assert ran.stderr == "gatewise: line 3: column 'b' is absent, got id, a; a missing value is null\n"


def test_too_many_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SERIES", 3)
    says: list[str] = []
    text = as_json([(id, [1.0, 2.0]) for id in (5, 6, 5, 7, 8, 5)])
    assert [one["id"] for one in answered(CARRIED, text, says=says)] == [5, 6, 5, 7]
    assert says == [
        "line 5: series '8' would be one more than 3, the most that one stream has; is this the field that tells "
        "series apart? If so, run several streams"
    ]


def test_no_memory_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def resize(pool: gw.Pool, sessions: int) -> None:
        raise MemoryError

    monkeypatch.setattr(gw.Pool, "resize", resize)
    session = SeriesSession(CARRIED, ["p"])
    with pytest.raises(InputError, match="no memory for the states of 16 series, 80 bytes each; run several streams"):
        session.advance(np.array([[1, 2, 0]], np.float32))


def test_many_series(two: Path) -> None:
    """More than one block of them, so that the pool grows while streams are on their way."""
    rng = np.random.default_rng(2)
    order = np.concatenate([rng.permutation(5000), rng.permutation(5000)])
    x = rng.normal(size=(len(order), 2)).astype(np.float32)
    text = "".join(f"{id},{float(a)!r},{float(b)!r}\n" for id, (a, b) in zip(order, x, strict=True))
    ran = gatewise("stream", two, "--series", "id", stdin="id,a,b\n" + text)
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["id"] for one in found] == order.tolist()
    model = gw.load(two)
    rows = np.argsort(order, kind="stable").reshape(5000, 2)  # of each series the first and the second
    truth = np.empty((len(order), model.outputs), np.float32)
    truth[rows] = model.run(x[rows])
    np.testing.assert_array_equal(np.array([[one[n] for n in model.output_names] for one in found], np.float32), truth)


def squashed() -> gw.Model:
    """A model whose state grows beyond float32 behind answers that stay within it."""
    layers = [gw.LayerSpec("rnn", units=1, activation="relu"), gw.LayerSpec("gru", units=1)]
    spec = gw.ModelSpec(inputs=1, layers=layers)
    tensors = {name: np.ones_like(value) for name, value in gw.init(spec).tensors.items()}
    return gw.Model(spec, {**tensors, "rnn0.weight_hh": np.array([[2.0]], np.float32)})


@pytest.mark.parametrize("most", [1, 7, 1000])
@pytest.mark.parametrize("make", [diverging, squashed])
def test_series_that_diverges(make: Callable[[], gw.Model], most: int) -> None:
    """The stream ends before its reading: all lines before it are answered, whatever their series, and none after."""
    model = make()
    model = model.replace(spec=model.spec.replace(input=model.spec.input.replace(columns=["v"])))
    stream, last, truth = model.stream(), 0, []
    while True:
        answer = stream.push(np.ones(1, np.float32))
        if not np.isfinite(np.frombuffer(stream.get_state(), np.float32)).all():
            break
        truth.append(answer[0])
        last += 1
    assert 10 < last < 1000
    assert np.isfinite(answer).all() == (make is squashed)
    lines = [f'{{"id":"{id}","v":{v}}}\n' for i in range(last + 9) for id, v in (("bad", 1), ("good", -1 - i))]
    says: list[str] = []
    found = answered(model, "".join(lines), most, says=says)
    assert [one["id"] for one in found] == ["bad", "good"] * last
    assert [one["step"] for one in found[-2:]] == [last, last]
    np.testing.assert_array_equal(np.array([one["y0"] for one in found[::2]], np.float32), truth)
    calm = model.run(-1 - np.arange(last, dtype=np.float32)[:, None])[:, 0]
    np.testing.assert_array_equal(np.array([one["y0"] for one in found[1::2]], np.float32), calm)
    assert len(says) == 1
    assert says[0].startswith(
        f"series 'bad', step {last + 1}: this reading takes the state of the model beyond float32"
    )


def test_streams_stand_before_the_reading_that_was_refused() -> None:
    model = diverging()
    session = SeriesSession(model, ["bad", "good"])
    readings = np.array([[1, 0]] * 400 + [[-1, 1]] * 3, np.float32)
    count = len(session.advance(readings))
    assert 10 < count < 400
    assert session.pool.state(0) == model.run(readings[:count, :1], return_state=True)[1]
    np.testing.assert_array_equal(session.advance(readings[-3:]), model.run(readings[-3:, :1]))
    assert session.steps(3) == [1, 2, 3]


@pytest.mark.parametrize("most", [1, 50])
def test_answers_beyond_float32_of_a_state_within(most: int) -> None:
    """They are null, as in a stream of one series, and the stream goes on."""
    spec = gw.ModelSpec(
        input=gw.LayerSpec("numeric", width=1, columns=["v"]),
        layers=[gw.LayerSpec("gru", units=1), gw.LayerSpec("dense", units=1)],
    )
    model = gw.init(spec)
    large = np.array([3e38], np.float32)
    model = model.replace(tensors={**model.tensors, "dense0.weight": large[None], "dense0.bias": large})
    x = np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32)
    truth = model.run(x)[:, 0]
    assert 5 < np.isinf(truth).sum() < 35
    found = answered(model, "".join(f'{{"id":{i % 2},"v":{float(v)!r}}}\n' for v in x[:, 0] for i in (0, 1)), most)
    for id in (0, 1):
        own = [one["y0"] for one in found if one["id"] == id]
        assert [v is None for v in own] == np.isinf(truth).tolist()
        np.testing.assert_array_equal(np.array([np.inf if v is None else v for v in own], np.float32), truth)


def test_where_each_series_begins() -> None:
    rng = np.random.default_rng(3)
    past = {"5": rng.normal(size=(9, 2)), "x": rng.normal(size=(4, 2))}
    begin = {id: CARRIED.run(x, return_state=True)[1] for id, x in past.items()}
    new = rng.normal(size=(12, 2)).astype(np.float32)
    says: list[str] = []
    ids = ["x", 5, "new", "05"] * 3
    found = answered(CARRIED, as_json(list(zip(ids, new.tolist(), strict=True))), 5, begin, says, whole=True)
    streams = {"x": CARRIED.stream(begin["x"]), "5": CARRIED.stream(begin["5"]), "new": CARRIED.stream()}
    for id, x, result in zip(ids, new, found, strict=True):
        answer = streams["5" if id == "05" else str(id)].push(x)
        np.testing.assert_array_equal(np.array([result[n] for n in CARRIED.output_names], np.float32), answer)
    assert says == ["series 'new' was not trained on, so its stream begins without a past; others may too"]


def test_states_of_another_model_are_refused_at_once() -> None:
    with pytest.raises(StateError, match="belongs to a model of another structure"):
        SeriesSession(CARRIED, [], {"x": WINDOW.stream().state})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--series", "id", "--state", "s"], "--state holds one stream, so it does not go with --series"),
        (["--series", "id", "--replay"], "--after, --settle and --replay need --state"),
        (["--series", "score"], "--series score: results have a member of that name already"),
        (["--series", "v"], "--series v: the model reads this column, so it does not tell series apart"),
    ],
)
def test_usage(one: Path, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = gatewise("stream", one, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []
