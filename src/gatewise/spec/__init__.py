"""A model as plain data, the one description that everything else makes, reads or runs.

A spec is an input stage, a flat list of named nodes, and a head. Each node reads the nodes named in its `sources` (the
node before it, unless it says otherwise) and may read only what stands before it, so a spec has no cycles. What the
options of a kind mean is the business of its folder; `gatewise.graph.resolve` checks them and finds widths and shapes.
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
