/* gatewise._core: the only translation unit of the core that uses Python. Its classes and functions are in py*.h, and
 * _core.pyi documents them. It is written for the limited API of 3.11, but also compiles without it, for free-threaded
 * builds; no static variable is ever written. */
#include "pymodel.h"
#include "pypool.h"
#include "pyscan.h"
#include "pytrain.h"

static const gw_isa *isa_named(const char *cpu) {
    const gw_isa *isa = gw_find_isa(cpu);
    if (!isa) raise_fault(&(gw_fault){.status = GW_UNKNOWN_CPU}, NULL, cpu);
    return isa;
}

static PyObject *instruction_sets(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int count = 0;
    while (gw_cpu(count)) count++;
    PyObject *names = PyTuple_New(count);
    for (int i = 0; names && i < count; i++) {
        PyObject *name = PyUnicode_FromString(gw_cpu(i));
        if (!name || PyTuple_SetItem(names, i, name)) Py_CLEAR(names);
    }
    return names;
}

static PyObject *bandwidth(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"nbytes", "cpu", NULL};
    Py_ssize_t bytes;
    const char *cpu = NULL;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|z:bandwidth", names, &bytes, &cpu)) return NULL;
    const gw_isa *isa = isa_named(cpu);
    if (!isa) return NULL;
    if (bytes < 1) return raise("InputError", "bandwidth: nbytes must be at least 1, got %zd", bytes);
    PyThreadState *released = PyEval_SaveThread();
    const double rate = isa->read_bandwidth((size_t)bytes, 0.05);
    PyEval_RestoreThread(released);
    return rate > 0.0 ? PyFloat_FromDouble(rate) : PyErr_NoMemory();
}

static PyObject *fma_peak(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"cpu", NULL};
    const char *cpu = NULL;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|z:fma_peak", names, &cpu)) return NULL;
    const gw_isa *isa = isa_named(cpu);
    if (!isa) return NULL;
    PyThreadState *released = PyEval_SaveThread();
    const double rate = isa->fma_peak(0.05);
    PyEval_RestoreThread(released);
    return PyFloat_FromDouble(rate);
}

static PyMethodDef module_functions[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS,
     "instruction_sets()\n--\n\nInstruction sets that can be used here, best first."},
    {"bandwidth", (PyCFunction)(void (*)(void))bandwidth, METH_VARARGS | METH_KEYWORDS,
     "bandwidth(nbytes, cpu=None)\n--\n\nBytes per second that one core reads from a buffer of nbytes."},
    {"fma_peak", (PyCFunction)(void (*)(void))fma_peak, METH_VARARGS | METH_KEYWORDS,
     "fma_peak(cpu=None)\n--\n\nFLOP per second of one core."},
    {"train_saved", train_saved, METH_VARARGS,
     "train_saved(kind, options, inputs, rows, hidden, is_double, cpu, /)\n--\n\n"
     "How many numbers a kernel saves for the backward pass, for each row and step."},
    {"train_forward", train_forward, METH_VARARGS,
     "train_forward(kind, options, x, first, tensors, lengths, resets, out, last, saved, shares, team, cpu, /)\n--\n\n"
     "Run a recurrent layer over whole sequences."},
    {"train_backward", train_backward, METH_VARARGS,
     "train_backward(kind, options, x, first, tensors, lengths, resets, out, saved, d_out, d_last, d_x, d_first, "
     "d_tensors, shares, team, cpu, /)\n--\n\nThe gradient of train_forward."},
    {"scan_forward", scan_forward, METH_VARARGS,
     "scan_forward(is_complex, a, b, first, lengths, resets, h, last, shares, team, cpu, /)\n--\n\n"
     "h[t] = a[t] h[t-1] + b[t] over whole sequences."},
    {"scan_backward", scan_backward, METH_VARARGS,
     "scan_backward(is_complex, a, first, lengths, resets, h, d_h, d_last, d_a, d_b, d_first, shares, team, cpu, /)"
     "\n--\n\nThe gradient of scan_forward."},
    {0},
};

static int module_exec(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    if (np_import(&state->np)) return -1;
    if (!(state->name_x = PyUnicode_InternFromString("x"))) return -1;
    if (!(state->name_out = PyUnicode_InternFromString("out"))) return -1;
    if (!(state->model_type = PyType_FromModuleAndSpec(module, &model_spec, NULL))) return -1;
    if (!(state->stream_type = PyType_FromModuleAndSpec(module, &stream_spec, NULL))) return -1;
    if (!(state->pool_type = PyType_FromModuleAndSpec(module, &pool_spec, NULL))) return -1;
    if (PyModule_AddObjectRef(module, "Model", state->model_type)) return -1;
    if (PyModule_AddObjectRef(module, "Pool", state->pool_type)) return -1;
    return PyModule_AddObjectRef(module, "Stream", state->stream_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    module_state *state = PyModule_GetState(module);
    Py_VISIT(state->np.type);
    Py_VISIT(state->np.float32);
    Py_VISIT(state->np.float64);
    Py_VISIT(state->np.int64);
    Py_VISIT(state->np.boolean);
    Py_VISIT(state->model_type);
    Py_VISIT(state->stream_type);
    Py_VISIT(state->pool_type);
    return 0;
}

static int module_clear(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->np.type);
    Py_CLEAR(state->np.float32);
    Py_CLEAR(state->np.float64);
    Py_CLEAR(state->np.int64);
    Py_CLEAR(state->np.boolean);
    Py_CLEAR(state->name_x);
    Py_CLEAR(state->name_out);
    Py_CLEAR(state->model_type);
    Py_CLEAR(state->stream_type);
    Py_CLEAR(state->pool_type);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "gatewise._core",
    .m_doc = "The native core of gatewise.",
    .m_size = sizeof(module_state),
    .m_methods = module_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&module_definition); }
