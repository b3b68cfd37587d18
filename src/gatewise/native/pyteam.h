/* What the training functions have in common: checks of the lengths and resets of rows, and the threads that compute
 * the shares.
 *
 * The shares are computed by the OpenMP threads that torch already has. These wait for work by spinning, for
 * milliseconds, so additional threads would compete with them for the cores and gain nothing. Python looks up the
 * function that starts them in the runtime that torch has loaded, and passes its address. The function is
 * GOMP_parallel, which the runtimes of GCC, LLVM and Intel all have. No second runtime is loaded, and none has to be
 * linked.
 */
#ifndef GW_PYTEAM_H
#define GW_PYTEAM_H

#include "pycommon.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Runs function(data) in this many threads, including the calling one, and waits for all of them. */
typedef void start_team(void (*function)(void *), void *data, unsigned threads, unsigned flags);

typedef struct team {
    size_t shares;
    int (*run)(const void *data, size_t share);
    const void *data;
    atomic_size_t next;
    atomic_int failed;
} team;

/* A thread that has finished a share takes the next one, so that any number of threads computes all shares. */
static void team_member(void *data) {
    team *t = data;
    for (size_t share; (share = atomic_fetch_add(&t->next, 1)) < t->shares;)
        if (t->run(t->data, share)) atomic_store(&t->failed, 1);
}

/* Calls run(data, share) for all shares, in threads started by the function at this address, or one after the other if
 * it is 0. Returns whether any share failed. */
static int run_team(intptr_t address, size_t shares, int (*run)(const void *, size_t), const void *data) {
    team t = {.shares = shares, .run = run, .data = data};
    union {
        intptr_t address;
        start_team *start;
    } known = {.address = address};
    if (address && shares > 1)
        known.start(team_member, &t, (unsigned)shares, 0);
    else
        team_member(&t);
    return atomic_load(&t.failed);
}

/* The data of an array of this type with `nd` axes of these lengths; NULL with an exception. */
static void *array_given(const np_api *np, const char *function, const char *what, PyObject *array, PyObject *dtype,
                         int flags, int nd, const size_t *wanted) {
    int fits = np_is(np, array, dtype, nd, flags);
    for (int i = 0; fits && i < nd; i++) fits = (size_t)np_dim(array, i) == wanted[i];
    if (fits) return np_data(array);
    const char *text = nd == 1 ? "%s%S (%zu,)" : nd == 2 ? "%s%S (%zu, %zu)" : "%s%S (%zu, %zu, %zu)";
    char name[64];
    PyOS_snprintf(name, sizeof name, "%s: %s", function, what);
    refuse_array(np, name, array, text, flags ? "writable C-contiguous " : "C-contiguous ", dtype, wanted[0],
                 nd > 1 ? wanted[1] : 0, nd > 2 ? wanted[2] : 0);
    return NULL;
}

/* Checks lengths, int64 (B,) from 0 to T, or None, and resets, bool (B, T), or None. Returns 0, or -1 with an
 * exception. */
static int rows_given(const np_api *np, PyObject *lengths, PyObject *resets, size_t batch, size_t time,
                      const int64_t **lengths_into, const uint8_t **resets_into) {
    if (lengths != Py_None) {
        if (!np_is(np, lengths, np->int64, 1, 0) || (size_t)np_dim(lengths, 0) != batch) {
            refuse_array(np, "lengths", lengths, "C-contiguous int64 (%zu,)", batch);
            return -1;
        }
        const int64_t *steps = *lengths_into = (const int64_t *)(const void *)np_data(lengths);
        for (size_t i = 0; i < batch; i++)
            if (steps[i] < 0 || (uint64_t)steps[i] > time) {
                raise("InputError", "lengths must be from 0 to %zu, got %lld", time, (long long)steps[i]);
                return -1;
            }
    }
    if (resets != Py_None) {
        if (!np_is(np, resets, np->boolean, 2, 0) || (size_t)np_dim(resets, 0) != batch ||
            (size_t)np_dim(resets, 1) != time) {
            refuse_array(np, "resets", resets, "C-contiguous bool (%zu, %zu)", batch, time);
            return -1;
        }
        *resets_into = (const uint8_t *)(const void *)np_data(resets);
    }
    return 0;
}

#endif
