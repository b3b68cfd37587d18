"""The site is built without a warning, and has every public name."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import gatewise
import gatewise.baselines
import gatewise.figures
import gatewise.importers
import gatewise.measure
import gatewise.report
import gatewise.train
from docs.scripts import DOCS
from gatewise import errors

pytest.importorskip("sphinx", reason="the docs extra is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    strict = ["--nitpicky", "--fail-on-warning", "--keep-going", "--quiet"]
    command = [sys.executable, "-m", "sphinx", *strict, "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.mark.slow
def test_every_public_name_is_described(site: Path) -> None:
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    known = {name for name, kind, *_ in map(str.split, inventory.splitlines()) if kind.startswith("py:")}
    modules = (
        gatewise,
        gatewise.train,
        gatewise.measure,
        gatewise.importers,
        gatewise.figures,
        gatewise.report,
        gatewise.baselines,
    )
    public = {module.__name__: module for module in modules}
    wanted = {f"{where}.{name}" for where, module in public.items() for name in module.__all__}
    own = [value for value in vars(errors).values() if getattr(value, "__module__", None) == errors.__name__]
    wanted |= {f"gatewise.errors.{value.__name__}" for value in own if not value.__name__.startswith("_")}
    assert wanted - known == set()


@pytest.mark.slow
def test_pages_hold_what_they_are_made_from(site: Path) -> None:
    kinds = (site / "api" / "kinds.html").read_text()
    for family in (gatewise.layers, gatewise.inputs, gatewise.heads):
        for kind in family.KINDS:
            assert f'id="{kind.replace("_", "-")}"' in kinds
    assert "gw_run_batch" in (site / "c.html").read_text()
    assert "gatewise train" in (site / "cli.html").read_text()
