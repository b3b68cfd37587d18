/* The linear scan over whole sequences, h[t] = a[t] h[t-1] + b[t] elementwise, and its gradient; for training.
 *
 * Like the training kernels it is host code, never exported, and compiled once for float in each instruction set, by dispatch.c,
 * and once for double, by train_double.c; scan_rows.h is its text. Numbers are real, or complex as real and imaginary part
 * beside each other.
 *
 * Rows may end early: beyond the end nothing is read, h is 0 there and so are the gradients. At a step where a row is reset
 * h[t-1] is 0, whatever it was.
 */
#ifndef GW_SCAN_H
#define GW_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* T steps of B rows of W numbers of gw_real: W is the width, or twice that of complex values. All arrays are contiguous. */
typedef struct gw_scan {
    size_t batch, time, width;
    int is_complex;
    int same_a;             /* a is (W), the same at every step */
    size_t share, shares;   /* this call does the rows of one share */
    const void *a;          /* (B, T, W), or (W) */
    const void *b;          /* (B, T, W); forward reads it */
    const void *first;      /* (B, W) h before the first step */
    const int64_t *lengths; /* (B) 0..T; NULL = T */
    const uint8_t *resets;  /* (B, T); NULL = never */
    void *h;                /* (B, T, W); forward writes, backward reads it */
    void *last;             /* (B, W) at the end of each row; forward writes it */
    const void *d_h;        /* (B, T, W) the gradient of h; the rest is backward's too */
    const void *d_last;     /* (B, W) */
    void *d_a;              /* (B, T, W), or (B, W), the sum over the steps of a row; NULL where it is not wanted */
    void *d_b;              /* (B, T, W) */
    void *d_first;          /* (B, W) */
} gw_scan;

typedef struct gw_scan_kernel {
    void (*forward)(const gw_scan *scan);
    void (*backward)(const gw_scan *scan);
} gw_scan_kernel;

/* That for double; those for float are in the gw_isa. */
extern const gw_scan_kernel gw_scan_double;

#endif
