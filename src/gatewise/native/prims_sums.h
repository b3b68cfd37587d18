/* The sums that layers are made of, in terms of gw_sums, which prims_scalar.h and prims_vector.h each define:
 *
 *     acc[i][r] = from[i][r] + sum over the products of  w[r][k] * x[i][k]  with k = 0, 1, ...
 *
 * for the rows i and the outputs r: one chain of fused multiply-adds for each output, however many rows there are. acc and
 * from have room for gw_padded(outputs) floats in each row, and may be the same; nothing need be aligned. Include
 * prims_scalar.h or prims_vector.h, not this file.
 */
#ifndef GW_PRIMS_SUMS_H
#define GW_PRIMS_SUMS_H

/* A packed matrix (outputs, cols) and what it is to be multiplied with: x (rows, cols), x_stride floats from row to row. */
typedef struct gw_product {
    const float *packed, *x;
    size_t x_stride;
    int cols;
} gw_product;

static inline void gw_sums(float *acc, size_t acc_stride, const float *from, size_t from_stride,
                           const gw_product *products, int count, int outputs, int rows);

/* acc = bias + W x for each row. */
static inline void gw_affine(float *acc, size_t acc_stride, const float *bias, gw_product x, int outputs, int rows) {
    gw_sums(acc, acc_stride, bias, 0, &x, 1, outputs, rows);
}

/* acc = bias + W x + U h for each row: the heart of a recurrent layer. */
static inline void gw_affine_2(float *acc, size_t acc_stride, const float *bias, gw_product x, gw_product h,
                               int outputs, int rows) {
    const gw_product products[2] = {x, h};
    gw_sums(acc, acc_stride, bias, 0, products, 2, outputs, rows);
}

/* acc = acc + W x for each row. */
static inline void gw_matmul(float *acc, size_t acc_stride, const float *packed, const float *x, size_t x_stride,
                             int outputs, int cols, int rows) {
    const gw_product product = {packed, x, x_stride, cols};
    gw_sums(acc, acc_stride, acc, acc_stride, &product, 1, outputs, rows);
}

/* The same for one row. */
static inline void gw_matvec(float *acc, const float *packed, const float *x, int outputs, int cols) {
    gw_matmul(acc, 0, packed, x, 0, outputs, cols, 1);
}

#endif
