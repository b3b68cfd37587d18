"""Does a detector warn when readings are no longer like those of its calibration, and only then?

    python benchmarks/drift.py [--seeds 2] [--rows 8000] [--steps 300] [--laws normal t3 ...]

Fits detectors on the clean series of `calibration.py`. Each then reads the 100,000 rows that follow. A warning there is
wrong if alarms occur at most at twice the rate that was set. Then the detector reads copies of the next 5,000 rows,
which change at the first of them: a shift of the level by five deviations of the series, a shift by five deviations of
its noise, a ramp, and noise five times as large. The table shows the row of the first warning; for the ramp, rows are
counted from the row at which it leaves the range of the training rows. Finally, alarms are drawn at random at ten and
fifty times the rate, 200 times each, to count how many rows the test needs.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from scipy import signal

from calibration import FRESH, LAWS, series
from common import record
from gatewise import Detector
from gatewise.drift import first_drift
from gatewise.heads.tail_probability.spec import Spec

CHANGED = 5_000


def changes(law: str, seed: int, rows: int) -> dict[str, np.ndarray]:
    """Rows after the training rows, with a change: name -> (CHANGED,)."""
    values = series(law, seed, rows + FRESH)
    after, deviation = values[rows : rows + CHANGED], values[:rows].std()
    noise = LAWS[law](np.random.default_rng([seed, *law.encode()]), rows + FRESH)
    louder = signal.lfilter([1.0], [1.0, -0.8], np.r_[noise[:rows], 5.0 * noise[rows : rows + CHANGED]])[rows:]
    season = after - signal.lfilter([1.0], [1.0, -0.8], noise)[rows : rows + CHANGED]
    return {
        "level shift by 5 deviations": after + 5.0 * deviation,
        "level shift by 5 deviations of the noise": after + 5.0 * np.subtract(*np.quantile(noise, [0.84, 0.16])) / 2.0,
        "ramp": after + np.linspace(0.0, 20.0 * deviation, CHANGED),
        "noise five times as large": louder + season,
    }


def measure(law: str, seed: int, rows: int, steps: int) -> dict[str, object]:
    """The row at which one detector warns on clean rows, and after each change; None = no warning."""
    values = series(law, seed, rows + FRESH).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = Detector(units=16, steps=steps, random_state=seed).fit(values[:rows])
        scores = -detector.score_samples(values[rows:], state=detector.state_)
    model = detector.model_
    clean = first_drift(model, values[rows:, None], detector.state_)
    found: dict[str, object] = {}
    for name, changed in changes(law, seed, rows).items():
        first = first_drift(model, changed.astype(np.float32)[:, None], detector.state_)
        begins = int(np.argmax(changed > values[:rows].max())) if name == "ramp" else 0
        found[name] = None if first is None else first[0] + 1 - begins
    return {
        "law": law,
        "seed": seed,
        "alarms per 1000": 1000.0 * float((scores >= detector.threshold_).mean()),
        "warned on clean rows": None if clean is None else clean[0] + 1,
        "rows to warning": found,
    }


def rows_until(multiple: float, runs: int = 200, most: int = 20_000) -> dict[str, float]:
    """Rows until the test of the rate warns, for independent alarms at a multiple of the rate that was set."""
    head = Spec(samples=10_000)
    start, factors = head.rate_test
    rng = np.random.default_rng(0)
    alarms = rng.random((runs, most)) < multiple * head.false_alarms_per_1000 / 1000.0
    evidence, first = np.zeros((runs, 2)), np.full(runs, most + 1)
    for t in range(most):
        ratio = np.where(alarms[:, t, None], factors[0::2], factors[1::2])
        evidence = np.where(evidence >= 1.0, evidence, (evidence + start) * ratio)
        first = np.where((first > most) & (evidence >= 1.0).any(axis=1), t + 1, first)
    return {"median": float(np.median(first)), "mean": float(first.mean()), "9 of 10": float(np.quantile(first, 0.9))}


def main() -> None:
    """Measure, print a table, write results/drift.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    options = parser.parse_args()
    cells = []
    for law in options.laws:
        for seed in range(options.seeds):
            cell = measure(law, seed, options.rows, options.steps)
            cells.append(cell)
            print(f"{law:<16}{seed:>3}  {cell['alarms per 1000']:6.2f}  {cell['warned on clean rows']}", flush=True)
            for name, row in cell["rows to warning"].items():
                print(f"{'':<21}{name:<42}{row}")
    wrong = [c for c in cells if c["warned on clean rows"] is not None and c["alarms per 1000"] <= 2.0]
    print(f"{len(wrong)} wrong warnings in {len(cells)} clean series of {FRESH:,} rows")
    rates = {f"{multiple:g}": rows_until(multiple) for multiple in (10.0, 50.0)}
    print("rows to the warning at so many times the stated rate:", rates)
    print(f"written to {record('drift', {'settings': vars(options), 'cells': cells, 'rates': rates})}")


if __name__ == "__main__":
    main()
