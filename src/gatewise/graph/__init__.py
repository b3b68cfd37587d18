"""Resolve a ModelSpec to a checked graph, and run a graph in the NumPy reference."""

from gatewise.graph.graph import Graph as Graph
from gatewise.graph.graph import Node as Node
from gatewise.graph.reference import Trace as Trace
from gatewise.graph.reference import reference_run as reference_run
from gatewise.graph.reference import reference_trace as reference_trace
from gatewise.graph.reference import zero_state as zero_state
from gatewise.graph.resolve import resolve as resolve
from gatewise.graph.resolve import with_options as with_options
from gatewise.graph.tensors import check_tensors as check_tensors
from gatewise.graph.tensors import initial_tensors as initial_tensors
from gatewise.graph.tensors import own_tensors as own_tensors
from gatewise.graph.tensors import stage_tensors as stage_tensors
