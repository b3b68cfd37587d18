/* The linear scan for Python: functions over NumPy arrays, float32 or float64, all checked before anything is run.
 * Reference: _core.pyi; what the arrays are: scan.h. */
#ifndef GW_PYSCAN_H
#define GW_PYSCAN_H

#include "kernel.h"
#include "pycommon.h"

typedef struct scanning {
    const char *function; /* its name, for messages */
    const np_api *np;
    const gw_scan_kernel *kernel;
    PyObject *dtype; /* of the numbers: borrowed */
    gw_scan s;
} scanning;

/* An array of the scan's numbers, (batch, time, width), (batch, width) or (width,), by nd. NULL with an exception. */
static void *scanning_array(const scanning *p, const char *what, PyObject *array, int flags, int nd) {
    const size_t sizes[3] = {p->s.batch, p->s.time, p->s.width};
    const size_t all[3][3] = {{sizes[2]}, {sizes[0], sizes[2]}, {sizes[0], sizes[1], sizes[2]}};
    const size_t *wanted = all[nd - 1];
    int fits = np_is(p->np, array, p->dtype, nd, flags);
    for (int i = 0; fits && i < nd; i++) fits = (size_t)np_dim(array, i) == wanted[i];
    if (fits) return np_data(array);
    const char *text = nd == 1 ? "%s%S (%zu,)" : nd == 2 ? "%s%S (%zu, %zu)" : "%s%S (%zu, %zu, %zu)";
    char name[64];
    PyOS_snprintf(name, sizeof name, "%s: %s", p->function, what);
    refuse_array(p->np, name, array, text, flags ? "writable C-contiguous " : "C-contiguous ", p->dtype, wanted[0],
                 wanted[1], wanted[2]);
    return NULL;
}

/* Lengths int64 (B,) from 0 to T, or None; resets bool (B, T), or None. */
static int scanning_rows(scanning *p, PyObject *lengths, PyObject *resets) {
    gw_scan *s = &p->s;
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
        if (!np_is(p->np, resets, p->np->boolean, 2, 0) || (size_t)np_dim(resets, 0) != s->batch ||
            (size_t)np_dim(resets, 1) != s->time) {
            refuse_array(p->np, "resets", resets, "C-contiguous bool (%zu, %zu)", s->batch, s->time);
            return -1;
        }
        s->resets = (const uint8_t *)(const void *)np_data(resets);
    }
    return 0;
}

/* What both directions take; the shape and type of all is that of h. 0, or -1 with an exception. */
static int scanning_begin(scanning *p, PyObject *module, PyObject *a, PyObject *first, PyObject *lengths,
                          PyObject *resets, PyObject *h, int flags, Py_ssize_t share, Py_ssize_t shares,
                          const char *cpu) {
    gw_scan *s = &p->s;
    const gw_isa *isa = gw_find_isa(cpu);
    if (!isa) {
        raise("SpecError", "%s: no instruction set '%s' here", p->function, cpu);
        return -1;
    }
    p->np = &((module_state *)PyModule_GetState(module))->np;
    const int is_double = np_is(p->np, h, p->np->float64, 3, flags);
    p->dtype = is_double ? p->np->float64 : p->np->float32;
    p->kernel = is_double ? &gw_scan_double : &isa->scan;
    if (!np_is(p->np, h, p->dtype, 3, flags)) {
        refuse_array(p->np, "h", h, "%sC-contiguous float32 or float64 (batch, time, width)", flags ? "writable " : "");
        return -1;
    }
    s->batch = (size_t)np_dim(h, 0), s->time = (size_t)np_dim(h, 1), s->width = (size_t)np_dim(h, 2);
    s->h = np_data(h);
    if (s->is_complex && s->width % 2) {
        raise("InputError", "%s: complex values are two numbers each, got a width of %zu numbers", p->function,
              s->width);
        return -1;
    }
    if (shares < 1 || share < 0 || share >= shares) {
        raise("InputError", "%s: share must be from 0 to %zd, got %zd", p->function, shares - 1, share);
        return -1;
    }
    s->share = (size_t)share, s->shares = (size_t)shares;
    s->same_a = np_is(p->np, a, p->dtype, 1, 0);
    if (!(s->a = scanning_array(p, "a", a, 0, s->same_a ? 1 : 3))) return -1;
    if (!(s->first = scanning_array(p, "first", first, 0, 2))) return -1;
    return scanning_rows(p, lengths, resets);
}

static PyObject *scanning_run(const scanning *p, void (*run)(const gw_scan *)) {
    PyThreadState *released = PyEval_SaveThread();
    run(&p->s);
    PyEval_RestoreThread(released);
    Py_RETURN_NONE;
}

static PyObject *scan_forward(PyObject *module, PyObject *args) {
    scanning p = {.function = "scan_forward"};
    gw_scan *s = &p.s;
    const char *cpu;
    PyObject *a, *b, *first, *lengths, *resets, *h, *last;
    Py_ssize_t share, shares;
    if (!PyArg_ParseTuple(args, "pOOOOOOOnnz:scan_forward", &s->is_complex, &a, &b, &first, &lengths, &resets, &h,
                          &last, &share, &shares, &cpu))
        return NULL;
    if (scanning_begin(&p, module, a, first, lengths, resets, h, NP_WRITEABLE, share, shares, cpu)) return NULL;
    if (!(s->b = scanning_array(&p, "b", b, 0, 3))) return NULL;
    if (!(s->last = scanning_array(&p, "last", last, NP_WRITEABLE, 2))) return NULL;
    return scanning_run(&p, p.kernel->forward);
}

static PyObject *scan_backward(PyObject *module, PyObject *args) {
    scanning p = {.function = "scan_backward"};
    gw_scan *s = &p.s;
    const char *cpu;
    PyObject *a, *first, *lengths, *resets, *h, *d_h, *d_last, *d_a, *d_b, *d_first;
    Py_ssize_t share, shares;
    if (!PyArg_ParseTuple(args, "pOOOOOOOOOOnnz:scan_backward", &s->is_complex, &a, &first, &lengths, &resets, &h, &d_h,
                          &d_last, &d_a, &d_b, &d_first, &share, &shares, &cpu))
        return NULL;
    if (scanning_begin(&p, module, a, first, lengths, resets, h, 0, share, shares, cpu)) return NULL;
    if (!(s->d_h = scanning_array(&p, "d_h", d_h, 0, 3))) return NULL;
    if (!(s->d_last = scanning_array(&p, "d_last", d_last, 0, 2))) return NULL;
    if (d_a != Py_None && !(s->d_a = scanning_array(&p, "d_a", d_a, NP_WRITEABLE, s->same_a ? 2 : 3))) return NULL;
    if (!(s->d_b = scanning_array(&p, "d_b", d_b, NP_WRITEABLE, 3))) return NULL;
    if (!(s->d_first = scanning_array(&p, "d_first", d_first, NP_WRITEABLE, 2))) return NULL;
    return scanning_run(&p, p.kernel->backward);
}

#endif
