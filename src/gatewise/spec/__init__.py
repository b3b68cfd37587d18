"""The description of a model as plain data, which importers make, exporters read, and the native core and torch run.

A spec is an input stage, a flat list of named nodes, and a head. Each node reads the nodes named in its `sources`, by
default the node before it. It may read earlier nodes only, so a spec has no cycles. The options of a kind are defined
in its folder; `gatewise.graph.resolve` checks them and finds widths and shapes.
"""

from gatewise.spec.blocks import bidirectional as bidirectional
from gatewise.spec.blocks import residual as residual
from gatewise.spec.layer import LayerSpec as LayerSpec
from gatewise.spec.model import FORMAT as FORMAT
from gatewise.spec.model import ModelSpec as ModelSpec
from gatewise.spec.text import MOST_DEPTH as MOST_DEPTH
from gatewise.spec.text import MOST_JSON as MOST_JSON
from gatewise.spec.text import canonical_json as canonical_json
from gatewise.spec.text import parse_json as parse_json
from gatewise.spec.text import short as short
