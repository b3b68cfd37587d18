"""How much time do `import gatewise`, and loading and streaming a first model, add to `import numpy`?

    python benchmarks/imports.py [--rounds 15]

Each is measured in a new interpreter, in turn. The figures are medians in milliseconds: of the whole process, and of
its difference in each round to the process that only imports NumPy.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import gatewise as gw
from common import interleave, record

PROGRAMS = {
    "import numpy": "import numpy",
    "import gatewise": "import numpy, gatewise",
    "load and stream": "import numpy, gatewise; gatewise.load({path!r}).stream().push(numpy.zeros(16, 'f'))",
}


def main() -> None:
    """Measure, print, write results/imports.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.safetensors")
        gw.init(gw.ModelSpec(inputs=16, layers=[gw.LayerSpec("gru", units=64)])).save(path)

        def starts(program: str) -> None:
            subprocess.run([sys.executable, "-c", program.format(path=path)], check=True)

        contestants = {
            name: lambda count, program=program: [starts(program) for _ in range(count)] and None
            for name, program in PROGRAMS.items()
        }
        times = interleave(contestants, rounds, seconds=0.1)
    results = {
        name: {
            "milliseconds": 1e3 * statistics.median(taken),
            "added": 1e3 * statistics.median(t - base for t, base in zip(taken, times["import numpy"], strict=True)),
        }
        for name, taken in times.items()
    }
    for name, row in results.items():
        print(f"{name:<16} {row['milliseconds']:>7.1f} ms   added to import numpy: {row['added']:>6.1f} ms")
    print(f"written to {record('imports', results)}")


if __name__ == "__main__":
    main()
