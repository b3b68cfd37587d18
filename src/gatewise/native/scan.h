/* The linear scan over whole sequences, h[t] = a[t] h[t-1] + b[t] elementwise, and its gradient, for training.
 *
 * Like the training kernels it runs on the host only. It is implemented in scan_rows.h and compiled for float by
 * dispatch.c, for each instruction set, and for double by train_double.c. Values are real, or complex, with the real
 * part followed by the imaginary part.
 *
 * Rows may have different lengths: after the end of a row nothing is read, and h and the gradients are 0. At a step at
 * which a row is reset, h[t-1] counts as 0.
 */
#ifndef GW_SCAN_H
#define GW_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* T steps of B rows of W numbers (gw_real): a complex value is two numbers. All arrays are contiguous. */
typedef struct gw_scan {
    size_t batch, time, width;
    int is_complex;
    int same_a;             /* a is (W), the same for all rows and steps */
    size_t share, shares;   /* this call computes rows share, share + shares, ... */
    const void *a;          /* (B, T, W), or (W) */
    const void *b;          /* (B, T, W); forward reads it */
    const void *first;      /* (B, W): h before the first step */
    const int64_t *lengths; /* (B): steps of each row, 0 to T; NULL: all T */
    const uint8_t *resets;  /* (B, T): whether h before this step counts as 0; NULL: never */
    void *h;                /* (B, T, W); forward writes it, backward reads it */
    void *last;             /* (B, W): h at the end of each row; forward writes it */
    const void *d_h;        /* (B, T, W): gradient of h; this and the rest is for backward */
    const void *d_last;     /* (B, W) */
    void *d_a;              /* (B, T, W), or with same_a (B, W), the sum over the steps of a row; NULL: not wanted */
    void *d_b;              /* (B, T, W) */
    void *d_first;          /* (B, W) */
} gw_scan;

typedef struct gw_scan_kernel {
    void (*forward)(const gw_scan *scan);
    void (*backward)(const gw_scan *scan);
} gw_scan_kernel;

/* The scan for double; that for float is in gw_isa. */
extern const gw_scan_kernel gw_scan_double;

#endif
