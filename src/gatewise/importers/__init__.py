"""Import models of other libraries: `load` reads a file, recognises its format by its content, and returns a `Model`.

There is one folder for each format. A file is treated as data: nothing in it is unpickled or executed. Everything that
gatewise cannot represent exactly is an error that names it. The provenance of the model records where each weight came
from and which conventions were converted; `origins` returns this record. `check` compares the answers of the model with
those of the library from which it came.
"""

from gatewise.importers.check import Check, check
from gatewise.importers.load import load
from gatewise.importers.origins import Imported, Origin, origins

__all__ = ["Check", "Imported", "Origin", "check", "load", "origins"]
