/* From the Python description of a graph to gw_graph, for pymodule.c.
 *
 *     nodes    [(kind, reads, writes, options, tensors), ...]    str, ints, int, floats, float32 arrays of 1 or 2 axes
 *     widths   [int, ...]                                        of each edge
 */
#ifndef GW_PYGRAPH_H
#define GW_PYGRAPH_H

#include "gatewise.h"
#include "ndarray.h"

typedef struct pygraph {
    gw_graph graph;
    gw_node *nodes;
    int *widths;
    PyObject *keep; /* a list of the tuples whose strings and arrays the graph points to */
} pygraph;

static void pygraph_free(pygraph *g) {
    for (int i = 0; g->nodes && i < g->graph.node_count; i++) {
        PyMem_Free((void *)g->nodes[i].reads);
        PyMem_Free((void *)g->nodes[i].options);
        PyMem_Free((void *)g->nodes[i].tensors);
    }
    PyMem_Free(g->nodes);
    PyMem_Free(g->widths);
    Py_XDECREF(g->keep);
}

/* A sequence as a tuple, of which the graph keeps a reference; count is its length. Borrowed, or NULL with an
 * exception. */
static PyObject *kept_tuple(pygraph *g, PyObject *sequence, int *count) {
    PyObject *tuple = PySequence_Tuple(sequence);
    if (!tuple) return NULL;
    const Py_ssize_t size = PyTuple_Size(tuple);
    const int failed = PyList_Append(g->keep, tuple);
    Py_DECREF(tuple);
    if (failed) return NULL;
    if (size > GW_MOST_NODES) {
        PyErr_Format(PyExc_ValueError, "a graph has at most %d nodes, edges, options or tensors, got %zd",
                     GW_MOST_NODES, size);
        return NULL;
    }
    *count = (int)size;
    return tuple;
}

/* The values of a sequence of ints. NULL with an exception. */
static int *int_array(pygraph *g, PyObject *sequence, int *count) {
    PyObject *tuple = kept_tuple(g, sequence, count);
    int *values = tuple ? PyMem_Calloc((size_t)*count + 1, sizeof *values) : NULL;
    if (tuple && !values) PyErr_NoMemory();
    for (int i = 0; values && i < *count; i++) {
        const long value = PyLong_AsLong(PyTuple_GetItem(tuple, i));
        if (value == -1 && PyErr_Occurred()) {
            PyMem_Free(values);
            return NULL;
        }
        values[i] = value < -1 || value > INT32_MAX ? -1 : (int)value; /* gw_measure refuses -1 */
    }
    return values;
}

static float *float_array(pygraph *g, PyObject *sequence, int *count) {
    PyObject *tuple = kept_tuple(g, sequence, count);
    float *values = tuple ? PyMem_Calloc((size_t)*count + 1, sizeof *values) : NULL;
    if (tuple && !values) PyErr_NoMemory();
    for (int i = 0; values && i < *count; i++) {
        const double value = PyFloat_AsDouble(PyTuple_GetItem(tuple, i));
        if (value == -1.0 && PyErr_Occurred()) {
            PyMem_Free(values);
            return NULL;
        }
        values[i] = (float)value;
    }
    return values;
}

static gw_tensor *tensor_array(const np_api *np, pygraph *g, PyObject *sequence, int *count) {
    PyObject *tuple = kept_tuple(g, sequence, count);
    gw_tensor *tensors = tuple ? PyMem_Calloc((size_t)*count + 1, sizeof *tensors) : NULL;
    if (tuple && !tensors) PyErr_NoMemory();
    for (int i = 0; tensors && i < *count; i++) {
        PyObject *array = PyTuple_GetItem(tuple, i);
        const int vector = np_is_float32(np, array, 1, 0);
        if (!vector && !np_is_float32(np, array, 2, 0)) {
            PyErr_Format(PyExc_TypeError, "tensor %d must be a C-contiguous float32 array of 1 or 2 axes", i);
            PyMem_Free(tensors);
            return NULL;
        }
        tensors[i] = (gw_tensor){np_data(array), (size_t)np_dim(array, 0), vector ? 1 : (size_t)np_dim(array, 1)};
    }
    return tensors;
}

static int pygraph_node(const np_api *np, pygraph *g, gw_node *node, PyObject *description) {
    int count;
    PyObject *tuple = kept_tuple(g, description, &count), *reads, *options, *tensors;
    if (!tuple || !PyArg_ParseTuple(tuple, "sOiOO;a node is (kind, reads, writes, options, tensors)", &node->kind,
                                    &reads, &node->writes, &options, &tensors))
        return -1;
    if (!(node->reads = int_array(g, reads, &node->read_count))) return -1;
    if (!(node->options = float_array(g, options, &node->option_count))) return -1;
    if (!(node->tensors = tensor_array(np, g, tensors, &node->tensor_count))) return -1;
    return 0;
}

/* Returns 0, or -1 with an exception. In both cases the caller must call pygraph_free. */
static int pygraph_fill(const np_api *np, pygraph *g, PyObject *nodes, PyObject *widths) {
    if (!(g->keep = PyList_New(0))) return -1;
    PyObject *tuple = kept_tuple(g, nodes, &g->graph.node_count);
    if (!tuple) return -1;
    if (!(g->widths = int_array(g, widths, &g->graph.edge_count))) return -1;
    g->nodes = PyMem_Calloc((size_t)g->graph.node_count + 1, sizeof *g->nodes);
    if (!g->nodes) {
        PyErr_NoMemory();
        return -1;
    }
    g->graph.nodes = g->nodes;
    g->graph.widths = g->widths;
    for (int i = 0; i < g->graph.node_count; i++)
        if (pygraph_node(np, g, &g->nodes[i], PyTuple_GetItem(tuple, i))) return -1;
    return 0;
}

#endif
