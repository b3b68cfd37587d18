/* What the classes have in common: the state of the module, errors, memory, and checks of arrays. */
#ifndef GW_PYCOMMON_H
#define GW_PYCOMMON_H

#include <Python.h>

#include "gatewise.h"
#include "ndarray.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

/* From this number of multiply-accumulate operations on, about 50 us of work, a call releases the interpreter, so that
 * other Python threads can run. For less work, releasing and taking it again would cost more than it gains. */
static const uint64_t release_work = 1u << 20;

typedef struct module_state {
    np_api np;
    PyObject *name_x, *name_out; /* interned */
    PyObject *model_type, *stream_type, *pool_type;
} module_state;

/* Raises an exception of gatewise.errors, which is imported only when it is needed. Returns NULL. */
static PyObject *raise(const char *name, const char *format, ...) {
    PyObject *errors = PyImport_ImportModule("gatewise.errors");
    PyObject *class = errors ? PyObject_GetAttrString(errors, name) : NULL;
    if (class) {
        va_list values;
        va_start(values, format);
        PyErr_FormatV(class, format, values);
        va_end(values);
    }
    Py_XDECREF(class);
    Py_XDECREF(errors);
    return NULL;
}

/* An aligned block of zeros; *memory is the pointer for PyMem_Free. NULL with an exception. */
static char *aligned_block(size_t bytes, void **memory) {
    *memory = bytes <= (size_t)PY_SSIZE_T_MAX - GW_ALIGNMENT ? PyMem_Calloc(1, bytes + GW_ALIGNMENT) : NULL;
    if (!*memory) PyErr_NoMemory();
    const uintptr_t start = (uintptr_t)*memory;
    return *memory ? (char *)*memory + (GW_ALIGNMENT - start % GW_ALIGNMENT) % GW_ALIGNMENT : NULL;
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    const uintptr_t a0 = (uintptr_t)a, b0 = (uintptr_t)b;
    return a_bytes && b_bytes && a0 < b0 + b_bytes && b0 < a0 + a_bytes;
}

/* A description such as "float32 (3, 4)", with the type if it is a subclass; the type alone if it is not an array. A
 * new str. */
static PyObject *described(const np_api *np, PyObject *object) {
    if (!PyType_IsSubtype(Py_TYPE(object), np->type)) return PyObject_Str((PyObject *)Py_TYPE(object));
    PyObject *dtype = PyObject_GetAttrString(object, "dtype"), *shape = PyObject_GetAttrString(object, "shape");
    PyObject *text = !dtype || !shape ? NULL
                     : Py_TYPE(object) == np->type
                         ? PyUnicode_FromFormat("%S %S", dtype, shape)
                         : PyUnicode_FromFormat("%S %S in a %S", dtype, shape, Py_TYPE(object));
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
    return text;
}

/* Raises InputError: `where` must be an array as `expected` describes it. Returns NULL. */
static PyObject *refuse_array(const np_api *np, const char *where, PyObject *got, const char *expected, ...) {
    va_list values;
    va_start(values, expected);
    PyObject *want = PyUnicode_FromFormatV(expected, values), *have = described(np, got);
    va_end(values);
    const int odd = PyType_IsSubtype(Py_TYPE(got), np->type) && !(((np_array *)got)->flags & NP_ALIGNED);
    if (want && have) raise("InputError", "%s must be %U, got %s%U", where, want, odd ? "misaligned " : "", have);
    Py_XDECREF(want);
    Py_XDECREF(have);
    return NULL;
}

/* Only the thread that has taken `busy` of a stream or pool may use its states and scratch. Takes it for this thread.
 * Returns 0, or -1 with an exception. */
static inline int take(atomic_int *busy, const char *what) {
    if (!atomic_exchange_explicit(busy, 1, memory_order_acquire)) return 0;
    raise("BusyError", "this %s is in use by another thread; give each thread a %s of its own", what, what);
    return -1;
}

static inline void give_back(atomic_int *busy) { atomic_store_explicit(busy, 0, memory_order_release); }

#endif
