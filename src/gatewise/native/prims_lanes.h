/* Loops over vectors and panels, for float or double (gw_real). Include prims_scalar.h, prims_vector.h or
 * prims_double.h, not this file.
 */
#ifndef GW_PRIMS_LANES_H
#define GW_PRIMS_LANES_H

/* The number of rows rounded up to whole panels. Accumulators need room for this many numbers. */
static inline int gw_padded(int rows) { return (rows + GW_PANEL - 1) / GW_PANEL * GW_PANEL; }

/* Unrolls the next loop completely, so that arrays indexed in it are kept in registers. */
#if defined(__clang__)
#define GW_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GW_UNROLL _Pragma("GCC unroll 16")
#else
#define GW_UNROLL
#endif

/* Unrolls the next loop four times, so that it has fewer branches, which the processor predicts better. */
#if defined(__clang__)
#define GW_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#elif defined(__GNUC__)
#define GW_UNROLL_4 _Pragma("GCC unroll 4")
#else
#define GW_UNROLL_4
#endif

/* Load and store n <= GW_LANES numbers at p. If n is the constant GW_LANES these are plain loads and stores, which are
 * much faster on some CPUs. */
static inline gwv gwv_load_part(const gw_real *p, int n) { return n == GW_LANES ? gwv_load(p) : gwv_load_n(p, n); }

static inline void gwv_store_part(gw_real *p, gwv v, int n) {
    if (n == GW_LANES)
        gwv_store(p, v);
    else
        gwv_store_n(p, v, n);
}

/* Runs a statement over `count` values, in vectors of n lanes that begin at i. Several short loops over independent
 * vectors use a processor better than one long loop. */
#define GW_EACH(count, statement)                                                                                      \
    do {                                                                                                               \
        int i = 0;                                                                                                     \
        for (const int n = GW_LANES; i + n <= (count); i += n) statement;                                              \
        const int n = (count) - i;                                                                                     \
        if (n > 0) statement;                                                                                          \
    } while (0)

/* v limited to the range from -bound to bound, if bound > 0. */
static inline gwv gwv_within(gw_real bound, gwv v) {
    return bound > 0 ? gwv_clamp(v, gwv_set(-bound), gwv_set(bound)) : v;
}

#endif
