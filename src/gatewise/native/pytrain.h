/* The training kernels for Python: functions on NumPy arrays, float32 or float64, which are all checked before anything
 * runs. _core.pyi documents the functions, and train.h the arrays. */
#ifndef GW_PYTRAIN_H
#define GW_PYTRAIN_H

#include "isa.h"
#include "pycommon.h"
#include "pyteam.h"

enum { MOST_OPTIONS = 16 };

typedef struct training {
    const char *function; /* the name of the function, for messages */
    const np_api *np;
    const gw_train_kernel *kernel;
    PyObject *dtype; /* of the values; borrowed */
    double options[MOST_OPTIONS];
    gw_sequence s;
    size_t share_bytes[GW_TRAIN_TENSORS]; /* backward: distance between the shares of a tensor's gradient */
} training;

/* Finds the kernel of a kind and checks its options. Returns 0, or -1 with an exception. */
static int training_kernel(training *p, const char *kind, PyObject *options, const char *cpu, Py_ssize_t inputs,
                           Py_ssize_t rows, Py_ssize_t hidden) {
    const gw_isa *isa = gw_find_isa(cpu);
    const gw_train_kernel *const *kernels = p->dtype == p->np->float64 ? gw_train_kernels_double : NULL;
    if (!isa) {
        raise("SpecError", "%s: instruction set '%s' is not available here", p->function, cpu);
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
    if (count > MOST_OPTIONS || inputs < 1 || rows < 1 || hidden < 1 ||
        !p->kernel->sizes(p->options, (size_t)count, (size_t)inputs, (size_t)rows, (size_t)hidden, &p->s.sizes)) {
        raise("SpecError",
              "%s: the %zd options of '%s' do not fit %zd inputs, a first matrix of %zd rows and a hidden state of "
              "%zd values",
              p->function, count, kind, inputs, rows, hidden);
        return -1;
    }
    return 0;
}

/* The data of an array of the kernel's type with `nd` axes of these lengths; NULL with an exception. */
static void *training_array(const training *p, const char *what, PyObject *array, int flags, int nd, size_t a, size_t b,
                            size_t c) {
    return array_given(p->np, p->function, what, array, p->dtype, flags, nd, (const size_t[]){a, b, c});
}

/* The arrays of a tuple, one for each field of the state. Returns 0, or -1 with an exception. */
static int training_states(const training *p, const char *what, PyObject *tuple, int flags, const void **into) {
    const gw_sequence *s = &p->s;
    Py_ssize_t count = 0;
    while (count < GW_TRAIN_STATES && s->sizes.state[count]) count++;
    if (PyTuple_Size(tuple) != count) {
        raise("InputError", "%s: %s must consist of %zd arrays, got %zd", p->function, what, count,
              PyTuple_Size(tuple));
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        if (!(into[k] = training_array(p, what, PyTuple_GetItem(tuple, k), flags, 2, s->batch, s->sizes.state[k], 1)))
            return -1;
    return 0;
}

/* The tensors, or with NP_WRITEABLE their gradients, which have an additional first axis for the shares. Returns 0, or
 * -1 with an exception. */
static int training_tensors(training *p, const char *what, PyObject *tuple, int flags, const void **into) {
    const gw_sequence *s = &p->s;
    const size_t shares = s->shares, itemsize = p->dtype == p->np->float64 ? sizeof(double) : sizeof(float);
    const Py_ssize_t given = PyTuple_Size(tuple);
    Py_ssize_t at = 0, wanted = 0;
    for (int k = 0; k < GW_TRAIN_TENSORS; k++) wanted += s->sizes.tensors[k].rows != 0;
    if (given != wanted) {
        raise("InputError", "%s: %s must consist of %zd arrays, got %zd", p->function, what, wanted, given);
        return -1;
    }
    for (int k = 0; k < GW_TRAIN_TENSORS; k++) {
        const size_t rows = s->sizes.tensors[k].rows, cols = s->sizes.tensors[k].cols;
        if (!rows) continue;
        PyObject *array = PyTuple_GetItem(tuple, at++);
        const int axes = k < 2 || cols > 1 ? 2 : 1; /* the first two are always matrices */
        into[k] = flags ? training_array(p, what, array, flags, axes + 1, shares, rows, cols)
                        : training_array(p, what, array, flags, axes, rows, cols, 1);
        if (!into[k]) return -1;
        p->share_bytes[k] = rows * cols * itemsize;
    }
    return 0;
}

/* The arguments of both directions. */
typedef struct training_arguments {
    const char *kind, *cpu;
    PyObject *options, *x, *first, *tensors, *lengths, *resets, *out;
    Py_ssize_t shares, team;
} training_arguments;

static int training_begin(training *p, PyObject *module, const training_arguments *a) {
    gw_sequence *s = &p->s;
    p->np = &((module_state *)PyModule_GetState(module))->np;
    p->dtype = np_is(p->np, a->x, p->np->float64, 3, 0) ? p->np->float64 : p->np->float32;
    if (!np_is(p->np, a->x, p->dtype, 3, 0)) {
        refuse_array(p->np, "x", a->x, "C-contiguous float32 or float64 (batch, time, width)");
        return -1;
    }
    if (!np_is(p->np, a->out, p->dtype, 3, 0)) {
        refuse_array(p->np, "out", a->out, "C-contiguous %S (batch, time, width)", p->dtype);
        return -1;
    }
    s->batch = (size_t)np_dim(a->x, 0);
    s->time = (size_t)np_dim(a->x, 1);
    s->x = np_data(a->x);
    if (a->shares < 1) {
        raise("InputError", "%s: shares must be at least 1, got %zd", p->function, a->shares);
        return -1;
    }
    s->shares = (size_t)a->shares;
    PyObject *matrix = PyTuple_Size(a->tensors) ? PyTuple_GetItem(a->tensors, 0) : Py_None; /* the input matrix */
    const Py_ssize_t rows = np_is(p->np, matrix, p->dtype, 2, 0) ? np_dim(matrix, 0) : 0;
    if (!rows) {
        refuse_array(p->np, "tensors[0]", matrix, "C-contiguous %S (rows, %zd)", p->dtype, np_dim(a->x, 2));
        return -1;
    }
    if (training_kernel(p, a->kind, a->options, a->cpu, np_dim(a->x, 2), rows, np_dim(a->out, 2))) return -1;
    if (training_states(p, "first", a->first, 0, s->first)) return -1;
    if (training_tensors(p, "tensors", a->tensors, 0, s->tensors)) return -1;
    return rows_given(p->np, a->lengths, a->resets, s->batch, s->time, &s->lengths, &s->resets);
}

typedef struct training_team {
    const training *p;
    int (*run)(const gw_sequence *);
} training_team;

static int training_share(const void *data, size_t share) {
    const training_team *team = data;
    gw_sequence s = team->p->s;
    s.share = share;
    for (int k = 0; k < GW_TRAIN_TENSORS; k++)
        if (s.d_tensors[k]) s.d_tensors[k] = (char *)s.d_tensors[k] + share * team->p->share_bytes[k];
    return team->run(&s);
}

static PyObject *training_run(const training *p, int (*run)(const gw_sequence *), Py_ssize_t team) {
    const training_team data = {p, run};
    PyThreadState *released = PyEval_SaveThread();
    const int failed = run_team(team, p->s.shares, training_share, &data);
    PyEval_RestoreThread(released);
    if (failed) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *train_saved(PyObject *module, PyObject *args) {
    training p = {.function = "train_saved", .np = &((module_state *)PyModule_GetState(module))->np};
    const char *kind, *cpu;
    PyObject *options;
    Py_ssize_t inputs, rows, hidden;
    int is_double;
    if (!PyArg_ParseTuple(args, "sO!nnnpz:train_saved", &kind, &PyTuple_Type, &options, &inputs, &rows, &hidden,
                          &is_double, &cpu))
        return NULL;
    p.dtype = is_double ? p.np->float64 : p.np->float32;
    if (training_kernel(&p, kind, options, cpu, inputs, rows, hidden)) return NULL;
    return PyLong_FromSize_t(p.s.sizes.saved);
}

static PyObject *train_forward(PyObject *module, PyObject *args) {
    training p = {.function = "train_forward"};
    gw_sequence *s = &p.s;
    training_arguments a;
    PyObject *last, *saved;
    if (!PyArg_ParseTuple(args, "sO!OO!O!OOOO!Onnz:train_forward", &a.kind, &PyTuple_Type, &a.options, &a.x,
                          &PyTuple_Type, &a.first, &PyTuple_Type, &a.tensors, &a.lengths, &a.resets, &a.out,
                          &PyTuple_Type, &last, &saved, &a.shares, &a.team, &a.cpu))
        return NULL;
    if (training_begin(&p, module, &a)) return NULL;
    const gw_train_sizes *sizes = &s->sizes;
    if (!(s->out = training_array(&p, "out", a.out, NP_WRITEABLE, 3, s->batch, s->time, sizes->out))) return NULL;
    if (training_states(&p, "last", last, NP_WRITEABLE, (const void **)s->last)) return NULL;
    if (saved != Py_None &&
        !(s->saved = training_array(&p, "saved", saved, NP_WRITEABLE, 3, s->time, s->batch, sizes->saved)))
        return NULL;
    return training_run(&p, p.kernel->forward, a.team);
}

static PyObject *train_backward(PyObject *module, PyObject *args) {
    training p = {.function = "train_backward"};
    gw_sequence *s = &p.s;
    training_arguments a;
    PyObject *saved, *d_out, *d_last, *d_x, *d_first, *d_tensors;
    if (!PyArg_ParseTuple(args, "sO!OO!O!OOOOOO!OO!O!nnz:train_backward", &a.kind, &PyTuple_Type, &a.options, &a.x,
                          &PyTuple_Type, &a.first, &PyTuple_Type, &a.tensors, &a.lengths, &a.resets, &a.out, &saved,
                          &d_out, &PyTuple_Type, &d_last, &d_x, &PyTuple_Type, &d_first, &PyTuple_Type, &d_tensors,
                          &a.shares, &a.team, &a.cpu))
        return NULL;
    if (training_begin(&p, module, &a)) return NULL;
    const gw_train_sizes *sizes = &s->sizes;
    if (!(s->out = training_array(&p, "out", a.out, 0, 3, s->batch, s->time, sizes->out))) return NULL;
    if (!(s->saved = training_array(&p, "saved", saved, 0, 3, s->time, s->batch, sizes->saved))) return NULL;
    if (!(s->d_out = training_array(&p, "d_out", d_out, 0, 3, s->batch, s->time, sizes->out))) return NULL;
    if (training_states(&p, "d_last", d_last, 0, s->d_last)) return NULL;
    if (d_x != Py_None && !(s->d_x = training_array(&p, "d_x", d_x, NP_WRITEABLE, 3, s->batch, s->time, sizes->inputs)))
        return NULL;
    if (training_states(&p, "d_first", d_first, NP_WRITEABLE, (const void **)s->d_first)) return NULL;
    if (training_tensors(&p, "d_tensors", d_tensors, NP_WRITEABLE, (const void **)s->d_tensors)) return NULL;
    return training_run(&p, p.kernel->backward, a.team);
}

#endif
