"""The wheel: one for every CPython from 3.11 on, small, with the C sources the exporter copies from."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from abi3info import FUNCTIONS
from abi3info.models import PyVersion, Symbol

ROOT = Path(__file__).parents[1]
MODULE = "gatewise/_core.abi3.so"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from this tree with the build tools of this environment, which compile what has changed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    built = subprocess.run(
        [*pip, "--config-settings=build-dir=" + str(ROOT / "build" / "wheel"), "--wheel-dir", str(folder), str(ROOT)],
        env=os.environ | {"PATH": tools},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, unpacked."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_one_wheel_for_all_versions(wheel: Path) -> None:
    assert wheel.name.split("-")[2:4] == ["cp311", "abi3"]


def test_size(wheel: Path) -> None:
    assert wheel.stat().st_size <= 1_500_000


def test_ships_what_the_exporter_copies(installed: Path) -> None:
    package = ROOT / "src" / "gatewise"
    sources = {p.relative_to(package) for pattern in ("*.c", "*.h") for p in package.rglob(pattern)}
    sources = {p for p in sources if p.parts[:2] not in (("native", "tests"), ("native", "fuzz"))}
    shipped = {p.relative_to(installed / "gatewise") for pattern in ("*.c", "*.h") for p in installed.rglob(pattern)}
    assert sources
    assert shipped == sources
    assert (installed / "gatewise" / "py.typed").is_file()


def test_light_by_default(installed: Path) -> None:
    (metadata,) = installed.glob("*.dist-info/METADATA")
    requires = message_from_bytes(metadata.read_bytes()).get_all("Requires-Dist", [])
    always = {requirement.split(">")[0] for requirement in requires if "extra ==" not in requirement}
    assert always == {"numpy", "safetensors", "click"}


@pytest.mark.skipif(sys.platform != "linux", reason="nm reads ELF here")
def test_module_keeps_to_the_stable_abi(installed: Path) -> None:
    def symbols(which: str) -> set[str]:
        command = ["nm", "--dynamic", "--format=posix", which, str(installed / MODULE)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return {line.split()[0].split("@")[0] for line in lines}

    used = {name for name in symbols("--undefined-only") if name.startswith(("Py", "_Py"))}
    data = {name for name in used if name.endswith(("_Type", "Struct")) or name.startswith("PyExc_")}
    functions = {name: FUNCTIONS.get(Symbol(name)) for name in used - data}
    assert functions
    unstable = {name for name, known in functions.items() if not known or known.added > PyVersion(3, 11)}
    assert unstable == set()
    assert symbols("--defined-only") == {"PyInit__core"}


def test_module_loads_from_the_wheel(installed: Path) -> None:
    # -S leaves out the in-place install of this environment; NumPy is then found by hand.
    code = f"""
import sys
sys.path[:0] = [{str(installed)!r}]
sys.path.append({sysconfig.get_paths()["purelib"]!r})
from gatewise import _core
print(_core.__file__, _core.instruction_sets()[-1])
"""
    ran = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(installed / MODULE), "base"]
