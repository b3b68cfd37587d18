/* Packing and sums without vectors, in float or double (gw_real). Include prims_scalar.h or prims_double.h, not this
 * file. */
#ifndef GW_PRIMS_PLAIN_H
#define GW_PRIMS_PLAIN_H

/* Pack a matrix panel by panel: for each panel, for each column k, the GW_PANEL rows of the panel, with zeros after the
 * last row. Writes gw_padded(rows) * cols numbers. The element in row r and column k is w[r * row_stride + k *
 * col_stride]. */
static inline void gw_pack_strided(gw_real *packed, const gw_real *w, int rows, int cols, int row_stride,
                                   int col_stride) {
    for (int r = 0; r < rows; r += GW_PANEL)
        for (int k = 0; k < cols; k++)
            for (int j = 0; j < GW_PANEL; j++)
                *packed++ = r + j < rows ? w[(size_t)(r + j) * (size_t)row_stride + (size_t)k * (size_t)col_stride] : 0;
}

static inline void gw_sums(gw_real *acc, size_t acc_stride, const gw_real *from, size_t from_stride,
                           const gw_product *products, int count, int outputs, int rows) {
    for (int i = 0; i < rows; i++, acc += acc_stride, from += from_stride)
        for (int r = 0; r < outputs; r += GW_PANEL) {
            gw_real sum[GW_PANEL];
            for (int j = 0; j < GW_PANEL; j++) sum[j] = from[r + j];
            for (int p = 0; p < count; p++) {
                const int cols = products[p].cols;
                const gw_real *x = products[p].x + (size_t)i * products[p].x_stride;
                const gw_real *packed = products[p].packed + (size_t)r * (size_t)cols;
                for (int k = 0; k < cols; k++, packed += GW_PANEL)
                    for (int j = 0; j < GW_PANEL; j++) sum[j] += packed[j] * x[k];
            }
            for (int j = 0; j < GW_PANEL; j++) acc[r + j] = sum[j];
        }
}

#endif
