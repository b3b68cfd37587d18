"""Bands have the edges given, alarms lie on their readings, the threshold lies where it is."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from figures.drawn import bands, bars, edges, legend, line
from gatewise.errors import InputError
from gatewise.figures import alarm_scores, detection, forecast_band
from gatewise.figures.style import BLUE, GREY, MOST_POINTS, ORANGE

RNG = np.random.default_rng(0)
TIMES = np.datetime64("2024-03-01") + np.arange(40) * np.timedelta64(1, "h")
LOW = RNG.normal(size=40)
HIGH = LOW + RNG.uniform(0.5, 2, 40)
SEEN = RNG.normal(size=40)
ALARMS = np.zeros(40, bool)
ALARMS[[3, 17, 39]] = True


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"time": TIMES, "observed": SEEN, "score": np.abs(SEEN), "low": LOW, "high": HIGH, **columns})


def test_a_band_has_the_edges_given(ax: Axes) -> None:
    assert forecast_band(TIMES, LOW, HIGH, observed=SEEN, alarms=ALARMS, unit="mm/s", ax=ax) is ax
    (band,) = bands(ax)
    at, low, high = edges(band)
    assert np.array_equal(at, date2num(TIMES))
    assert np.array_equal(low, LOW)
    assert np.array_equal(high, HIGH)
    assert np.array_equal(line(ax, "observed").get_ydata(), SEEN)
    marked = line(ax, "alarm")
    assert np.array_equal(marked.get_xdata(orig=False), date2num(TIMES[ALARMS]))
    assert np.array_equal(marked.get_ydata(), SEEN[ALARMS])
    assert (ax.get_ylabel(), legend(ax)) == ("mm/s", ["observed", "forecast band", "alarm"])
    half = np.timedelta64(30, "m")
    assert np.allclose(ax.get_xlim(), date2num([TIMES[0] - half, TIMES[-1] + half]), rtol=0, atol=1e-8)


def test_an_alarm_without_a_reading_is_marked_at_the_upper_edge(ax: Axes) -> None:
    seen = SEEN.copy()
    seen[17] = np.nan
    forecast_band(np.arange(40), LOW, HIGH, observed=seen, alarms=ALARMS, ax=ax)
    assert np.array_equal(line(ax, "alarm").get_ydata(), [SEEN[3], HIGH[17], SEEN[39]])
    assert np.isnan(line(ax, "observed").get_ydata()[17])


def test_scores_are_bars_and_the_threshold_a_line(ax: Axes) -> None:
    scores = np.abs(SEEN)
    threshold = float(np.sort(scores)[-4])
    alarm_scores(np.arange(40), scores, threshold, ax=ax)
    dashed, plain, strong = ax.lines
    assert set(dashed.get_ydata()) == {threshold}
    assert (plain.get_color(), strong.get_color()) == (GREY, ORANGE)
    assert bars(strong) == {t: scores[t] for t in range(40) if scores[t] >= threshold}
    assert len(bars(strong)) == 4
    assert bars(plain) | bars(strong) == dict(enumerate(scores))
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > scores.max()


def test_of_many_rows_nothing_that_stands_out_is_lost() -> None:
    rows = 7 * MOST_POINTS + 3
    low, high, scores = np.zeros(rows), np.ones(rows), np.full(rows, 0.5)
    low[1234], high[5001], scores[[50, 4321]] = -5.0, 7.0, [3.0, 2.5]
    upper, lower = Figure().subplots(2)
    forecast_band(np.arange(rows), low, high, observed=low, alarms=scores >= 2, ax=upper)
    at, least, most = edges(bands(upper)[0])
    assert len(at) == MOST_POINTS
    assert (least.min(), most.max()) == (-5.0, 7.0)
    assert 1234 - at[least.argmin()] in range(8)
    assert 5001 - at[most.argmax()] in range(8)
    assert list(line(upper, "alarm").get_xdata()) == [50, 4321]
    alarm_scores(np.arange(rows), scores, 2.0, ax=lower)
    _, plain, strong = lower.lines
    assert list(bars(strong).values()) == [3.0, 2.5]
    assert len(bars(plain)) == MOST_POINTS - 2


def test_what_a_detector_explains_is_drawn_from_its_frame() -> None:
    axes = Figure().subplots(2)
    given = detection(frame(alarm=ALARMS), 0.9, targets=["flow"], axes=axes)
    assert given == list(axes)
    assert given[0].get_ylabel() == "flow"
    assert np.array_equal(line(given[0], "alarm").get_ydata(), SEEN[ALARMS])
    dashed, _, strong = given[1].lines
    assert set(dashed.get_ydata()) == {0.9}
    assert list(bars(strong)) == date2num(TIMES[ALARMS]).tolist()  # alarms are those of the frame


def test_axes_that_are_given_leave_pyplot_alone() -> None:
    detection(frame(alarm=ALARMS), 0.9, axes=Figure().subplots(2))
    forecast_band(TIMES, LOW, HIGH, ax=Figure().subplots())
    alarm_scores(TIMES, SEEN, 1.0, ax=Figure().subplots())
    assert pyplot.get_fignums() == []


def test_of_several_targets_each_has_a_panel() -> None:
    own = {"flow": (SEEN, LOW, HIGH), "power": (2 * SEEN, LOW - 3, HIGH + 3)}
    columns = {
        f"{name}:{what}": values[i]
        for name, values in own.items()
        for i, what in enumerate(("observed", "low", "high"))
    }
    found = pd.DataFrame({"score": np.abs(SEEN), **columns, "alarm": ALARMS}, index=pd.DatetimeIndex(TIMES, tz="UTC"))
    *panels, scores = detection(found, 1.0)
    assert [panel.get_ylabel() for panel in panels] == ["flow", "power"]
    for panel, (seen, low, high) in zip(panels, own.values(), strict=True):
        at, *both = edges(bands(panel)[0])
        assert np.array_equal(at, date2num(TIMES))
        assert np.array_equal(both, [low, high])
        assert np.array_equal(line(panel, "observed").get_ydata(), seen)
    assert scores.get_ylabel() == "score"
    assert len(pyplot.get_fignums()) == 1
    assert detection(found, 1.0, targets=["power"])[0].get_ylabel() == "power"


def test_colours_follow_the_style_and_the_background_is_left_alone(ax: Axes) -> None:
    with mpl.rc_context({"text.color": "#abcdef"}):
        forecast_band(TIMES, LOW, HIGH, observed=SEEN, ax=ax)
    assert line(ax, "observed").get_color() == "#abcdef"
    assert mpl.colors.same_color(bands(ax)[0].get_facecolor()[0][:3], BLUE)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda ax: forecast_band(TIMES, LOW[:-1], HIGH, ax=ax), "low must have a row for each of the 40 times.*39"),
        (lambda ax: forecast_band([], [], [], ax=ax), "no rows to draw"),
        (lambda ax: alarm_scores(TIMES, SEEN, 1.0, alarms=ALARMS[1:], ax=ax), "alarms must have a row for each"),
        (lambda ax: detection(frame(), 1.0, axes=[ax, ax]), "detector.explain"),
        (lambda ax: detection(frame(alarm=ALARMS), 1.0, axes=[ax]), "axes must be 2.*got 1"),
        (lambda ax: detection(frame(alarm=ALARMS), 1.0, targets=["a", "b"], axes=[ax]), "one target, got 2"),
        (lambda ax: detection(frame(alarm=ALARMS), 1.0, time="when", axes=[ax, ax]), "no column 'when'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(ax: Axes, call: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        call(ax)


def test_more_targets_than_a_figure_holds_are_refused() -> None:
    names = [f"x{i}" for i in range(7)]
    columns = {f"{name}:{what}": SEEN for name in names for what in ("observed", "low", "high")}
    found = pd.DataFrame({"score": SEEN, **columns, "alarm": ALARMS})
    with pytest.raises(InputError, match="holds 6 targets, got 7; name some of them with targets="):
        detection(found, 1.0)
    with pytest.raises(InputError, match="no target 'y'"):
        detection(found, 1.0, targets=["x0", "y"])
