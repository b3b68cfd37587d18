/* Training kernels (layers/gru/kernel_train.c, ...): whole sequences, with what a gradient needs, and that gradient.
 *
 * A kernel does all of a layer: the products outside the loop over time too, because what they read is then still in the
 * cache, and a thread that has its rows needs nothing from the others until the end.
 *
 * They are host code, never exported, and written on the primitives, once for float and once for double (gw_real): dispatch.c
 * includes them for each instruction set, train_double.c with prims_double.h. A kernel_train.c ends with
 *
 *     static const gw_train_kernel gw_train_gru = {"gru", ...};       by way of GW_TRAIN_KERNEL(gru)
 *
 * Rows may end early: a row of length L is done after L steps, and the others go on without it. At a step where a row is
 * reset it begins anew, from zeros.
 */
#ifndef GW_TRAIN_H
#define GW_TRAIN_H

#include <stddef.h>
#include <stdint.h>

enum { GW_TRAIN_STATES = 2, GW_TRAIN_TENSORS = 6 };

/* How wide everything is, of one row and step. */
typedef struct gw_train_sizes {
    size_t inputs;                 /* I */
    size_t units;                  /* H */
    size_t out;                    /* R, the hidden state that is written; H, or P with a projection */
    size_t state[GW_TRAIN_STATES]; /* the fields of the state; 0 = there is none */
    size_t saved;                  /* what forward leaves for backward */
    struct {
        size_t rows, cols;       /* cols 1 for a vector, rows 0 where there is none */
    } tensors[GW_TRAIN_TENSORS]; /* in the order of spec.py */
} gw_train_sizes;

/* T steps of B rows. All arrays are contiguous, of gw_real unless it says otherwise, and aligned to it. */
typedef struct gw_sequence {
    gw_train_sizes sizes;
    const double *options; /* those of the layer's native() */
    size_t time, batch;
    size_t share, shares; /* this call does the rows of one share */
    const void *x;        /* (B, T, I) */
    const void *tensors[GW_TRAIN_TENSORS];
    const void *first[GW_TRAIN_STATES]; /* (B, state) the state before the first step */
    const int64_t *lengths;             /* (B) 0..T; NULL = T */
    const uint8_t *resets;              /* (B, T) whether the state is zero before this step; NULL = never */
    void *out;                          /* (B, T, R), 0 beyond the end of a row; forward writes, backward reads it */
    void *last[GW_TRAIN_STATES];        /* (B, state) at the end of each row; forward writes it */
    void *saved;                        /* (T, B, saved); NULL in a forward run without a gradient */
    const void *d_out;                  /* (B, T, R) the gradient of out; the rest is backward's too, NULL in forward */
    const void *d_last[GW_TRAIN_STATES]; /* (B, state) */
    void *d_x;                           /* (B, T, I), 0 beyond the end of a row; NULL = not wanted */
    void *d_first[GW_TRAIN_STATES];      /* (B, state) */
    void *d_tensors[GW_TRAIN_TENSORS];   /* as the tensors, zeros; they become this share's part of the gradients */
} gw_sequence;

typedef struct gw_train_kernel {
    const char *kind;
    /* From the options, the width of the input, the rows of the input's matrix and the width of the hidden state; 0 where
     * these make no sense. */
    int (*sizes)(const double *options, size_t count, size_t inputs, size_t rows, size_t hidden, gw_train_sizes *sizes);
    /* 0, or -1 where there is no memory. */
    int (*forward)(const gw_sequence *sequence);
    int (*backward)(const gw_sequence *sequence);
} gw_train_kernel;

/* Those for double, up to a NULL; those for float are in the gw_isa. */
extern const gw_train_kernel *const gw_train_kernels_double[];

#endif
