"""Do false alarms come at the rate that was set? Trains detectors on clean series and counts alarms on new rows.

    python benchmarks/calibration.py [--seeds 5] [--rows 60000] [--steps 300] [--smooth 1] [--laws normal t3 ...]

Each series is x_t = a_t + 3 sin(2 pi t / 48), a_t = 0.8 a_{t-1} + e_t, where the noise e_t has one of ten distributions
(laws), and has no anomalies. A detector is fitted on the first rows and scores the 100,000 rows that follow. The table
shows the alarms in 1,000 rows for a rate of 1 in 1,000; they should be between 0.5 and 2. The last columns show, over
all seeds, the worst ratio of the measured rate to the rate set, for several rates, and the finest rate that the
calibration rows support.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy import signal

from common import record
from gatewise import Detector

FRESH = 100_000
RATES = (100.0, 10.0, 1.0, 0.1)

Noise = Callable[[np.random.Generator, int], np.ndarray]


def seasonal_scale(rng: np.random.Generator, n: int) -> np.ndarray:
    """Normal noise whose deviation goes from 0.3 to 1.7 and back in 48 steps, which a model can learn."""
    return rng.standard_normal(n) * (1.0 + 0.7 * np.sin(2 * np.pi * np.arange(n) / 48))


def garch(rng: np.random.Generator, n: int) -> np.ndarray:
    """GARCH(1, 1) (Bollerslev 1986): noise in bursts, which the last residuals can predict in part."""
    z, e, variance = rng.standard_normal(n), np.empty(n), 1.0
    for t in range(n):
        e[t] = variance**0.5 * z[t]
        variance = 0.1 + 0.1 * e[t] ** 2 + 0.8 * variance
    return e


LAWS: dict[str, Noise] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "laplace": lambda rng, n: rng.laplace(size=n),
    "t3": lambda rng, n: rng.standard_t(3, n),
    "t2": lambda rng, n: rng.standard_t(2, n),
    "uniform": lambda rng, n: rng.uniform(-1.7, 1.7, n),
    "lognormal": lambda rng, n: rng.lognormal(0.0, 1.0, n) - np.exp(0.5),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1.0,
    "outliers": lambda rng, n: rng.standard_normal(n) * np.where(rng.random(n) < 0.005, 10.0, 1.0),
    "seasonal scale": seasonal_scale,
    "garch": garch,
}


def series(law: str, seed: int, n: int) -> np.ndarray:
    """A clean series (n,) of the law."""
    noise = LAWS[law](np.random.default_rng([seed, *law.encode()]), n)
    return signal.lfilter([1.0], [1.0, -0.8], noise) + 3.0 * np.sin(2 * np.pi * np.arange(n) / 48)


def measure(law: str, seed: int, rows: int, steps: int, smooth: int) -> dict[str, object]:
    """One cell of the table: alarms in 1,000 new rows at each rate that was set."""
    values = series(law, seed, rows + FRESH)
    detector = Detector(units=16, smooth=smooth, steps=steps, random_state=seed)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector.fit(values[:rows])
    scores = -detector.score_samples(values[rows:], state=detector.state_)
    table = detector.calibration_
    return {
        "law": law,
        "seed": seed,
        "alarms per 1000": {f"{rate:g}": 1000 * float((scores >= 3 - np.log10(rate)).mean()) for rate in RATES},
        "calibration rows": table.samples,
        "independent rows": table.effective,
        "finest supported rate": table.finest_per_1000,
        "shape": table.shape,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Measure, print a table, write results/calibration.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--smooth", type=int, default=1)
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    options = parser.parse_args()
    print(f"alarms in 1,000 of {FRESH:,} fresh clean steps, 1 stated; {options.rows:,} rows fitted")
    seeds = "".join(f"{f'seed {seed}':>8}" for seed in range(options.seeds))
    print(f"{'law':<16}{seeds}   | worst ratio at {' '.join(f'{r:>6g}' for r in RATES)} | finest supported")
    cells = []
    for law in options.laws:
        row = []
        for seed in range(options.seeds):
            row.append(measure(law, seed, options.rows, options.steps, options.smooth))
        rates = {rate: [cell["alarms per 1000"][f"{rate:g}"] / rate for cell in row] for rate in RATES}
        worst = " ".join(f"{max(found, key=lambda r: abs(np.log(max(r, 1e-9)))):>6.2f}" for found in rates.values())
        ones = "".join(f"{value:>8.2f}" for value in rates[1.0])
        finest = max(float(cell["finest supported rate"]) for cell in row)
        print(f"{law:<16}{ones}   | {'':>14} {worst} | {finest:>8.2g}", flush=True)
        cells += row
    ones = [cell["alarms per 1000"]["1"] for cell in cells]
    inside = sum(0.5 <= value <= 2.0 for value in ones)
    print(f"{inside} of {len(ones)} cells between 0.5 and 2; lowest {min(ones):.2f}, highest {max(ones):.2f}")
    print(f"written to {record('calibration', {'settings': vars(options), 'cells': cells})}")


if __name__ == "__main__":
    main()
