/* Training kernels (layers/gru/kernel_train.c, ...): a layer over whole sequences, forward and backward.
 *
 * A kernel computes the complete layer. This includes the matrix products that could run outside the loop over time,
 * because their operands are then still in the cache, and a thread that computes some of the rows does not have to wait
 * for other threads until the end.
 *
 * Training kernels run on the host only. They are written with the primitives and compiled both for float and for
 * double (gw_real): dispatch.c includes them for each instruction set, and train_double.c with prims_double.h. A
 * kernel_train.c ends with GW_TRAIN_KERNEL(gru), which defines
 *
 *     static const gw_train_kernel gw_train_gru = {"gru", ...};
 *
 * Rows may have different lengths: a row of length L ends after L steps, and the other rows continue. At a step at
 * which a row is reset, its state before the step is zero.
 */
#ifndef GW_TRAIN_H
#define GW_TRAIN_H

#include <stddef.h>
#include <stdint.h>

enum { GW_TRAIN_STATES = 2, GW_TRAIN_TENSORS = 6 };

/* The number of values for each row and step. */
typedef struct gw_train_sizes {
    size_t inputs;                 /* I */
    size_t units;                  /* H */
    size_t out;                    /* R, the hidden state, which is the output: H, or P with a projection */
    size_t state[GW_TRAIN_STATES]; /* each field of the state; 0: there is no such field */
    size_t saved;                  /* what forward saves for backward */
    struct {
        size_t rows, cols;       /* a vector has cols = 1; rows = 0: there is no such tensor */
    } tensors[GW_TRAIN_TENSORS]; /* in the order of the layer's spec.py */
} gw_train_sizes;

/* T steps of B rows. All arrays are contiguous and aligned; their elements are gw_real unless another type is given. */
typedef struct gw_sequence {
    gw_train_sizes sizes;
    const double *options; /* the options of the layer, as its method native() returns them */
    size_t time, batch;
    size_t share, shares; /* this call computes rows share, share + shares, ... */
    const void *x;        /* (B, T, I) */
    const void *tensors[GW_TRAIN_TENSORS];
    const void *first[GW_TRAIN_STATES]; /* (B, state): the state before the first step */
    const int64_t *lengths;             /* (B): steps of each row, 0 to T; NULL: all T */
    const uint8_t *resets;              /* (B, T): whether the state before this step is zero; NULL: never */
    void *out;                          /* (B, T, R), 0 after the end of a row; forward writes it, backward reads it */
    void *last[GW_TRAIN_STATES];        /* (B, state): the state at the end of each row; forward writes it */
    void *saved;                        /* (T, B, saved); NULL in a forward run without a gradient */
    const void *d_out; /* (B, T, R): gradient of out; this and the rest is for backward, and NULL in forward */
    const void *d_last[GW_TRAIN_STATES]; /* (B, state) */
    void *d_x;                           /* (B, T, I), 0 after the end of a row; NULL: not wanted */
    void *d_first[GW_TRAIN_STATES];      /* (B, state) */
    void *d_tensors[GW_TRAIN_TENSORS];   /* as tensors, first zeros; backward adds the gradients of this share */
} gw_sequence;

typedef struct gw_train_kernel {
    const char *kind;
    /* Compute the sizes from the options, the width of the input, the rows of the input matrix and the width of the
     * hidden state. Returns 0 if these do not fit together, else 1. */
    int (*sizes)(const double *options, size_t count, size_t inputs, size_t rows, size_t hidden, gw_train_sizes *sizes);
    /* Both return 0, or -1 if there is not enough memory. */
    int (*forward)(const gw_sequence *sequence);
    int (*backward)(const gw_sequence *sequence);
} gw_train_kernel;

/* The training kernels for double, followed by NULL; those for float are in gw_isa. */
extern const gw_train_kernel *const gw_train_kernels_double[];

#endif
