/* gatewise._core.Pool, for pymodule.c: many sessions of one model. A push runs one step of the sessions that it
 * names. */
#ifndef GW_PYPOOL_H
#define GW_PYPOOL_H

#include "pystream.h"

typedef struct Pool {
    PyObject_HEAD Model *owner;
    const gw_model *model;
    const module_state *module;
    atomic_int busy;
    int64_t sessions;
    float *states;        /* (sessions, state_floats) */
    uint32_t *named;      /* (sessions): the number of the last push that named the session */
    uint32_t pushes;      /* counts pushes; wraps around */
    int64_t *ids;         /* (sessions): a copy of the checked ids, as the caller's array may change meanwhile */
    size_t scratch_bytes; /* grows with the most sessions that one push has named */
    void *states_memory, *scratch_memory;
    char *scratch;
} Pool;

/* Allocates memory for this many sessions and keeps the states of those that remain. Returns 0, or -1 with an
 * exception. */
static int pool_room(Pool *self, int64_t sessions) {
    const size_t floats = self->owner->sizes->state_floats,
                 kept = (size_t)(sessions < self->sessions ? sessions : self->sessions);
    size_t count, bytes;
    void *memory = NULL;
    char *states = NULL;
    uint32_t *named = NULL;
    int64_t *ids = NULL;
    if (__builtin_mul_overflow((size_t)sessions, floats, &count) ||
        __builtin_mul_overflow(count, sizeof(float), &bytes) || bytes > PY_SSIZE_T_MAX - GW_ALIGNMENT) {
        PyErr_NoMemory();
        return -1;
    }
    if (!(states = aligned_block(bytes, &memory))) return -1;
    named = PyMem_Calloc((size_t)sessions + 1, sizeof *named);
    ids = PyMem_Calloc((size_t)sessions + 1, sizeof *ids);
    if (!named || !ids) {
        PyMem_Free(memory);
        PyMem_Free(named);
        PyMem_Free(ids);
        PyErr_NoMemory();
        return -1;
    }
    if (kept) memcpy(states, self->states, kept * floats * sizeof(float));
    PyMem_Free(self->states_memory);
    PyMem_Free(self->named);
    PyMem_Free(self->ids);
    self->states_memory = memory;
    self->states = (float *)(void *)states;
    self->named = named;
    self->ids = ids;
    self->pushes = 0;
    self->sessions = sessions;
    return 0;
}

/* Converts an integer. Returns 0, or -1 if it is not an integer of 64 bits, then with an exception only if the
 * conversion raised one. */
static int pool_integer(PyObject *value, int64_t *number) {
    const long long found = PyIndex_Check(value) && !PyBool_Check(value) ? PyLong_AsLongLong(value) : -1;
    if (found == -1 && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError)) return -1;
    const int failed = PyErr_Occurred() || !PyIndex_Check(value) || PyBool_Check(value);
    PyErr_Clear();
    *number = (int64_t)found;
    return failed ? -1 : 0;
}

static int pool_count(PyObject *value, int64_t *sessions) {
    if (!pool_integer(value, sessions) && *sessions >= 0 && *sessions <= INT32_MAX) return 0;
    if (!PyErr_Occurred())
        raise("InputError", "the number of sessions must be a whole number from 0 to %d, got %R", INT32_MAX, value);
    return -1;
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"model", "sessions", NULL};
    PyObject *model, *count;
    int64_t sessions;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Pool", names, &model, &count)) return NULL;
    if (PyType_GetSlot(Py_TYPE(model), Py_tp_new) != (void *)model_new) {
        PyErr_Format(PyExc_TypeError, "Pool expects a gatewise._core.Model, got %R", Py_TYPE(model));
        return NULL;
    }
    if (!((Model *)model)->sizes->steps) return raise("SpecError", "Pool: %s", gw_text(GW_NON_CAUSAL));
    if (pool_count(count, &sessions)) return NULL;
    Pool *self = (Pool *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    Py_INCREF(model);
    self->owner = (Model *)model;
    self->model = self->owner->model;
    self->module = self->owner->module;
    if (pool_room(self, sessions)) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static int pool_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((Pool *)object)->owner);
    return traverse_type(object, visit, arg);
}

static void pool_dealloc(PyObject *object) {
    Pool *self = (Pool *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    PyMem_Free(self->states_memory);
    PyMem_Free(self->scratch_memory);
    PyMem_Free(self->named);
    PyMem_Free(self->ids);
    Py_XDECREF((PyObject *)self->owner);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* Checks that all ids are in the pool and that none is named twice, and copies them to self->ids. Returns 0, or -1 with
 * an exception. The caller must have taken `busy`. */
static int pool_check(Pool *self, const char *name, const int64_t *ids, size_t count) {
    if (++self->pushes == 0) { /* wrapped around: forget all earlier pushes */
        memset(self->named, 0, (size_t)self->sessions * sizeof *self->named);
        self->pushes = 1;
    }
    for (size_t i = 0; i < count; i++) {
        const int64_t id = ids[i];
        if (id < 0 || id >= self->sessions) {
            raise("InputError", "%s: session %lld (position %zu) is not in this pool of %lld sessions; resize the pool",
                  name, (long long)id, i, (long long)self->sessions);
            return -1;
        }
        if (self->named[id] == self->pushes) {
            raise("InputError", "%s: session %lld (position %zu) is named twice; name each once", name, (long long)id,
                  i);
            return -1;
        }
        self->named[id] = self->pushes;
        self->ids[i] = id;
    }
    return 0;
}

static int pool_scratch(Pool *self, size_t count) {
    const size_t bytes = gw_scratch_bytes(self->model, count, 1);
    if (bytes <= self->scratch_bytes) return 0;
    void *memory;
    char *scratch = aligned_block(bytes, &memory);
    if (!scratch) return -1;
    PyMem_Free(self->scratch_memory);
    self->scratch_memory = memory;
    self->scratch = scratch;
    self->scratch_bytes = bytes;
    return 0;
}

/* ids as an int64 array, converted by _as_ids of the Python subclass if necessary. A new reference, or NULL with an
 * exception. */
static PyObject *pool_ids(Pool *self, const char *name, PyObject *ids) {
    const np_api *np = &self->module->np;
    if (np_is(np, ids, np->int64, 1, 0)) {
        Py_INCREF(ids);
        return ids;
    }
    PyObject *array = PyObject_CallMethod((PyObject *)self, "_as_ids", "O", ids);
    if (!array || np_is(np, array, np->int64, 1, 0)) return array;
    Py_DECREF(array);
    raise("InputError", "%s: ids must be a one-dimensional int64 array", name);
    return NULL;
}

static PyObject *pool_push(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    Pool *self = (Pool *)object;
    const module_state *module = self->module;
    const np_api *np = &module->np;
    const gw_sizes *sizes = self->owner->sizes;
    const Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    if (count < 2 || count + named > 3 || (named && PyTuple_GetItem(names, 0) != module->name_out)) {
        PyErr_SetString(PyExc_TypeError, "push() takes ids, x and out=None");
        return NULL;
    }
    PyObject *out = count + named == 3 ? args[2] : NULL, *x = args[1], *own_x = NULL, *result = NULL;
    PyObject *ids = pool_ids(self, "push", args[0]);
    if (!ids) return NULL;
    const intptr_t rows = np_dim(ids, 0), shape[2] = {rows, sizes->outputs};
    if (Py_TYPE(x) != np->type || !np_is_float32(np, x, 2, 0))
        x = own_x = PyObject_CallMethod(object, "_as_float32", "Oi", x, 2);
    if (!x) goto done;
    if (!np_is_float32(np, x, 2, 0) || np_dim(x, 0) != rows || np_dim(x, 1) != sizes->inputs) {
        refuse_array(np, "push: x", x, "float32 (%zd, %d), a row for each id", rows, sizes->inputs);
        goto done;
    }
    if (!out || out == Py_None) {
        if (!(out = np_new(np, 2, shape))) goto done;
    } else if (np_is_float32(np, out, 2, NP_WRITEABLE) && np_dim(out, 0) == rows && np_dim(out, 1) == sizes->outputs) {
        Py_INCREF(out);
    } else {
        refuse_array(np, "push: out", out, "writable C-contiguous float32 (%zd, %d)", rows, sizes->outputs);
        goto done;
    }
    const float *from = np_data(x);
    const int64_t *which = (const int64_t *)(const void *)((np_array *)ids)->data;
    const size_t values = (size_t)rows * (size_t)sizes->inputs;
    if (overlap(from, values * sizeof(float), np_data(out), (size_t)rows * (size_t)sizes->outputs * sizeof(float))) {
        raise("InputError", "push: x and out must not share memory; pass a copy");
        goto out;
    }
    if (take(&self->busy, "pool")) goto out;
    if (!pool_check(self, "push", which, (size_t)rows) && !pool_scratch(self, (size_t)rows)) {
        PyThreadState *released = sizes->push_macs * (uint64_t)rows >= release_work ? PyEval_SaveThread() : NULL;
        const gw_status status =
            gw_push(self->model, (size_t)rows, self->ids, from, self->states, np_data(out), self->scratch);
        if (released) PyEval_RestoreThread(released);
        if (status == GW_OK) {
            Py_INCREF(out);
            result = out;
        } else {
            const size_t bad = gw_first_unusable(self->model, from, values), inputs = (size_t)sizes->inputs;
            refuse_reading(self->owner, PyUnicode_FromFormat("push: value %zu of row %zu", bad % inputs, bad / inputs),
                           bad % inputs, bad < values ? from[bad] : NAN);
        }
    }
    give_back(&self->busy);
out:
    Py_DECREF(out);
done:
    Py_XDECREF(own_x);
    Py_DECREF(ids);
    return result;
}

static PyObject *pool_reset(PyObject *object, PyObject *argument) {
    Pool *self = (Pool *)object;
    const size_t floats = self->owner->sizes->state_floats;
    PyObject *ids = pool_ids(self, "reset", argument), *result = NULL;
    if (!ids) return NULL;
    const int64_t *which = (const int64_t *)(const void *)((np_array *)ids)->data;
    const size_t count = (size_t)np_dim(ids, 0);
    if (!take(&self->busy, "pool")) {
        if (!pool_check(self, "reset", which, count)) {
            for (size_t i = 0; i < count; i++) gw_reset(self->model, self->states + (size_t)self->ids[i] * floats);
            result = Py_None;
            Py_INCREF(result);
        }
        give_back(&self->busy);
    }
    Py_DECREF(ids);
    return result;
}

/* The position of a session, from its id. Returns 0, or -1 with an exception. The caller must have taken `busy`. */
static int pool_session(Pool *self, PyObject *id, int64_t *place) {
    if (!pool_integer(id, place) && *place >= 0 && *place < self->sessions) return 0;
    if (!PyErr_Occurred())
        raise("InputError",
              "session %R is not in this pool of %lld sessions, which are numbered from 0; give a whole number below "
              "that, or resize the pool",
              id, (long long)self->sessions);
    return -1;
}

static PyObject *pool_get_state(PyObject *object, PyObject *id) {
    Pool *self = (Pool *)object;
    const size_t floats = self->owner->sizes->state_floats;
    PyObject *state = NULL;
    int64_t place;
    if (take(&self->busy, "pool")) return NULL;
    if (!pool_session(self, id, &place))
        state = PyBytes_FromStringAndSize((const char *)(self->states + (size_t)place * floats),
                                          (Py_ssize_t)(floats * sizeof(float)));
    give_back(&self->busy);
    return state;
}

static PyObject *pool_set_state(PyObject *object, PyObject *args) {
    Pool *self = (Pool *)object;
    const size_t floats = self->owner->sizes->state_floats;
    PyObject *id, *state;
    int64_t place;
    if (!PyArg_ParseTuple(args, "OO:set_state", &id, &state)) return NULL;
    float *copy = PyMem_Malloc(floats * sizeof(float) + 1);
    if (!copy) return PyErr_NoMemory();
    atomic_int own = 0;
    PyObject *result = copy_state(self->model, state, copy, &own, "pool");
    if (result && !take(&self->busy, "pool")) {
        if (pool_session(self, id, &place))
            Py_CLEAR(result);
        else
            memcpy(self->states + (size_t)place * floats, copy, floats * sizeof(float));
        give_back(&self->busy);
    } else {
        Py_CLEAR(result);
    }
    PyMem_Free(copy);
    return result;
}

static PyObject *pool_resize(PyObject *object, PyObject *count) {
    Pool *self = (Pool *)object;
    int64_t sessions;
    if (pool_count(count, &sessions) || take(&self->busy, "pool")) return NULL;
    const int failed = pool_room(self, sessions);
    give_back(&self->busy);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *pool_sessions(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLongLong((long long)((Pool *)self)->sessions);
}

static PyObject *pool_as_float32(PyObject *self, PyObject *args) {
    PyObject *x;
    int axes;
    if (!PyArg_ParseTuple(args, "Oi:_as_float32", &x, &axes)) return NULL;
    return refuse_array(&((Pool *)self)->module->np, "push: x", x, "C-contiguous float32 (ids, %d)",
                        ((Pool *)self)->owner->sizes->inputs);
}

static PyObject *pool_as_ids(PyObject *self, PyObject *ids) {
    (void)self;
    return raise("InputError", "ids must be a C-contiguous int64 array of one dimension, got %R", Py_TYPE(ids));
}

static PyMethodDef pool_methods[] = {
    {"push", (PyCFunction)(void (*)(void))pool_push, METH_FASTCALL | METH_KEYWORDS,
     "push($self, ids, x, /, out=None)\n--\n\nOne step of the sessions named: x (ids, inputs) gives y (ids, outputs), "
     "float32.\n\n"
     "ids: numbers of sessions, each at most once, in any order. Row i of x and y belongs to ids[i]. out: a float32 "
     "array\n"
     "to write to; None = a new one. Each answer has the bits that a Stream would give.\n\n"
     "Raises InputError where ids, x or out do not fit, or a value is missing (not finite, or beyond 1e18 in size\n"
     "once scaled) and the model's input stage refuses that, and BusyError where another thread uses this pool. All is "
     "checked before any session takes its step."},
    {"_as_float32", pool_as_float32, METH_VARARGS,
     "_as_float32($self, x, ndim, /)\n--\n\nCalled with an x that does not fit as it is; a subclass converts it."},
    {"_as_ids", pool_as_ids, METH_O,
     "_as_ids($self, ids, /)\n--\n\nCalled with ids that do not fit as they are; a subclass converts them."},
    {"reset", pool_reset, METH_O, "reset($self, ids, /)\n--\n\nPut sessions back to the start of a sequence."},
    {"get_state", pool_get_state, METH_O,
     "get_state($self, id, /)\n--\n\nThe state of one session: float32 values as bytes."},
    {"set_state", pool_set_state, METH_VARARGS,
     "set_state($self, id, state, /)\n--\n\nContinue one session from bytes of get_state."},
    {"resize", pool_resize, METH_O,
     "resize($self, sessions, /)\n--\n\nMore sessions, each at the start of a sequence, or fewer: the last are gone."},
    {0},
};

static PyGetSetDef pool_attributes[] = {
    {"sessions", pool_sessions, NULL, "How many sessions there are.", NULL},
    {0},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, "Pool(model, sessions)\n--\n\nMany sessions of a model: owns their states."},
    {Py_tp_new, pool_new},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_traverse, pool_traverse},
    {Py_tp_methods, pool_methods},
    {Py_tp_getset, pool_attributes},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "gatewise._core.Pool",
    .basicsize = sizeof(Pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};

#endif
