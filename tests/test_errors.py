"""Messages with hints: how they read in Python and on the command line, and what keeps the hints."""

import copy
import pickle
import warnings

import click
import pytest

from gatewise import errors
from gatewise.cli.common import worded
from gatewise.errors import ANY, GatewiseError, GatewiseWarning, InputError, Parameter, Text, Wording
from gatewise.tables.warn import warn

COMMAND = click.Command(
    "train",
    params=[
        click.Option(["--time"]),
        click.Option(["--series"], metavar="COL"),
        click.Option(["-s", "--season"]),
        click.Option(["--context"]),
        click.Option(["--normalise"], is_flag=True),
        click.Option(["--false-alarms-per-1000"]),
    ],
)
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewiseError)]
DATES = InputError("column 'when' holds dates; pass ", Parameter("time", "when"), ", or leave it out")


@pytest.mark.parametrize(
    ("hint", "python", "command"),
    [
        (Parameter("time"), "time", "--time"),
        (Parameter("time", "when"), "time='when'", "--time when"),
        (Parameter("time", "a day's; rm"), '''time="a day's; rm"''', """--time 'a day'"'"'s; rm'"""),
        (Parameter("series", ANY), "series=...", "--series COL"),
        (Parameter("season", 0), "season=0", "--season 0"),
        (Parameter("context", {"window": 96}), "context={'window': 96}", "--context 96"),
        (Parameter("normalise", True), "normalise=True", "--normalise"),
        (Parameter("false_alarms_per_1000", 0.5), "false_alarms_per_1000=0.5", "--false-alarms-per-1000 0.5"),
        (Parameter("columns", ["a"]), "columns=['a']", "columns=['a']"),
        (Wording("pass state=None", "leave out --after-training"), "pass state=None", "leave out --after-training"),
        (Wording("read it with pandas", Text("pass ", Parameter("time", "t"))), "read it with pandas", "pass --time t"),
    ],
)
def test_hints_are_worded_for_python_and_for_the_command(hint: errors.Hint, python: str, command: str) -> None:
    text = Text("see {}: ", hint, ".")
    assert text == str(text) == f"see {{}}: {python}."
    assert worded(text, COMMAND) == f"see {{}}: {command}."


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_keep_their_hints(kind: type[GatewiseError]) -> None:
    error = kind("row 3: ", DATES)
    assert str(error) == "row 3: column 'when' holds dates; pass time='when', or leave it out"
    for same in (error, kind(error), kind(error.text), pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(same) is kind
        assert str(same) == str(error)
        assert same.text.hints == (Parameter("time", "when"),)
        assert worded(same.text, COMMAND) == "row 3: column 'when' holds dates; pass --time when, or leave it out"


def test_an_error_of_one_text_is_that_text() -> None:
    assert InputError("too few rows").args == ("too few rows",)
    assert InputError("too few rows").text.hints == ()
    assert str(InputError("bytes: ", ValueError("no UTF-8"))) == "bytes: no UTF-8"


def test_warnings_carry_hints() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("no dates; pass ", Parameter("time", "when"))
    (one,) = caught
    assert one.category is GatewiseWarning
    assert issubclass(GatewiseWarning, UserWarning)
    assert one.filename == __file__
    assert str(one.message) == "no dates; pass time='when'"
    assert isinstance(one.message, GatewiseWarning)
    assert worded(one.message.text, COMMAND) == "no dates; pass --time when"
