/* Training kernels (layers/gru/kernel_train.c, ...): whole sequences, with what a gradient needs, and that gradient.
 *
 * A kernel runs the recurrence alone. The input's share of the sums, biases included, comes ready made for all steps, and the
 * gradients of weights are left to the caller: both are large products outside the loop over time.
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

enum { GW_TRAIN_STATES = 2, GW_TRAIN_TENSORS = 3 };

/* How wide everything is, of one row and step. */
typedef struct gw_train_sizes {
    size_t units;                  /* H */
    size_t sums;                   /* what goes into the activations: H for each gate */
    size_t out;                    /* R, the hidden state that is written; H, or P with a projection */
    size_t state[GW_TRAIN_STATES]; /* the fields of the state; 0 = there is none */
    size_t kept;                   /* what forward leaves for backward */
    size_t extra;                  /* what backward gives beside the gradient of the sums */
    size_t packed[2];              /* the recurrent matrices as forward and as backward reads them, not of a row */
    struct {
        size_t rows, cols; /* cols 1 for a vector, rows 0 where there is none */
    } tensors[GW_TRAIN_TENSORS];
} gw_train_sizes;

/* T steps of B rows. All arrays are contiguous, of gw_real unless it says otherwise, and aligned to it. */
typedef struct gw_sequence {
    gw_train_sizes sizes;
    const double *options; /* those of the layer's native() */
    size_t time, batch;
    size_t share, shares; /* this call does the rows of one share */
    const void *sums;     /* (T, B, sums) the input's share */
    const void *tensors[GW_TRAIN_TENSORS];
    const void *packed;                  /* what pack made of them for this direction */
    const void *first[GW_TRAIN_STATES];  /* (B, state) the state before the first step */
    const int64_t *lengths;              /* (B) 0..T; NULL = T */
    const uint8_t *resets;               /* (T, B) whether the state is zero before this step; NULL = never */
    void *out;                           /* (T, B, R), 0 beyond the end of a row; forward writes, backward reads it */
    void *last[GW_TRAIN_STATES];         /* (B, state) at the end of each row; forward writes it */
    void *kept;                          /* (T, B, kept); NULL in a forward run without a gradient */
    const void *d_out;                   /* (T, B, R) the gradient of out; the rest is backward's too */
    const void *d_last[GW_TRAIN_STATES]; /* (B, state) */
    void *d_sums;                   /* (T, B, sums), 0 beyond the end of a row; backward writes this and the rest */
    void *d_first[GW_TRAIN_STATES]; /* (B, state) */
    void *extra;                    /* (T, B, extra) */
} gw_sequence;

typedef struct gw_train_kernel {
    const char *kind;
    /* From the options, the width of the sums and that of the hidden state; 0 where these make no sense. */
    int (*sizes)(const double *options, size_t count, size_t sums, size_t hidden, gw_train_sizes *sizes);
    /* The recurrent matrices for forward (0) or backward (1): sizes.packed[direction] numbers, aligned to 64 bytes. */
    void (*pack)(const gw_sequence *sequence, int direction, void *packed);
    /* 0, or -1 where there is no memory. */
    int (*forward)(const gw_sequence *sequence);
    int (*backward)(const gw_sequence *sequence);
} gw_train_kernel;

/* Those for double, up to a NULL; those for float are in the gw_isa. */
extern const gw_train_kernel *const gw_train_kernels_double[];

#endif
