/* Access to NumPy arrays without NumPy's headers. Building therefore does not need NumPy, and a check costs a few loads
 * instead of a call of the buffer protocol (25 ns instead of 95 ns for x and out).
 *
 * The struct below and the numbers of the functions are NumPy's stable ABI, which is the same in 1.x and 2.x
 * (numpy/ndarraytypes.h, numpy/__multiarray_api.h); pybind11 relies on it as well. np_import tests them on a real array
 * before they are used. */
#ifndef GW_NDARRAY_H
#define GW_NDARRAY_H

#include <Python.h>
#include <stdint.h>

typedef struct np_array {
    PyObject_HEAD char *data;
    int nd;
    intptr_t *dimensions;
    intptr_t *strides;
    PyObject *base;
    PyObject *descr;
    int flags;
} np_array;

enum { NP_FLOAT = 11, NP_CONTIGUOUS = 0x1, NP_ALIGNED = 0x100, NP_WRITEABLE = 0x400 };

/* What the functions below need from NumPy. The module owns the references. */
typedef struct np_api {
    PyTypeObject *type;                  /* numpy.ndarray */
    PyObject *float32;                   /* numpy.dtype("float32"), a single object in NumPy */
    PyObject *float64, *int64, *boolean; /* likewise */
    PyObject *(*new_array)(PyTypeObject *, PyObject *descr, int nd, const intptr_t *shape, const intptr_t *strides,
                           void *data, int flags, PyObject *self);
} np_api;

static inline float *np_data(PyObject *array) { return (float *)(void *)((np_array *)array)->data; }
static inline intptr_t np_dim(PyObject *array, int i) { return ((np_array *)array)->dimensions[i]; }

/* Whether two dtypes are equal. A dtype from a pickle or with metadata is another object than NumPy's own. */
static int np_same_type(PyObject *descr, PyObject *wanted) {
    const int same = PyObject_RichCompareBool(descr, wanted, Py_EQ);
    if (same < 0) PyErr_Clear();
    return same == 1;
}

/* Whether object is a C-contiguous, aligned array of nd dimensions and that dtype; flags: NP_WRITEABLE or 0. */
static inline int np_is(const np_api *np, PyObject *object, PyObject *dtype, int nd, int flags) {
    const np_array *array = (np_array *)object;
    flags |= NP_CONTIGUOUS | NP_ALIGNED;
    return (Py_TYPE(object) == np->type || PyType_IsSubtype(Py_TYPE(object), np->type)) && array->nd == nd &&
           (array->flags & flags) == flags && (array->descr == dtype || np_same_type(array->descr, dtype));
}

static inline int np_is_float32(const np_api *np, PyObject *object, int nd, int flags) {
    return np_is(np, object, np->float32, nd, flags);
}

/* A new float32 array; its values are not set. */
static inline PyObject *np_new(const np_api *np, int nd, const intptr_t *shape) {
    Py_INCREF(np->float32); /* new_array takes this reference */
    return np->new_array(np->type, np->float32, nd, shape, NULL, NULL, 0, NULL);
}

/* Imports what is needed and tests it. Returns 0, or -1 with an exception. */
static int np_import(np_api *np) {
    PyObject *module = PyImport_ImportModule("numpy._core._multiarray_umath");
    if (!module && PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) { /* NumPy 1 */
        PyErr_Clear();
        module = PyImport_ImportModule("numpy.core._multiarray_umath");
    }
    if (!module) return -1;
    PyObject *capsule = PyObject_GetAttrString(module, "_ARRAY_API");
    Py_DECREF(module);
    void **api = capsule ? PyCapsule_GetPointer(capsule, NULL) : NULL;
    Py_XDECREF(capsule); /* the module keeps a reference */
    if (!api) return -1;
    union {
        void *pointer;
        unsigned (*version)(void);
        PyObject *(*descr)(int);
        PyObject *(*new_array)(PyTypeObject *, PyObject *, int, const intptr_t *, const intptr_t *, void *, int,
                               PyObject *);
    } call;
    call.pointer = api[0];
    const unsigned version = call.version() >> 24;
    if (version != 1 && version != 2) {
        PyErr_Format(PyExc_ImportError, "gatewise knows the array layout of NumPy 1 and 2, got ABI version %u",
                     version);
        return -1;
    }
    call.pointer = api[94];
    np->new_array = call.new_array;
    np->type = (PyTypeObject *)api[2];
    Py_INCREF((PyObject *)np->type);
    call.pointer = api[45];
    np->float32 = call.descr(NP_FLOAT);
    PyObject *numpy = PyImport_ImportModule("numpy");
    np->float64 = numpy ? PyObject_CallMethod(numpy, "dtype", "s", "float64") : NULL;
    np->int64 = np->float64 ? PyObject_CallMethod(numpy, "dtype", "s", "int64") : NULL;
    np->boolean = np->int64 ? PyObject_CallMethod(numpy, "dtype", "s", "bool") : NULL;
    Py_XDECREF(numpy);
    if (!np->boolean) return -1;
    const intptr_t shape[2] = {3, 5};
    PyObject *probe = np->float32 ? np_new(np, 2, shape) : NULL;
    if (!probe) return -1;
    const np_array *array = (np_array *)probe;
    const int as_known = np_is_float32(np, probe, 2, NP_WRITEABLE) && array->dimensions[0] == 3 &&
                         array->dimensions[1] == 5 && array->strides[0] == 20 && array->strides[1] == 4;
    Py_DECREF(probe);
    if (!as_known) PyErr_SetString(PyExc_ImportError, "NumPy's array layout is not the one gatewise knows");
    return as_known ? 0 : -1;
}

#endif
