/* The sums in layers. They all call gw_sums, which prims_scalar.h, prims_vector.h and prims_double.h each define:
 *
 *     acc[i][r] = from[i][r] + sum over the products of  w[r][k] * x[i][k]  with k = 0, 1, ...
 *
 * for the rows i and the outputs r. Each output is one chain of multiply-adds, whatever the number of rows. acc and
 * from have room for gw_padded(outputs) numbers in each row, and may be the same array; nothing has to be aligned.
 * Include one of those three files, not this one.
 */
#ifndef GW_PRIMS_SUMS_H
#define GW_PRIMS_SUMS_H

/* A packed matrix (outputs, cols) and the array x (rows, cols) to multiply it with, whose rows are x_stride numbers
 * apart. */
typedef struct gw_product {
    const gw_real *packed, *x;
    size_t x_stride;
    int cols;
} gw_product;

static inline void gw_sums(gw_real *acc, size_t acc_stride, const gw_real *from, size_t from_stride,
                           const gw_product *products, int count, int outputs, int rows);

static inline void gw_pack_strided(gw_real *packed, const gw_real *w, int rows, int cols, int row_stride,
                                   int col_stride);

/* The rows of w are row_stride numbers apart. */
static inline void gw_pack_matrix(gw_real *packed, const gw_real *w, int rows, int cols, int row_stride) {
    gw_pack_strided(packed, w, rows, cols, row_stride, 1);
}

/* acc = bias + W x for each row. */
static inline void gw_affine(gw_real *acc, size_t acc_stride, const gw_real *bias, gw_product x, int outputs,
                             int rows) {
    gw_sums(acc, acc_stride, bias, 0, &x, 1, outputs, rows);
}

/* acc = bias + W x + U h for each row, as recurrent layers need it. */
static inline void gw_affine_2(gw_real *acc, size_t acc_stride, const gw_real *bias, gw_product x, gw_product h,
                               int outputs, int rows) {
    const gw_product products[2] = {x, h};
    gw_sums(acc, acc_stride, bias, 0, products, 2, outputs, rows);
}

/* acc = acc + W x for each row. */
static inline void gw_matmul(gw_real *acc, size_t acc_stride, const gw_real *packed, const gw_real *x, size_t x_stride,
                             int outputs, int cols, int rows) {
    const gw_product product = {packed, x, x_stride, cols};
    gw_sums(acc, acc_stride, acc, acc_stride, &product, 1, outputs, rows);
}

#endif
