/* How a loop goes over vectors and panels, whatever a number is: float or double (gw_real). Include prims_scalar.h,
 * prims_vector.h or prims_double.h, not this file.
 */
#ifndef GW_PRIMS_LANES_H
#define GW_PRIMS_LANES_H

/* Rows rounded up to whole panels: what an accumulator has room for. */
static inline int gw_padded(int rows) { return (rows + GW_PANEL - 1) / GW_PANEL * GW_PANEL; }

/* Unrolls the loop that follows completely, so that an array it indexes becomes registers. */
#if defined(__clang__)
#define GW_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GW_UNROLL _Pragma("GCC unroll 16")
#else
#define GW_UNROLL
#endif

/* Unrolls the loop that follows four times: its end comes less often, and the processor foresees it. */
#if defined(__clang__)
#define GW_UNROLL_4 _Pragma("clang loop unroll_count(4)")
#elif defined(__GNUC__)
#define GW_UNROLL_4 _Pragma("GCC unroll 4")
#else
#define GW_UNROLL_4
#endif

/* n <= GW_LANES floats at p. With n = GW_LANES constant these are plain loads and stores, which some CPUs do much faster. */
static inline gwv gwv_load_part(const gw_real *p, int n) { return n == GW_LANES ? gwv_load(p) : gwv_load_n(p, n); }

static inline void gwv_store_part(gw_real *p, gwv v, int n) {
    if (n == GW_LANES)
        gwv_store(p, v);
    else
        gwv_store_n(p, v, n);
}

/* A statement for n lanes from i on, over `count` values. Short passes, whose vectors do not wait for each other, keep a
 * processor busier than one long pass. */
#define GW_EACH(count, statement)                                                                                      \
    do {                                                                                                               \
        int i = 0;                                                                                                     \
        for (const int n = GW_LANES; i + n <= (count); i += n) statement;                                              \
        const int n = (count) - i;                                                                                     \
        if (n > 0) statement;                                                                                          \
    } while (0)

/* v held within -bound and bound, if the bound is above 0. */
static inline gwv gwv_within(gw_real bound, gwv v) {
    return bound > 0 ? gwv_clamp(v, gwv_set(-bound), gwv_set(bound)) : v;
}

#endif
