/* The linear scan for Python: functions on NumPy arrays, float32 or float64, which are all checked before anything
 * runs. _core.pyi documents the functions, and scan.h the arrays. */
#ifndef GW_PYSCAN_H
#define GW_PYSCAN_H

#include "isa.h"
#include "pycommon.h"
#include "pyteam.h"

typedef struct scanning {
    const char *function; /* the name of the function, for messages */
    const np_api *np;
    const gw_scan_kernel *kernel;
    PyObject *dtype; /* of the values; borrowed */
    gw_scan s;
} scanning;

/* The data of an array (batch, time, width), (batch, width) or (width,), as nd says. NULL with an exception. */
static void *scanning_array(const scanning *p, const char *what, PyObject *array, int flags, int nd) {
    const size_t sizes[3] = {p->s.batch, p->s.time, p->s.width};
    const size_t all[3][3] = {{sizes[2]}, {sizes[0], sizes[2]}, {sizes[0], sizes[1], sizes[2]}};
    return array_given(p->np, p->function, what, array, p->dtype, flags, nd, all[nd - 1]);
}

/* Checks the arguments of both directions; h determines shapes and types. Returns 0, or -1 with an exception. */
static int scanning_begin(scanning *p, PyObject *module, PyObject *a, PyObject *first, PyObject *lengths,
                          PyObject *resets, PyObject *h, int flags, Py_ssize_t shares, const char *cpu) {
    gw_scan *s = &p->s;
    const gw_isa *isa = gw_find_isa(cpu);
    if (!isa) {
        raise("SpecError", "%s: instruction set '%s' is not available here", p->function, cpu);
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
    if (shares < 1) {
        raise("InputError", "%s: shares must be at least 1, got %zd", p->function, shares);
        return -1;
    }
    s->shares = (size_t)shares;
    s->same_a = np_is(p->np, a, p->dtype, 1, 0);
    if (!(s->a = scanning_array(p, "a", a, 0, s->same_a ? 1 : 3))) return -1;
    if (!(s->first = scanning_array(p, "first", first, 0, 2))) return -1;
    return rows_given(p->np, lengths, resets, s->batch, s->time, &s->lengths, &s->resets);
}

typedef struct scanning_team {
    const gw_scan *s;
    void (*run)(const gw_scan *);
} scanning_team;

static int scanning_share(const void *data, size_t share) {
    const scanning_team *team = data;
    gw_scan s = *team->s;
    s.share = share;
    team->run(&s);
    return 0;
}

static PyObject *scanning_run(const scanning *p, void (*run)(const gw_scan *), Py_ssize_t team) {
    const scanning_team data = {&p->s, run};
    PyThreadState *released = PyEval_SaveThread();
    run_team(team, p->s.shares, scanning_share, &data);
    PyEval_RestoreThread(released);
    Py_RETURN_NONE;
}

static PyObject *scan_forward(PyObject *module, PyObject *args) {
    scanning p = {.function = "scan_forward"};
    gw_scan *s = &p.s;
    const char *cpu;
    PyObject *a, *b, *first, *lengths, *resets, *h, *last;
    Py_ssize_t shares, team;
    if (!PyArg_ParseTuple(args, "pOOOOOOOnnz:scan_forward", &s->is_complex, &a, &b, &first, &lengths, &resets, &h,
                          &last, &shares, &team, &cpu))
        return NULL;
    if (scanning_begin(&p, module, a, first, lengths, resets, h, NP_WRITEABLE, shares, cpu)) return NULL;
    if (!(s->b = scanning_array(&p, "b", b, 0, 3))) return NULL;
    if (!(s->last = scanning_array(&p, "last", last, NP_WRITEABLE, 2))) return NULL;
    return scanning_run(&p, p.kernel->forward, team);
}

static PyObject *scan_backward(PyObject *module, PyObject *args) {
    scanning p = {.function = "scan_backward"};
    gw_scan *s = &p.s;
    const char *cpu;
    PyObject *a, *first, *lengths, *resets, *h, *d_h, *d_last, *d_a, *d_b, *d_first;
    Py_ssize_t shares, team;
    if (!PyArg_ParseTuple(args, "pOOOOOOOOOOnnz:scan_backward", &s->is_complex, &a, &first, &lengths, &resets, &h, &d_h,
                          &d_last, &d_a, &d_b, &d_first, &shares, &team, &cpu))
        return NULL;
    if (scanning_begin(&p, module, a, first, lengths, resets, h, 0, shares, cpu)) return NULL;
    if (!(s->d_h = scanning_array(&p, "d_h", d_h, 0, 3))) return NULL;
    if (!(s->d_last = scanning_array(&p, "d_last", d_last, 0, 2))) return NULL;
    if (d_a != Py_None && !(s->d_a = scanning_array(&p, "d_a", d_a, NP_WRITEABLE, s->same_a ? 2 : 3))) return NULL;
    if (!(s->d_b = scanning_array(&p, "d_b", d_b, NP_WRITEABLE, 3))) return NULL;
    if (!(s->d_first = scanning_array(&p, "d_first", d_first, NP_WRITEABLE, 2))) return NULL;
    return scanning_run(&p, p.kernel->backward, team);
}

#endif
