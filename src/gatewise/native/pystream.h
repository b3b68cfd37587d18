/* gatewise._core.Stream, for pymodule.c: one session of a model. Callers spend most of their time in push. With the
 * usual arguments it therefore creates no object except the answer, parses nothing, and accesses arrays directly. */
#ifndef GW_PYSTREAM_H
#define GW_PYSTREAM_H

#include "pymodel.h"

/* One session. */
typedef struct Stream {
    PyObject_HEAD Model *owner;
    const gw_model *model;
    const module_state *module;
    uint64_t macs;
    int inputs, outputs;
    atomic_int busy;
    float *state;
    void *scratch;
    void *memory;
} Stream;

static PyObject *stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"model", NULL};
    PyObject *model;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Stream", names, &model)) return NULL;
    if (PyType_GetSlot(Py_TYPE(model), Py_tp_new) != (void *)model_new) {
        PyErr_Format(PyExc_TypeError, "Stream expects a gatewise._core.Model, got %R", Py_TYPE(model));
        return NULL;
    }
    if (!((Model *)model)->sizes->steps) return raise("SpecError", "Stream: %s", gw_text(GW_NON_CAUSAL));
    Stream *self = (Stream *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    Py_INCREF(model);
    self->owner = (Model *)model;
    self->model = self->owner->model;
    self->module = self->owner->module;
    const gw_sizes *sizes = self->owner->sizes;
    self->macs = sizes->push_macs;
    self->inputs = sizes->inputs;
    self->outputs = sizes->outputs;
    char *block = aligned_block(sizes->scratch_bytes + sizes->state_floats * sizeof(float), &self->memory);
    if (!block) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    self->scratch = block;
    self->state = (float *)(void *)(block + sizes->scratch_bytes);
    return (PyObject *)self;
}

static int stream_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((Stream *)object)->owner);
    return traverse_type(object, visit, arg);
}

static void stream_dealloc(PyObject *object) {
    Stream *self = (Stream *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    PyMem_Free(self->memory);
    Py_XDECREF((PyObject *)self->owner);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* Finds x and out among the arguments of push and push_many in the less usual cases. Returns 0, or -1 with an
 * exception. */
static int parse_x_out(const module_state *module, const char *name, PyObject *const *args, Py_ssize_t count,
                       PyObject *names, PyObject **x, PyObject **out) {
    const Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    if (count > 2) {
        PyErr_Format(PyExc_TypeError, "%s() takes x and out, got %zd positional arguments", name, count);
        return -1;
    }
    *x = count > 0 ? args[0] : NULL;
    *out = count > 1 ? args[1] : NULL;
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *key = PyTuple_GetItem(names, i);
        PyObject **to = !PyUnicode_Compare(key, module->name_x)     ? x
                        : !PyUnicode_Compare(key, module->name_out) ? out
                                                                    : NULL;
        if (!to || *to) {
            PyErr_Format(PyExc_TypeError, to ? "%s() got two values for %R" : "%s() has no argument %R", name, key);
            return -1;
        }
        *to = args[count + i];
    }
    if (!*x) PyErr_Format(PyExc_TypeError, "%s() needs x", name);
    return *x ? 0 : -1;
}

/* Whether x can be used as it is. Subclasses of ndarray cannot: their values may mean something else, as in a masked
 * array. */
static int fits(const Stream *self, PyObject *x, int axes) {
    const np_api *np = &self->module->np;
    return Py_TYPE(x) == np->type && np_is_float32(np, x, axes, 0) && np_dim(x, axes - 1) == self->inputs;
}

/* x as an array that fits, converted by _as_float32 of the Python subclass. A new reference, or NULL with an
 * exception. */
static PyObject *converted(Stream *self, PyObject *x, int axes) {
    PyObject *array = PyObject_CallMethod((PyObject *)self, "_as_float32", "Oi", x, axes);
    if (!array || fits(self, array, axes)) return array;
    refuse_array(&self->module->np, "_as_float32", array,
                 axes == 1 ? "C-contiguous float32 (%d,)" : "C-contiguous float32 (time, %d)", self->inputs);
    Py_DECREF(array);
    return NULL;
}

/* Raises InputError for the first missing value. Returns NULL. */
static PyObject *refuse_value(const Stream *self, const float *x, size_t count, int axes) {
    size_t bad = gw_first_unusable(self->model, x, count), inputs = (size_t)self->inputs;
    const float value = bad < count ? x[bad] : NAN; /* another thread may have changed x meanwhile */
    if (bad == count) bad = 0;
    PyObject *where = axes == 1 ? PyUnicode_FromFormat("push: value %zu", bad)
                                : PyUnicode_FromFormat("push_many: value %zu of step %zu", bad % inputs, bad / inputs);
    return refuse_reading(self->owner, where, bad % inputs, value);
}

/* push (axes 1) and push_many (axes 2). All errors are found before the state changes. */
static inline __attribute__((always_inline)) PyObject *
advance(PyObject *object, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names, const int axes) {
    Stream *self = (Stream *)object;
    const module_state *module = self->module;
    PyObject *x = NULL, *out = NULL, *own_x = NULL, *result = NULL;
    float *copy = NULL;
    if (count == 1 && !names)
        x = args[0];
    else if (count == 1 && PyTuple_Size(names) == 1 && PyTuple_GetItem(names, 0) == module->name_out)
        x = args[0], out = args[1];
    else if (parse_x_out(module, name, args, count, names, &x, &out))
        return NULL;
    if (!fits(self, x, axes)) {
        if (!(own_x = converted(self, x, axes))) return NULL;
        x = own_x;
    }
    const intptr_t steps = axes == 1 ? 1 : np_dim(x, 0), shape[2] = {axes == 1 ? self->outputs : steps, self->outputs};
    if (!out || out == Py_None) {
        if (!(out = np_new(&module->np, axes, shape))) goto done;
    } else if (np_is_float32(&module->np, out, axes, NP_WRITEABLE) && np_dim(out, 0) == shape[0] &&
               np_dim(out, axes - 1) == self->outputs) {
        Py_INCREF(out);
    } else {
        refuse_array(&module->np, axes == 1 ? "push: out" : "push_many: out", out,
                     axes == 1 ? "writable C-contiguous float32 (%zd,)" : "writable C-contiguous float32 (%zd, %zd)",
                     shape[0], shape[1]);
        goto done;
    }
    const float *from = np_data(x);
    const size_t from_count = (size_t)(steps * self->inputs), to_count = (size_t)(steps * self->outputs);
    if (overlap(from, from_count * sizeof(float), np_data(out), to_count * sizeof(float))) {
        if (!(copy = PyMem_Malloc(from_count * sizeof(float)))) {
            PyErr_NoMemory();
            goto out;
        }
        from = memcpy(copy, from, from_count * sizeof(float));
    }
    void *memory = NULL, *scratch = self->scratch;
    if (axes == 2 && gw_scratch_bytes(self->model, 1, (size_t)steps) > self->owner->sizes->scratch_bytes &&
        !(scratch = aligned_block(gw_scratch_bytes(self->model, 1, (size_t)steps), &memory)))
        goto out;
    if (take(&self->busy, "stream")) goto free;
    PyThreadState *released = self->macs * (uint64_t)steps >= release_work ? PyEval_SaveThread() : NULL;
    const gw_status status = gw_run(self->model, (size_t)steps, from, self->state, np_data(out), scratch);
    if (released) PyEval_RestoreThread(released);
    give_back(&self->busy);
    if (status == GW_OK) {
        Py_INCREF(out);
        result = out;
    } else {
        refuse_value(self, from, from_count, axes);
    }
free:
    PyMem_Free(memory);
out:
    Py_DECREF(out);
    PyMem_Free(copy);
done:
    Py_XDECREF(own_x);
    return result;
}

static PyObject *stream_push(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return advance(self, "push", args, count, names, 1);
}

static PyObject *stream_push_many(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return advance(self, "push_many", args, count, names, 2);
}

static PyObject *stream_as_float32(PyObject *object, PyObject *args) {
    Stream *self = (Stream *)object;
    PyObject *x;
    int axes;
    if (!PyArg_ParseTuple(args, "Oi:_as_float32", &x, &axes)) return NULL;
    return refuse_array(&self->module->np, axes == 1 ? "push: x" : "push_many: x", x,
                        axes == 1 ? "C-contiguous float32 (%d,)" : "C-contiguous float32 (time, %d)", self->inputs);
}

static PyObject *stream_reset(PyObject *object, PyObject *unused) {
    Stream *self = (Stream *)object;
    (void)unused;
    if (take(&self->busy, "stream")) return NULL;
    gw_reset(self->model, self->state);
    give_back(&self->busy);
    Py_RETURN_NONE;
}

static PyObject *stream_get_state(PyObject *object, PyObject *unused) {
    Stream *self = (Stream *)object;
    (void)unused;
    if (take(&self->busy, "stream")) return NULL;
    const size_t bytes = self->owner->sizes->state_floats * sizeof(float);
    PyObject *state = PyBytes_FromStringAndSize((const char *)self->state, (Py_ssize_t)bytes);
    give_back(&self->busy);
    return state;
}

/* Copies a state from a buffer to `to`, and takes `busy` meanwhile. Returns None, or NULL with an exception. */
static PyObject *copy_state(const gw_model *model, PyObject *from, float *to, atomic_int *busy, const char *what) {
    const size_t floats = gw_model_sizes(model)->state_floats, bytes = floats * sizeof(float);
    Py_buffer view;
    if (PyObject_GetBuffer(from, &view, PyBUF_SIMPLE)) return NULL;
    PyObject *result = NULL;
    float *copy = PyMem_Malloc(bytes ? bytes : 1);
    if (!copy) {
        PyErr_NoMemory();
    } else if ((size_t)view.len != bytes) {
        raise("StateError", "this model's state has %zu bytes, got %zd; load a state of the same model", bytes,
              view.len);
    } else {
        memcpy(copy, view.buf, bytes);
        const size_t bad = gw_bad_state(model, copy);
        if (bad < floats) {
            refuse_state("the state", 0, bad, copy[bad]);
        } else if (!take(busy, what)) {
            memcpy(to, copy, bytes);
            give_back(busy);
            result = Py_None;
            Py_INCREF(result);
        }
    }
    PyMem_Free(copy);
    PyBuffer_Release(&view);
    return result;
}

static PyObject *stream_set_state(PyObject *object, PyObject *state) {
    Stream *self = (Stream *)object;
    return copy_state(self->model, state, self->state, &self->busy, "stream");
}

static PyMethodDef stream_methods[] = {
    {"push", (PyCFunction)(void (*)(void))stream_push, METH_FASTCALL | METH_KEYWORDS,
     "push($self, /, x, out=None)\n--\n\nOne step: x (inputs) gives y (outputs), float32.\n\n"
     "x holds the readings in the order of model.columns: any real numbers, or one number where there is one input; a\n"
     "contiguous float32 array is fastest. out: a float32 array (outputs) to write to; None = a new one. y is called "
     "as\n"
     "model.output_names says.\n\nRaises InputError where x or out do not fit, or a value is missing (not finite, or "
     "beyond 1e18\n"
     "in size once scaled) and the model's input stage refuses that, and BusyError where another thread uses this "
     "stream. The state is then as it was."},
    {"push_many", (PyCFunction)(void (*)(void))stream_push_many, METH_FASTCALL | METH_KEYWORDS,
     "push_many($self, /, x, out=None)\n--\n\nMany steps: x (time, inputs) gives y (time, outputs), the same bits as\n"
     "one push after the other. All of x is checked before the state changes; otherwise as push."},
    {"_as_float32", stream_as_float32, METH_VARARGS,
     "_as_float32($self, x, ndim, /)\n--\n\nCalled with an x that does not fit as it is; a subclass converts it."},
    {"reset", stream_reset, METH_NOARGS, "reset($self, /)\n--\n\nBack to the start of a sequence."},
    {"get_state", stream_get_state, METH_NOARGS, "get_state($self, /)\n--\n\nThe state: float32 values as bytes."},
    {"set_state", stream_set_state, METH_O, "set_state($self, state, /)\n--\n\nContinue from bytes of get_state."},
    {0},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, "Stream(model)\n--\n\nOne session of a model: owns one state."},
    {Py_tp_new, stream_new},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_methods, stream_methods},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "gatewise._core.Stream",
    .basicsize = sizeof(Stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stream_slots,
};

#endif
