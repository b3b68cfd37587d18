"""The state file of a stream: after whatever step the output ended, the state is that of an uninterrupted stream."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.program import detector, diverging
from gatewise.cli.session import Session, last_step, path_of
from gatewise.errors import StateError


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the tests leave open, as the system does for a process that was killed."""
    opened: list[Session] = []
    original = Session.__init__

    def init(self: Session, *args: Any, **options: Any) -> None:
        opened.append(self)
        original(self, *args, **options)

    monkeypatch.setattr(Session, "__init__", init)
    yield
    for session in opened:
        session.close()


MODEL = detector(["a", "b"], 2, "hold", 5, units=4)
READINGS = np.random.default_rng(0).normal(size=(9000, 2)).astype(np.float32)
READINGS[::7, 1] = np.nan
TRUTH = MODEL.run(READINGS)


@pytest.fixture
def pipe() -> object:
    """A descriptor that is no regular file."""
    read, write = os.pipe()
    yield write
    os.close(read)
    os.close(write)


def advance(session: Session, count: int) -> None:
    """Answer and settle the next readings, which must come out as in the uninterrupted stream."""
    start = session.step
    answers = session.advance(READINGS[start : start + count])
    session.commit()
    session.settle()
    np.testing.assert_array_equal(answers, TRUTH[start : start + count])


@given(blocks=st.lists(st.integers(1, 1024), max_size=8), back=st.integers(0, 1024), data=st.data())
@settings(max_examples=25)
def test_any_of_the_last_thousand_steps(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[int], back: int, data: st.DataObject
) -> None:
    path = str(tmp_path_factory.mktemp("state") / "s")
    read, write = os.pipe()
    session = Session(MODEL, path, output=write)
    for count in blocks:
        advance(session, count)
    step = session.step
    after = max(0, step - back)
    again = Session(MODEL, path, after, output=write)
    assert (again.step, again.in_doubt) == (after, False)
    for count in (1, 300):
        advance(again, count)
    # and what was forgotten is forgotten in the file as well
    assert Session(MODEL, path, output=write).step == after + 301
    os.close(read)
    os.close(write)


def test_long_streams_keep_a_bounded_file(tmp_path: Path, pipe: int) -> None:
    path = tmp_path / "s"
    session = Session(MODEL, str(path), output=pipe)
    sizes = []
    for _ in range(8):
        advance(session, session.most)
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= session.most * (2 * 8 + 2 * 16) + 3000
    again = Session(MODEL, str(path), after=session.step - session.most, output=pipe)
    advance(again, 5)
    with pytest.raises(StateError, match=r"can continue after any of the steps \d+ to \d+, got --after 3"):
        Session(MODEL, str(path), after=3, output=pipe)


def test_many_restarts_keep_a_bounded_file(tmp_path: Path, pipe: int) -> None:
    path = tmp_path / "s"
    for life in range(12):
        session = Session(MODEL, str(path), output=pipe)
        assert session.step == 700 * life
        advance(session, 300)
        advance(session, 400)
        session.close()
        assert path.stat().st_size <= session.most * (2 * 8 + 2 * 16) + 3000
    early = Session(MODEL, str(path), after=session.step - session.most, output=pipe)
    advance(early, 10)


def test_unwritten_answers_are_taken_back(tmp_path: Path, pipe: int) -> None:
    path = str(tmp_path / "s")
    session = Session(MODEL, path, output=pipe)
    advance(session, 10)
    session.advance(READINGS[10:30])
    session.commit()
    session.settle(unwritten=13)
    assert session.step == 17
    again = Session(MODEL, path, output=pipe)
    assert (again.step, again.in_doubt) == (17, False)
    advance(again, 4)


def lay(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_where_a_killed_stream_stands(tmp_path: Path, pipe: int) -> None:
    path = tmp_path / "s"
    session = Session(MODEL, str(path), output=pipe)
    advance(session, 3)
    before = path.read_bytes()
    session.advance(READINGS[3:8])
    session.commit()
    writing = path.read_bytes()
    session.settle()
    written = path.read_bytes()
    assert len(before) == len(writing) == len(written)

    changed = [i for i, pair in enumerate(zip(before, writing, strict=True)) if pair[0] != pair[1]]
    progress, record = [i for i in changed if i < changed[0] + 8], [i for i in changed if i >= changed[0] + 8]
    assert len(record) > 20
    for torn in (record[:1], record[-1:], record[: len(record) // 2], record[5:], record):
        image = bytearray(before)
        for i in torn:
            image[i] = writing[i]
        killed = Session(MODEL, lay(tmp_path / "k", bytes(image)), output=pipe)
        assert (killed.step, killed.in_doubt) == (3, False), "killed before the record was whole"
    killed = Session(MODEL, lay(tmp_path / "k", writing), output=pipe)
    assert (killed.step, killed.in_doubt) == (8, True)
    killed = Session(MODEL, lay(tmp_path / "k", written), output=pipe)
    assert (killed.step, killed.in_doubt) == (8, False)
    advance(killed, 2)
    assert len(progress) <= 8


@pytest.mark.parametrize("same", [True, False], ids=["appended to", "left"])
@pytest.mark.parametrize("written", [b'{"step":1}\n{"step":2}\n{"step":3', b'{"step":1}\n{"step":2}\n', b""])
def test_output_file_tells_where_it_ended(tmp_path: Path, same: bool, written: bytes) -> None:
    path, results = str(tmp_path / "s"), tmp_path / "results"
    output = os.open(results, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    assert path_of(output) == str(results)
    session = Session(MODEL, path, output=output)
    session.advance(READINGS[:5])
    session.commit()
    os.write(output, written)  # and killed here
    second = output if same else os.open(tmp_path / "others", os.O_WRONLY | os.O_CREAT)
    again = Session(MODEL, path, output=second)
    if written:
        assert (again.step, again.in_doubt) == (2, False)
        assert results.read_bytes() == (b'{"step":1}\n{"step":2}\n' if same else written)
    else:
        assert (again.step, again.in_doubt) == (5, True)
    advance(again, 7)
    os.close(output)


def test_csv_header_is_remembered(tmp_path: Path, pipe: int) -> None:
    path = str(tmp_path / "s")
    session = Session(MODEL, path, output=pipe)
    session.remember_header(("t", "b", "a"))
    assert Session(MODEL, path, output=pipe).header == ("t", "b", "a")


def test_refused(tmp_path: Path, pipe: int) -> None:
    path = tmp_path / "s"
    session = Session(MODEL, str(path), output=pipe)
    advance(session, 3)
    good = path.read_bytes()
    with pytest.raises(StateError, match="belongs to a model of another structure"):
        Session(detector(["v"], 1, "raise", 1), str(path), output=pipe)
    same_structure = detector(["p", "q"], 2, "hold", 6, units=4)
    assert Session(same_structure, str(path), output=pipe).step == 3, "a retrained model may go on"
    for bad in (b"", good[:100], good[:-1], good + b"x", MODEL.stream().save()):
        path.write_bytes(bad)
        with pytest.raises(StateError, match=r"no state of a stream|cut off"):
            Session(MODEL, str(path), output=pipe)
        assert path.read_bytes() == bad
    log = good.index(b"\ngatewise log\n")
    meaning = len(good[log:].rstrip(b"\0"))
    for place in (*range(0, log, 11), *range(log, log + meaning)):
        if good[place] or place < log + 13:
            path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
            with pytest.raises(StateError):
                Session(MODEL, str(path), output=pipe)
    with pytest.raises(StateError, match="does not exist, so there is nothing to continue from after step 2"):
        Session(MODEL, str(tmp_path / "none"), after=2, output=pipe)


def test_two_streams_with_one_file(tmp_path: Path, pipe: int) -> None:
    path = str(tmp_path / "s")
    first = Session(MODEL, path, output=pipe)
    second = Session(MODEL, path, output=pipe)
    advance(second, 1)
    first.advance(READINGS[:1])
    with pytest.raises(StateError, match="changed by another process"):
        first.commit()


def test_place_that_cannot_be_written(tmp_path: Path, pipe: int) -> None:
    with pytest.raises(OSError, match="there is no folder .*none; create it first"):
        Session(MODEL, str(tmp_path / "none" / "s"), output=pipe)


def test_last_step(tmp_path: Path) -> None:
    path = tmp_path / "results"
    for content, step in (
        (b"", None),
        (b"\n", None),
        (b'{"step":7}', None),
        (b'{"step":7}\n', 7),
        (b'{"step":7}\nx', 7),
        (b'{"step":"7"}\n', None),
        (b"[7]\n", None),
        (b"x" * (3 << 20) + b'\n{"step":8}\n{"ste', 8),
    ):
        path.write_bytes(content)
        assert last_step(str(path)) == step
    assert last_step(str(tmp_path)) is None
    assert last_step(str(tmp_path / "none")) is None
    os.mkfifo(tmp_path / "fifo")
    assert last_step(str(tmp_path / "fifo")) is None


def test_without_a_file_nothing_is_kept(tmp_path: Path, pipe: int) -> None:
    session = Session(MODEL, output=pipe)
    advance(session, 1000)
    advance(session, 1)
    assert not session.remembers
    assert list(tmp_path.iterdir()) == []


def test_readings_that_spell_the_mark_of_the_log(tmp_path: Path, pipe: int) -> None:
    mark = b"\ngatewise log\n"
    readings = np.frombuffer(b"\0" + mark + b"\0", np.float32).reshape(2, 2)
    assert np.isfinite(readings).all()
    path = tmp_path / "s"
    session = Session(MODEL, str(path), output=pipe)
    session.advance(readings)
    session.commit()
    session.settle()
    session.remember_header(("a", "b"))  # which moves the readings from the log into the safetensors part
    assert path.read_bytes().count(mark) == 2
    again = Session(MODEL, str(path), output=pipe)
    assert (again.step, again.in_doubt) == (2, False)
    assert again.stream.state == session.stream.state


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b'{"a":1}',
        b'{"a":{"data_offsets":[]}}',
        b'{"a":{"data_offsets":[0,"1"]}}',
        b'{"a":{"data_offsets":[0,-99]}}',
        b'{"a":{"data_offsets":[0,1e9]}}',
        b'{"a":{"data_offsets":[0,99999999999999999999]}}',
        b"\xff",
    ],
)
def test_headers_that_do_not_say_how_long_they_are(tmp_path: Path, pipe: int, header: bytes) -> None:
    path = lay(tmp_path / "s", len(header).to_bytes(8, "little") + header + b"\ngatewise log\n" + bytes(100))
    with pytest.raises(StateError, match="no state of a stream"):
        Session(MODEL, path, output=pipe)


def test_state_that_would_not_be_finite(tmp_path: Path, pipe: int) -> None:
    """The reading is not answered, in whatever blocks the readings come, and the file stays good."""
    model, readings = diverging(), np.ones((400, 1), np.float32)
    truth = model.run(readings)
    steps = []
    for block in (1, 7, 400):
        path = str(tmp_path / f"s{block}")
        session = Session(model, path, output=pipe)
        found = []
        for at in range(0, 400, block):
            answers = session.advance(readings[at : at + block])
            session.commit()
            session.settle()
            found.append(answers)
            if len(answers) < len(readings[at : at + block]):
                break
        steps.append(session.step)
        assert all(np.isfinite(value).all() for value in session.stream.state.fields.values())
        np.testing.assert_array_equal(np.concatenate(found), truth[: session.step])
        assert Session(model, path, output=pipe).step == session.step
    assert 10 < steps[0] < 400
    assert len(set(steps)) == 1
    alone = Session(model, output=pipe)
    assert len(alone.advance(readings)) == alone.step == steps[0]


def test_retrained_model_that_diverges(tmp_path: Path, pipe: int) -> None:
    model, path = diverging(), str(tmp_path / "s")
    tensors = {**model.tensors, "gru0.weight_hh": model.tensors["gru0.weight_hh"] * 0}
    session = Session(model.replace(tensors=tensors), path, output=pipe)
    session.advance(np.ones((400, 1), np.float32))
    session.commit()
    session.settle()
    with pytest.raises(StateError, match="beyond float32; start with a new file"):
        Session(model, path, output=pipe)


def test_where_a_new_session_begins(tmp_path: Path, pipe: int) -> None:
    begin = MODEL.run(READINGS[:50], return_state=True)[1]
    session = Session(MODEL, str(tmp_path / "s"), output=pipe, begin=begin)
    assert (session.step, session.resumed) == (0, False)
    np.testing.assert_array_equal(session.advance(READINGS[50:60]), TRUTH[50:60])
    session.commit()
    session.settle()
    again = Session(MODEL, str(tmp_path / "s"), output=pipe, begin=begin)
    assert (again.step, again.resumed) == (10, True)
    np.testing.assert_array_equal(again.advance(READINGS[60:70]), TRUTH[60:70])
    early = Session(MODEL, str(tmp_path / "s"), after=0, output=pipe)
    np.testing.assert_array_equal(early.advance(READINGS[50:60]), TRUTH[50:60])


def test_window_with_missing_readings(tmp_path: Path, pipe: int) -> None:
    """The state of a window is readings, of which some may be missing: that is no state beyond float32."""
    spec = MODEL.spec.replace(context={"window": 5})
    model = MODEL.replace(spec=spec)
    truth = model.run(READINGS[:900])
    found = []
    for block in (1, 3, 7, 400, 200):
        with Session(model, str(tmp_path / "s"), output=pipe) as session:
            start = session.step
            found.append(session.advance(READINGS[start : start + block]))
            session.commit()
            session.settle()
            assert session.step == start + block
    answers = np.concatenate(found)
    np.testing.assert_array_equal(answers, truth[: len(answers)])
    with Session(model, str(tmp_path / "s"), after=300, output=pipe) as session:
        np.testing.assert_array_equal(session.advance(READINGS[300:310]), truth[300:310])
    with Session(model) as session:
        np.testing.assert_array_equal(session.advance(READINGS[:900]), truth)
