/* The gradient of a matrix, a product over many rows:
 *
 *     acc[i][j] += sum over the rows k = 0, 1, ... of  a[k][i] * b[k][j]        acc (outputs, cols)
 *
 * Host only, for training. Include it after the primitives, for float or double (gw_real). The rows of b have room for
 * whole panels; the values after the last column are not used.
 */
#ifndef GW_PRIMS_OUTER_H
#define GW_PRIMS_OUTER_H

#if GW_LANES == 1

static inline void gw_outer(gw_real *acc, size_t acc_stride, const gw_real *a, size_t a_stride, const gw_real *b,
                            size_t b_stride, int outputs, int cols, int rows) {
    for (int k = 0; k < rows; k++, a += a_stride, b += b_stride)
        for (int i = 0; i < outputs; i++) {
            gw_real *restrict sum = acc + (size_t)i * acc_stride;
            const gw_real factor = a[i];
            for (int j = 0; j < cols; j++) sum[j] += factor * b[j];
        }
}

#else

/* The sums of `outputs` rows and `panels` panels stay in registers; the last panel has `tail` lanes. Inlined with
 * constant outputs and panels. */
static inline __attribute__((always_inline)) void gw_outer_tile(float *acc, size_t acc_stride, const float *restrict a,
                                                                size_t a_stride, const float *restrict b,
                                                                size_t b_stride, int rows, int tail, const int panels,
                                                                const int outputs) {
    gwv sum[GW_BLOCK_ROWS][GW_BLOCK_PANELS];
    GW_UNROLL
    for (int i = 0; i < outputs; i++) GW_UNROLL
    for (int j = 0; j < panels; j++)
        sum[i][j] = gwv_load_part(acc + (size_t)i * acc_stride + j * GW_PANEL, j + 1 < panels ? GW_LANES : tail);
    for (int k = 0; k < rows; k++, a += a_stride, b += b_stride) {
        gwv x[GW_BLOCK_PANELS];
        GW_UNROLL
        for (int j = 0; j < panels; j++) x[j] = gwv_load(b + j * GW_PANEL);
        GW_UNROLL
        for (int i = 0; i < outputs; i++) {
            gwv factor = gwv_set(a[i]);
            GW_UNROLL
            for (int j = 0; j < panels; j++) sum[i][j] = gwv_fma(x[j], factor, sum[i][j]);
        }
    }
    GW_UNROLL
    for (int i = 0; i < outputs; i++) GW_UNROLL
    for (int j = 0; j < panels; j++)
        gwv_store_part(acc + (size_t)i * acc_stride + j * GW_PANEL, sum[i][j], j + 1 < panels ? GW_LANES : tail);
}

/* All outputs for `panels` adjacent panels; the outputs are divided evenly into tiles. */
static inline __attribute__((always_inline)) void gw_outer_panels(float *acc, size_t acc_stride, const float *a,
                                                                  size_t a_stride, const float *b, size_t b_stride,
                                                                  int rows, int tail, const int panels, int outputs) {
    for (int i = 0, taken; i < outputs; i += taken) {
        const int blocks = (outputs - i + GW_BLOCK_ROWS - 1) / GW_BLOCK_ROWS;
        taken = (outputs - i + blocks - 1) / blocks;
        switch (taken) {
#define GW_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        gw_outer_tile(acc + (size_t)i * acc_stride, acc_stride, a + i, a_stride, b, b_stride, rows, tail, panels, n);  \
        break
            GW_CASE(1);
            GW_CASE(2);
            GW_CASE(3);
            GW_CASE(4);
            GW_CASE(5);
            GW_CASE(6);
#undef GW_CASE
        }
    }
}

static __attribute__((noinline, unused)) void gw_outer(float *acc, size_t acc_stride, const float *a, size_t a_stride,
                                                       const float *b, size_t b_stride, int outputs, int cols,
                                                       int rows) {
    for (int j = 0, panels; j < cols; j += panels * GW_PANEL) {
        const int left = (cols - j + GW_PANEL - 1) / GW_PANEL, blocks = (left + GW_BLOCK_PANELS - 1) / GW_BLOCK_PANELS;
        panels = (left + blocks - 1) / blocks;
        const int tail = panels < left ? GW_LANES : cols - j - (panels - 1) * GW_PANEL;
        switch (panels) {
#define GW_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        gw_outer_panels(acc + j, acc_stride, a, a_stride, b + j, b_stride, rows, tail, n, outputs);                    \
        break
            GW_CASE(1);
            GW_CASE(2);
#if GW_BLOCK_PANELS > 2
            GW_CASE(3);
            GW_CASE(4);
#endif
#undef GW_CASE
        }
    }
}

#endif

/* acc[i] += the sum of a[k][i] over the rows k: the gradient of a bias. */
static inline void gw_add_rows(gw_real *acc, const gw_real *a, size_t a_stride, int outputs, int rows) {
    for (int k = 0; k < rows; k++, a += a_stride)
        GW_EACH(outputs, gwv_store_part(acc + i, gwv_add(gwv_load_part(acc + i, n), gwv_load_part(a + i, n)), n));
}

#endif
