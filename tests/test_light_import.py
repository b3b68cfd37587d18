"""The light install: to load, stream, measure and save a model takes NumPy, safetensors and click, and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

import gatewise

HEAVY = (
    "torch",
    "pandas",
    "pyarrow",
    "sklearn",
    "scipy",
    "statsmodels",
    "matplotlib",
    "jinja2",
    "rich",
    "onnx",
    "onnxruntime",
)
# Blocks the heavy packages as if they were not installed, and says who asked.
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""
CHECK = f"""
heavy = set({HEAVY!r}) & {{name.partition(".")[0] for name in sys.modules}}
assert not heavy, heavy
print("light")
"""


def light(code: str, *arguments: str) -> None:
    command = [sys.executable, "-W", "error", "-c", BLOCK + code + CHECK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "light\n"), done.stderr


def test_a_model_is_made_saved_loaded_and_streamed(tmp_path: Path) -> None:
    code = """
import numpy as np
import gatewise as gw

spec = gw.ModelSpec(
    input=gw.LayerSpec("numeric", width=3, scaling="standard", missing="hold"),
    layers=[gw.LayerSpec("gru", units=8), gw.LayerSpec("dense", units=2)],
    head=gw.LayerSpec("tail_probability", smooth=4),
)
path = sys.argv[1]
gw.init(spec, seed=3).save(path)
model = gw.load(path)
x = np.random.default_rng(0).normal(size=(20, 3))
stream = model.stream()
stream.push_many(x[:10])
again = model.stream(stream.save())
answers = [again.push(row) for row in x[10:]]
assert np.array_equal(answers, model.run(x)[10:])
assert "gru0" in repr(model)
try:
    model.run([["a", "b", "c"]])
except gw.errors.InputError:
    pass
"""
    light(code, str(tmp_path / "model.safetensors"))


def light_modules() -> list[str]:
    """Every module of the package that is not for training, by name."""
    root = Path(gatewise.__file__).parent
    heavy = {"train", "tasks", "baselines", "comparison", "assessment", "tables", "figures", "report", "demo"}
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if heavy & set(parts) or parts[1] == "nn" or parts[1:] == ("measure", "gradients"):
            continue
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def test_every_light_module_can_be_imported() -> None:
    modules = light_modules()
    assert "gatewise.stream" in modules
    assert "gatewise.layers.gru.spec" in modules
    light(f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)\n")


def test_importing_gatewise_alone_imports_nothing() -> None:
    # Not even NumPy: names are imported when they are first used.
    code = "before = set(sys.modules)\nimport gatewise\nassert 'numpy' not in set(sys.modules) - before\n"
    light(code + "assert gatewise.__version__\nassert {'init', 'load', 'Model'} <= set(dir(gatewise))\n")


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'gatewise' has no attribute 'lstm'"):
        _ = gatewise.lstm  # type: ignore[attr-defined]


def test_every_exported_name_exists() -> None:
    for name in gatewise.__all__:
        assert getattr(gatewise, name) is not None


@pytest.mark.parametrize(
    "name", ["train", "Detector", "Forecaster", "measure.gradients", "figures", "report", "baselines.Forecaster"]
)
def test_what_needs_the_extra_says_how_to_get_it(name: str) -> None:
    light(f"""
import gatewise
try:
    gatewise.{name}
except gatewise.errors.MissingExtraError as error:
    assert "pip install 'gatewise[train]'" in str(error), error
    assert isinstance(error, ImportError)
else:
    raise AssertionError("imported without its packages")
""")
