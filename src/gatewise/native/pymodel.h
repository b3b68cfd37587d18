/* gatewise._core.Model, for pymodule.c: a packed model, which never changes and which any number of threads may use. */
#ifndef GW_PYMODEL_H
#define GW_PYMODEL_H

#include "clock.h"
#include "model.h"
#include "pycommon.h"
#include "pygraph.h"

#include <math.h>
#include <stdio.h>

typedef struct Model {
    PyObject_HEAD const gw_model *model;
    const gw_sizes *sizes;
    const module_state *module;
    void *memory;
    PyObject *columns; /* names of the inputs, a tuple, or None */
    int refuse_nonfinite;
} Model;

/* Raises StateError: a state cannot have this value at this position. `where` is a format with %zu for `which`. Returns
 * NULL. */
static PyObject *refuse_state(const char *where, size_t which, size_t place, float value) {
    PyObject *text = PyUnicode_FromFormat(where, which), *number = PyFloat_FromDouble((double)value);
    if (text && number)
        raise("StateError", "%U is not valid: value %zu is %R; start again from zeros or from a state saved before",
              text, place, number);
    Py_XDECREF(text);
    Py_XDECREF(number);
    return NULL;
}

/* Raises InputError: this value of input i is missing. `where` says which value it is. Returns NULL. */
static PyObject *refuse_reading(const Model *model, PyObject *where, size_t i, float value) {
    char text[64];
    if (value - value != 0.0f)
        snprintf(text, sizeof text, "%s", value != value ? "nan" : value > 0.0f ? "inf" : "-inf");
    else
        snprintf(text, sizeof text, "%g, %s", (double)value, gw_why_missing(model->model, i, value));
    PyObject *name = !where ? NULL
                     : model->columns == Py_None
                         ? PyUnicode_FromString("")
                         : PyUnicode_FromFormat(" (%R)", PyTuple_GetItem(model->columns, (Py_ssize_t)i));
    if (name)
        raise("InputError",
              "%U%U is %s; this model does not accept missing values: fill them in, or use an input stage with "
              "missing \"hold\" or \"mask\"",
              where, name, text);
    Py_XDECREF(name);
    Py_XDECREF(where);
    return NULL;
}

/* Raises SpecError for a fault. Returns NULL. */
static PyObject *raise_fault(const gw_fault *fault, const gw_graph *graph, const char *cpu) {
    if (fault->status == GW_UNKNOWN_CPU)
        return raise("SpecError", "cpu '%s' is not available here; the fastest of this build on this processor is %s",
                     cpu, gw_cpu(0));
    PyObject *where = fault->node < 0
                          ? PyUnicode_FromString("graph")
                          : PyUnicode_FromFormat("node %d (%s)", fault->node, graph->nodes[fault->node].kind);
    PyObject *index = fault->index < 0 ? PyUnicode_FromString("") : PyUnicode_FromFormat(", position %d", fault->index);
    if (where && index)
        raise("SpecError", "%U%U: %s: got [%zu, %zu], expected [%zu, %zu]", where, index, gw_text(fault->status),
              fault->got[0], fault->got[1], fault->expected[0], fault->expected[1]);
    Py_XDECREF(where);
    Py_XDECREF(index);
    return NULL;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"nodes", "widths", "output", "refuse_nonfinite", "cpu", "window", "hold", "columns", NULL};
    const module_state *module = PyType_GetModuleState(type);
    pygraph g = {0};
    gw_fault fault;
    gw_sizes sizes;
    PyObject *nodes, *widths, *columns = Py_None;
    const char *cpu = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOip|zipO:Model", names, &nodes, &widths, &g.graph.output,
                                     &g.graph.refuse_nonfinite, &cpu, &g.graph.window, &g.graph.hold, &columns))
        return NULL;
    Model *self = NULL;
    if (pygraph_fill(&module->np, &g, nodes, widths)) goto done;
    if (gw_measure(&g.graph, cpu, &sizes, &fault) != GW_OK) {
        raise_fault(&fault, &g.graph, cpu);
        goto done;
    }
    self = (Model *)PyType_GenericAlloc(type, 0);
    void *arena = self ? aligned_block(sizes.model_bytes, &self->memory) : NULL;
    if (!arena) {
        Py_CLEAR(self);
        goto done;
    }
    if (columns != Py_None && (!PyTuple_Check(columns) || PyTuple_Size(columns) != sizes.inputs)) {
        PyErr_Format(PyExc_ValueError, "columns must be a tuple of %d names, got %R", sizes.inputs, columns);
        Py_CLEAR(self);
        goto done;
    }
    Py_INCREF(columns);
    self->columns = columns;
    self->module = module;
    self->refuse_nonfinite = g.graph.refuse_nonfinite;
    if (gw_build(&g.graph, cpu, arena, sizes.model_bytes, &self->model, &fault) != GW_OK) {
        raise_fault(&fault, &g.graph, cpu);
        Py_CLEAR(self);
        goto done;
    }
    self->sizes = gw_model_sizes(self->model);
done:
    pygraph_free(&g);
    return (PyObject *)self;
}

static void model_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    PyMem_Free(((Model *)object)->memory);
    Py_XDECREF(((Model *)object)->columns);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* Traverses the type; Model and Stream add their own members. */
static int traverse_type(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int model_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((Model *)object)->columns);
    return traverse_type(object, visit, arg);
}

static PyObject *model_run(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"x", "state", "out", NULL};
    const Model *self = (Model *)object;
    const gw_sizes *sizes = self->sizes;
    const np_api *np = &self->module->np;
    const intptr_t inputs = sizes->inputs, outputs = sizes->outputs, floats = (intptr_t)sizes->state_floats;
    PyObject *x, *state, *out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:run", names, &x, &state, &out)) return NULL;
    if (!np_is_float32(np, x, 3, 0) || np_dim(x, 2) != inputs)
        return refuse_array(np, "run: x", x, "C-contiguous float32 (batch, time, %zd)", inputs);
    const intptr_t batch = np_dim(x, 0), time = np_dim(x, 1);
    if (!np_is_float32(np, state, 2, NP_WRITEABLE) || np_dim(state, 0) != batch || np_dim(state, 1) != floats)
        return refuse_array(np, "run: state", state, "writable C-contiguous float32 (%zd, %zd)", batch, floats);
    if (!np_is_float32(np, out, 3, NP_WRITEABLE) || np_dim(out, 0) != batch || np_dim(out, 1) != time ||
        np_dim(out, 2) != outputs)
        return refuse_array(np, "run: out", out, "writable C-contiguous float32 (%zd, %zd, %zd)", batch, time, outputs);
    const size_t x_row = (size_t)(time * inputs), y_row = (size_t)(time * outputs), s_row = (size_t)floats;
    const size_t x_count = (size_t)batch * x_row, y_count = (size_t)batch * y_row, s_count = (size_t)batch * s_row;
    const float *xs = np_data(x);
    float *states = np_data(state), *ys = np_data(out);
    const size_t f = sizeof(float);
    if (overlap(xs, x_count * f, ys, y_count * f) || overlap(xs, x_count * f, states, s_count * f) ||
        overlap(ys, y_count * f, states, s_count * f))
        return raise("InputError", "run: x, state and out must not share memory; pass a copy");
    void *memory;
    char *scratch = aligned_block(gw_scratch_bytes(self->model, (size_t)batch, (size_t)time), &memory);
    if (!scratch) return NULL;

    PyThreadState *released = sizes->push_macs * (uint64_t)(batch * time) >= release_work ? PyEval_SaveThread() : NULL;
    size_t row = 0, bad_state = s_row;
    for (; row < (size_t)batch && (bad_state = gw_bad_state(self->model, states + row * s_row)) == s_row;) row++;
    const size_t bad = self->refuse_nonfinite ? gw_first_unusable(self->model, xs, x_count) : x_count;
    if (bad == x_count && bad_state == s_row)
        gw_run_checked(self->model, (size_t)batch, (size_t)time, xs, states, ys, scratch);
    if (released) PyEval_RestoreThread(released);
    PyMem_Free(memory);
    if (bad_state < s_row)
        return refuse_state("run: the state of row %zu", row, bad_state, states[row * s_row + bad_state]);
    if (bad < x_count)
        return refuse_reading(self,
                              PyUnicode_FromFormat("run: input %zu at step %zu of row %zu", bad % (size_t)inputs,
                                                   bad % x_row / (size_t)inputs, bad / x_row),
                              bad % (size_t)inputs, xs[bad]);
    Py_RETURN_NONE;
}

static PyObject *model_time_steps(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"steps", NULL};
    const Model *self = (Model *)object;
    const gw_sizes *sizes = self->sizes;
    Py_ssize_t steps;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n:time_steps", names, &steps)) return NULL;
    if (steps < 1) return raise("InputError", "time_steps: steps must be at least 1, got %zd", steps);
    void *memory;
    const size_t inputs = (size_t)sizes->inputs, outputs = (size_t)sizes->outputs;
    char *scratch =
        aligned_block(sizes->scratch_bytes + (inputs + outputs + sizes->state_floats) * sizeof(float), &memory);
    if (!scratch) return NULL;
    float *x = (float *)(void *)(scratch + sizes->scratch_bytes), *y = x + inputs, *state = y + outputs;
    for (size_t i = 0; i < inputs; i++) x[i] = (float)(i % 7) * 0.25f - 0.75f;
    PyThreadState *released = PyEval_SaveThread();
    const double start = gw_now();
    for (Py_ssize_t i = 0; i < steps; i++) gw_step(self->model, x, state, y, scratch);
    const double seconds = gw_now() - start;
    PyEval_RestoreThread(released);
    PyMem_Free(memory);
    return PyFloat_FromDouble(seconds / (double)steps);
}

static PyObject *model_cpu(PyObject *self, void *closure) {
    (void)closure;
    return PyUnicode_FromString(gw_model_cpu(((Model *)self)->model));
}

enum { INPUTS, OUTPUTS, STATE_FLOATS, PACKED_BYTES };

static PyObject *model_size(PyObject *self, void *closure) {
    const gw_sizes *sizes = ((Model *)self)->sizes;
    const size_t values[] = {(size_t)sizes->inputs, (size_t)sizes->outputs, sizes->state_floats, sizes->model_bytes};
    return PyLong_FromSize_t(values[(intptr_t)closure]);
}

static PyMethodDef model_methods[] = {
    {"run", (PyCFunction)(void (*)(void))model_run, METH_VARARGS | METH_KEYWORDS,
     "run($self, /, x, state, out)\n--\n\nRun a batch of sequences; see _core.pyi."},
    {"time_steps", (PyCFunction)(void (*)(void))model_time_steps, METH_VARARGS | METH_KEYWORDS,
     "time_steps($self, /, steps)\n--\n\nSeconds for one step, measured in a loop without Python."},
    {0},
};

static PyGetSetDef model_attributes[] = {
    {"cpu", model_cpu, NULL, "The instruction set that the model runs on.", NULL},
    {"inputs", model_size, NULL, "Values that each step reads.", (void *)(intptr_t)INPUTS},
    {"outputs", model_size, NULL, "Values that each step writes.", (void *)(intptr_t)OUTPUTS},
    {"state_floats", model_size, NULL, "Values in the state of one session.", (void *)(intptr_t)STATE_FLOATS},
    {"packed_bytes", model_size, NULL, "Bytes of the packed weights.", (void *)(intptr_t)PACKED_BYTES},
    {0},
};

static PyType_Slot model_slots[] = {
    {Py_tp_doc, "Model(nodes, widths, output, refuse_nonfinite, cpu=None, window=0, hold=False, columns=None)\n--\n\n"
                "A packed model; immutable."},
    {Py_tp_new, model_new},
    {Py_tp_dealloc, model_dealloc},
    {Py_tp_traverse, model_traverse},
    {Py_tp_methods, model_methods},
    {Py_tp_getset, model_attributes},
    {0, NULL},
};

static PyType_Spec model_spec = {
    .name = "gatewise._core.Model",
    .basicsize = sizeof(Model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = model_slots,
};

#endif
