/* The training kernels for Python: functions over NumPy arrays, float32 or float64, all checked before anything is run.
 * Reference: _core.pyi; what the arrays are: train.h. */
#ifndef GW_PYTRAIN_H
#define GW_PYTRAIN_H

#include "kernel.h"
#include "pycommon.h"

enum { MOST_OPTIONS = 16 };

typedef struct training {
    const char *function; /* its name, for messages */
    const np_api *np;
    const gw_train_kernel *kernel;
    PyObject *dtype; /* of the numbers: borrowed */
    double options[MOST_OPTIONS];
    gw_sequence s;
} training;

/* The kernel of a kind and its options: 0, or -1 with an exception. */
static int training_kernel(training *p, const char *kind, PyObject *options, const char *cpu, Py_ssize_t sums,
                           Py_ssize_t hidden) {
    const gw_isa *isa = gw_find_isa(cpu);
    const gw_train_kernel *const *kernels = p->dtype == p->np->float64 ? gw_train_kernels_double : NULL;
    if (!isa) {
        raise("SpecError", "%s: no instruction set '%s' here", p->function, cpu);
        return -1;
    }
    if (!kernels) kernels = isa->train_kernels;
    while (*kernels && strcmp((*kernels)->kind, kind)) kernels++;
    if (!(p->kernel = *kernels)) {
        raise("SpecError", "%s: '%s' has no training kernel (layers/%s/kernel_train.c)", p->function, kind, kind);
        return -1;
    }
    const Py_ssize_t count = PyTuple_Size(options);
    for (Py_ssize_t i = 0; i < count && i < MOST_OPTIONS; i++)
        p->options[i] = PyFloat_AsDouble(PyTuple_GetItem(options, i));
    if (PyErr_Occurred()) return -1;
    p->s.options = p->options;
    if (count > MOST_OPTIONS || sums < 0 || hidden < 0 ||
        !p->kernel->sizes(p->options, (size_t)count, (size_t)sums, (size_t)hidden, &p->s.sizes)) {
        raise("SpecError", "%s: '%s' has no such options, %zd of them, with sums of %zd and a hidden state of %zd",
              p->function, kind, count, sums, hidden);
        return -1;
    }
    return 0;
}

/* An array of the kernel's numbers with axes of these lengths; those from `nd` on are 1. */
static void *training_array(const training *p, const char *what, PyObject *array, int flags, int nd, size_t a, size_t b,
                            size_t c) {
    const size_t wanted[3] = {a, b, c};
    int fits = np_is(p->np, array, p->dtype, nd, flags);
    for (int i = 0; fits && i < nd; i++) fits = (size_t)np_dim(array, i) == wanted[i];
    if (fits) return np_data(array);
    const char *text = nd == 1 ? "%s%S (%zu,)" : nd == 2 ? "%s%S (%zu, %zu)" : "%s%S (%zu, %zu, %zu)";
    char name[64];
    PyOS_snprintf(name, sizeof name, "%s: %s", p->function, what);
    refuse_array(p->np, name, array, text, flags ? "writable C-contiguous " : "C-contiguous ", p->dtype, a, b, c);
    return NULL;
}

/* The arrays of a tuple, one for each field of the state. 0, or -1 with an exception. */
static int training_states(const training *p, const char *what, PyObject *tuple, int flags, const void **into) {
    const gw_sequence *s = &p->s;
    Py_ssize_t count = 0;
    while (count < GW_TRAIN_STATES && s->sizes.state[count]) count++;
    if (PyTuple_Size(tuple) != count) {
        raise("InputError", "%s: %s must hold %zd arrays, got %zd", p->function, what, count, PyTuple_Size(tuple));
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        if (!(into[k] = training_array(p, what, PyTuple_GetItem(tuple, k), flags, 2, s->batch, s->sizes.state[k], 1)))
            return -1;
    return 0;
}

static int training_tensors(training *p, PyObject *tuple) {
    gw_sequence *s = &p->s;
    const Py_ssize_t given = PyTuple_Size(tuple);
    Py_ssize_t at = 0;
    for (int k = 0; k < GW_TRAIN_TENSORS; k++) {
        const size_t rows = s->sizes.tensors[k].rows, cols = s->sizes.tensors[k].cols;
        if (!rows) continue;
        if (at == given) break;
        PyObject *array = PyTuple_GetItem(tuple, at);
        if (!(s->tensors[k] = training_array(p, "a tensor", array, 0, cols > 1 || at == 0 ? 2 : 1, rows, cols, 1)))
            return -1;
        at++;
    }
    Py_ssize_t wanted = 0;
    for (int k = 0; k < GW_TRAIN_TENSORS; k++) wanted += s->sizes.tensors[k].rows != 0;
    if (given == wanted) return 0;
    raise("InputError", "%s: tensors must hold %zd arrays, got %zd", p->function, wanted, given);
    return -1;
}

/* Lengths int64 (B,) from 0 to T, or None; resets bool (T, B), or None. */
static int training_rows(training *p, PyObject *lengths, PyObject *resets) {
    gw_sequence *s = &p->s;
    if (lengths != Py_None) {
        if (!np_is(p->np, lengths, p->np->int64, 1, 0) || (size_t)np_dim(lengths, 0) != s->batch) {
            refuse_array(p->np, "lengths", lengths, "C-contiguous int64 (%zu,)", s->batch);
            return -1;
        }
        s->lengths = (const int64_t *)(const void *)np_data(lengths);
        for (size_t i = 0; i < s->batch; i++)
            if (s->lengths[i] < 0 || (uint64_t)s->lengths[i] > s->time) {
                raise("InputError", "lengths must be from 0 to %zu, got %lld", s->time, (long long)s->lengths[i]);
                return -1;
            }
    }
    if (resets != Py_None) {
        if (!np_is(p->np, resets, p->np->boolean, 2, 0) || (size_t)np_dim(resets, 0) != s->time ||
            (size_t)np_dim(resets, 1) != s->batch) {
            refuse_array(p->np, "resets", resets, "C-contiguous bool (%zu, %zu)", s->time, s->batch);
            return -1;
        }
        s->resets = (const uint8_t *)(const void *)np_data(resets);
    }
    return 0;
}

/* What both directions take: kind, options, sums or out (T, B, ...), first, tensors, lengths, resets, share, cpu. */
static int training_begin(training *p, PyObject *module, const char *kind, PyObject *options, PyObject *out,
                          Py_ssize_t sums, PyObject *first, PyObject *tensors, PyObject *lengths, PyObject *resets,
                          const char *cpu) {
    p->np = &((module_state *)PyModule_GetState(module))->np;
    p->dtype = np_is(p->np, out, p->np->float64, 3, 0) ? p->np->float64 : p->np->float32;
    if (!np_is(p->np, out, p->dtype, 3, 0)) {
        refuse_array(p->np, "out", out, "C-contiguous float32 or float64 (time, batch, width)");
        return -1;
    }
    p->s.time = (size_t)np_dim(out, 0);
    p->s.batch = (size_t)np_dim(out, 1);
    if (p->s.shares < 1 || p->s.share >= p->s.shares) {
        raise("InputError", "%s: share must be from 0 to %zu, got %zu", p->function, p->s.shares - 1, p->s.share);
        return -1;
    }
    if (training_kernel(p, kind, options, cpu, sums, np_dim(out, 2))) return -1;
    if (training_states(p, "first", first, 0, p->s.first)) return -1;
    return training_tensors(p, tensors) || training_rows(p, lengths, resets) ? -1 : 0;
}

static PyObject *training_run(const training *p, int (*run)(const gw_sequence *)) {
    PyThreadState *released = PyEval_SaveThread();
    const int failed = run(&p->s);
    PyEval_RestoreThread(released);
    if (failed) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *train_sizes(PyObject *module, PyObject *args) {
    training p = {.function = "train_sizes", .np = &((module_state *)PyModule_GetState(module))->np};
    const char *kind, *cpu;
    PyObject *options;
    Py_ssize_t sums, hidden;
    int is_double;
    if (!PyArg_ParseTuple(args, "sO!nnpz:train_sizes", &kind, &PyTuple_Type, &options, &sums, &hidden, &is_double,
                          &cpu))
        return NULL;
    p.dtype = is_double ? p.np->float64 : p.np->float32;
    if (training_kernel(&p, kind, options, cpu, sums, hidden)) return NULL;
    const gw_train_sizes *sizes = &p.s.sizes;
    return Py_BuildValue("nnnn", (Py_ssize_t)sizes->kept, (Py_ssize_t)sizes->extra, (Py_ssize_t)sizes->packed[0],
                         (Py_ssize_t)sizes->packed[1]);
}

/* The recurrent matrices as a direction reads them. 0, or -1 with an exception. */
static int training_packed(training *p, PyObject *packed, int direction, int flags) {
    p->s.packed = training_array(p, "packed", packed, flags, 1, p->s.sizes.packed[direction], 1, 1);
    return p->s.packed ? 0 : -1;
}

static PyObject *train_pack(PyObject *module, PyObject *args) {
    training p = {.function = "train_pack", .np = &((module_state *)PyModule_GetState(module))->np};
    const char *kind, *cpu;
    PyObject *options, *tensors, *packed;
    Py_ssize_t sums, hidden;
    int backward;
    if (!PyArg_ParseTuple(args, "sO!nnO!pOz:train_pack", &kind, &PyTuple_Type, &options, &sums, &hidden, &PyTuple_Type,
                          &tensors, &backward, &packed, &cpu))
        return NULL;
    p.dtype = np_is(p.np, packed, p.np->float64, 1, 0) ? p.np->float64 : p.np->float32;
    if (training_kernel(&p, kind, options, cpu, sums, hidden) || training_tensors(&p, tensors) ||
        training_packed(&p, packed, backward, NP_WRITEABLE))
        return NULL;
    p.kernel->pack(&p.s, backward, (void *)p.s.packed);
    Py_RETURN_NONE;
}

static PyObject *train_forward(PyObject *module, PyObject *args) {
    training p = {.function = "train_forward"};
    const char *kind, *cpu;
    PyObject *options, *sums, *first, *tensors, *packed, *lengths, *resets, *out, *last, *kept;
    Py_ssize_t share, shares;
    if (!PyArg_ParseTuple(args, "sO!OO!O!OOOOO!Onnz:train_forward", &kind, &PyTuple_Type, &options, &sums,
                          &PyTuple_Type, &first, &PyTuple_Type, &tensors, &packed, &lengths, &resets, &out,
                          &PyTuple_Type, &last, &kept, &share, &shares, &cpu))
        return NULL;
    gw_sequence *s = &p.s;
    s->share = (size_t)share, s->shares = (size_t)shares;
    const np_api *np = &((module_state *)PyModule_GetState(module))->np;
    const int is_array = PyType_IsSubtype(Py_TYPE(sums), np->type) && ((np_array *)sums)->nd == 3;
    if (training_begin(&p, module, kind, options, out, is_array ? np_dim(sums, 2) : 0, first, tensors, lengths, resets,
                       cpu))
        return NULL;
    if (training_packed(&p, packed, 0, 0)) return NULL;
    if (!(s->sums = training_array(&p, "sums", sums, 0, 3, s->time, s->batch, s->sizes.sums))) return NULL;
    if (!(s->out = training_array(&p, "out", out, NP_WRITEABLE, 3, s->time, s->batch, s->sizes.out))) return NULL;
    if (training_states(&p, "last", last, NP_WRITEABLE, (const void **)s->last)) return NULL;
    if (kept != Py_None &&
        !(s->kept = training_array(&p, "kept", kept, NP_WRITEABLE, 3, s->time, s->batch, s->sizes.kept)))
        return NULL;
    return training_run(&p, p.kernel->forward);
}

static PyObject *train_backward(PyObject *module, PyObject *args) {
    training p = {.function = "train_backward"};
    const char *kind, *cpu;
    PyObject *options, *first, *tensors, *packed, *lengths, *resets, *out, *kept, *d_out, *d_last, *d_sums, *d_first;
    PyObject *extra;
    Py_ssize_t share, shares;
    if (!PyArg_ParseTuple(args, "sO!O!O!OOOOOOO!OO!Onnz:train_backward", &kind, &PyTuple_Type, &options, &PyTuple_Type,
                          &first, &PyTuple_Type, &tensors, &packed, &lengths, &resets, &out, &kept, &d_out,
                          &PyTuple_Type, &d_last, &d_sums, &PyTuple_Type, &d_first, &extra, &share, &shares, &cpu))
        return NULL;
    gw_sequence *s = &p.s;
    s->share = (size_t)share, s->shares = (size_t)shares;
    const np_api *np = &((module_state *)PyModule_GetState(module))->np;
    const int is_array = PyType_IsSubtype(Py_TYPE(d_sums), np->type) && ((np_array *)d_sums)->nd == 3;
    if (training_begin(&p, module, kind, options, out, is_array ? np_dim(d_sums, 2) : 0, first, tensors, lengths,
                       resets, cpu))
        return NULL;
    if (training_packed(&p, packed, 1, 0)) return NULL;
    const gw_train_sizes *sizes = &s->sizes;
    s->out = np_data(out);
    if (!(s->kept = training_array(&p, "kept", kept, 0, 3, s->time, s->batch, sizes->kept))) return NULL;
    if (!(s->d_out = training_array(&p, "d_out", d_out, 0, 3, s->time, s->batch, sizes->out))) return NULL;
    if (training_states(&p, "d_last", d_last, 0, s->d_last)) return NULL;
    if (!(s->d_sums = training_array(&p, "d_sums", d_sums, NP_WRITEABLE, 3, s->time, s->batch, sizes->sums)))
        return NULL;
    if (training_states(&p, "d_first", d_first, NP_WRITEABLE, (const void **)s->d_first)) return NULL;
    if (!(s->extra = training_array(&p, "extra", extra, NP_WRITEABLE, 3, s->time, s->batch, sizes->extra))) return NULL;
    return training_run(&p, p.kernel->backward);
}

#endif
