/* What the training kernels have in common: their memory, which rows have a step t, and how the gradients of the
 * weights are computed in the backward pass. Include it after the primitives. */
#ifndef GW_TRAIN_ROWS_H
#define GW_TRAIN_ROWS_H

#include "prims_outer.h"
#include "train.h"

#include <stdlib.h>
#include <string.h>

/* A gradient that is passed back over many steps often decays into denormals, each of which costs a hundred cycles. For
 * float, the processor is therefore told to treat denormals as 0. */
#if defined(__SSE2__) && !defined(GW_DOUBLE)
#include <immintrin.h>
enum { GW_FLUSH_TO_ZERO = 0x8000, GW_DENORMALS_ARE_ZERO = 0x40 };
static inline unsigned gw_flush_denormals(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | GW_FLUSH_TO_ZERO | GW_DENORMALS_ARE_ZERO);
    return before;
}
static inline void gw_restore_denormals(unsigned before) { _mm_setcsr(before); }
#else
static inline unsigned gw_flush_denormals(void) { return 0; }
static inline void gw_restore_denormals(unsigned before) { (void)before; }
#endif

/* Under AddressSanitizer there is a gap after each piece, and every access to it is reported. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define GW_ARENA_GAP                64
#define GW_ARENA_CLOSE(from, bytes) ASAN_POISON_MEMORY_REGION(from, bytes)
#else
#define GW_ARENA_GAP                0
#define GW_ARENA_CLOSE(from, bytes) ((void)0)
#endif

/* One block of memory that is handed out piece by piece; with base NULL it only counts bytes. */
typedef struct gw_arena {
    char *base;
    size_t used;
} gw_arena;

static inline void *gw_arena_take(gw_arena *arena, size_t count, size_t size) {
    char *piece = arena->base ? arena->base + arena->used : NULL;
    const size_t bytes = count * size, room = (bytes + 63) / 64 * 64 + GW_ARENA_GAP;
    if (piece) GW_ARENA_CLOSE(piece + bytes, room - bytes);
    arena->used += room;
    return piece;
}

static inline gw_real *gw_arena_reals(gw_arena *arena, size_t count) {
    return gw_arena_take(arena, count, sizeof(gw_real));
}

static inline gw_real *gw_arena_zeros(gw_arena *arena, size_t count) {
    gw_real *piece = gw_arena_reals(arena, count);
    if (piece) memset(piece, 0, count * sizeof(gw_real));
    return piece;
}

/* The distance between rows: whole panels, so that gw_sums can write to the rows, and an odd number of cache lines, so
 * that a column of many rows is not stored in only a few sets of the cache. */
static inline size_t gw_row_stride(size_t width) {
    const size_t lines = ((size_t)gw_padded((int)width) * sizeof(gw_real) + 63) / 64;
    return (lines | 1) * 64 / sizeof(gw_real);
}

/* w (rows, cols), packed. */
static inline gw_real *gw_arena_matrix(gw_arena *arena, const gw_real *w, size_t rows, size_t cols) {
    gw_real *packed = gw_arena_reals(arena, (size_t)gw_padded((int)rows) * cols);
    if (packed) gw_pack_matrix(packed, w, (int)rows, (int)cols, (int)cols);
    return packed;
}

/* The transpose of w (rows, cols), packed; gradients are multiplied with it. */
static inline gw_real *gw_arena_transpose(gw_arena *arena, const gw_real *w, size_t rows, size_t cols) {
    gw_real *packed = gw_arena_reals(arena, (size_t)gw_padded((int)cols) * rows);
    if (packed) gw_pack_strided(packed, w, (int)cols, (int)rows, 1, (int)cols);
    return packed;
}

/* a + b, `count` numbers, followed by zeros up to whole panels. b may be NULL. */
static inline gw_real *gw_arena_sum(gw_arena *arena, const gw_real *a, const gw_real *b, size_t count) {
    gw_real *sum = gw_arena_zeros(arena, gw_row_stride(count));
    for (size_t i = 0; sum && i < count; i++) sum[i] = a[i] + (b ? b[i] : 0);
    return sum;
}

/* The rows of one share, sorted by length, the longest first. At a step, the first `live` rows have not ended (or,
 * backward, have begun). Their states, or the gradients of these, and the values that they read are stored one after
 * the other in this order. */
typedef struct gw_rows {
    const gw_sequence *s;
    size_t count, live;
    size_t *row;
    gw_real *state[GW_TRAIN_STATES];
    size_t stride[GW_TRAIN_STATES];
    gw_real *zeros; /* as wide as the panels of a state or of x */
    gw_real *x;     /* forward: (inputs) for each row, at the current step */
    size_t x_stride;
} gw_rows;

static inline int gw_is_backward(const gw_sequence *s) { return s->d_out != NULL; }

static inline size_t gw_length(const gw_sequence *s, size_t row) {
    return s->lengths ? (size_t)s->lengths[row] : s->time;
}

static inline int gw_is_reset(const gw_sequence *s, size_t t, size_t row) {
    return s->resets && s->resets[row * s->time + t];
}

static int gw_longer_first(const void *a, const void *b) {
    const size_t *one = a, *other = b; /* length, row */
    if (one[0] != other[0]) return one[0] < other[0] ? 1 : -1;
    return one[1] < other[1] ? -1 : 1;
}

static inline gw_rows gw_rows_take(gw_arena *arena, const gw_sequence *s) {
    gw_rows rows = {.s = s, .count = s->batch > s->share ? (s->batch - s->share + s->shares - 1) / s->shares : 0};
    size_t widest = gw_row_stride(s->sizes.inputs);
    rows.row = gw_arena_take(arena, 2 * rows.count, sizeof *rows.row);
    for (int k = 0; k < GW_TRAIN_STATES; k++) {
        rows.stride[k] = gw_row_stride(s->sizes.state[k]);
        rows.state[k] = gw_arena_reals(arena, rows.count * rows.stride[k]);
        widest = rows.stride[k] > widest ? rows.stride[k] : widest;
    }
    rows.zeros = gw_arena_zeros(arena, widest);
    rows.x_stride = gw_row_stride(s->sizes.inputs);
    rows.x = gw_arena_reals(arena, gw_is_backward(s) ? 0 : rows.count * rows.x_stride);
    if (!arena->base) return rows;
    for (size_t i = 0; i < rows.count; i++) {
        const size_t row = s->share + i * s->shares;
        rows.row[2 * i] = gw_length(s, row);
        rows.row[2 * i + 1] = row;
    }
    qsort(rows.row, rows.count, 2 * sizeof *rows.row, gw_longer_first);
    for (size_t i = 0; i < rows.count; i++) rows.row[i] = rows.row[2 * i + 1];
    return rows;
}

/* Step t of row number i in an array (B, T, width). */
static inline gw_real *gw_at(const gw_rows *rows, const void *array, size_t t, size_t i, size_t width) {
    return (gw_real *)array + (rows->row[i] * rows->s->time + t) * width;
}

/* What is saved for it. The array is stored step by step, because it is read in this order. */
static inline gw_real *gw_saved_at(const gw_rows *rows, size_t t, size_t i) {
    return (gw_real *)rows->s->saved + (t * rows->s->batch + rows->row[i]) * rows->s->sizes.saved;
}

static inline void gw_clear_rest(const gw_rows *rows, void *array, size_t i, size_t width) {
    for (size_t t = gw_length(rows->s, rows->row[i]); array && t < rows->s->time; t++)
        memset(gw_at(rows, array, t, i, width), 0, width * sizeof(gw_real));
}

static inline void gw_move_states(gw_rows *rows, size_t i, const void *const from[], void *const to[]) {
    for (int k = 0; k < GW_TRAIN_STATES; k++) {
        const size_t width = rows->s->sizes.state[k], at = rows->row[i] * width;
        gw_real *state = rows->state[k] + i * rows->stride[k];
        if (from && width) memcpy(state, (const gw_real *)from[k] + at, width * sizeof(gw_real));
        if (to && width) memcpy((gw_real *)to[k] + at, state, width * sizeof(gw_real));
    }
}

static inline void gw_clear_states(gw_rows *rows, size_t i) {
    for (int k = 0; k < GW_TRAIN_STATES; k++)
        memset(rows->state[k] + i * rows->stride[k], 0, rows->s->sizes.state[k] * sizeof(gw_real));
}

static inline void gw_forward_begin(gw_rows *rows) {
    for (size_t i = 0; i < rows->count; i++) gw_move_states(rows, i, rows->s->first, NULL);
    rows->live = rows->count;
}

/* The number of rows that have a step t, 0 after the end of all rows. Sets their states to those before step t, and x
 * to what they read. */
static inline size_t gw_forward_rows(gw_rows *rows, size_t t) {
    const gw_sequence *s = rows->s;
    for (; rows->live && gw_length(s, rows->row[rows->live - 1]) <= t; rows->live--) {
        const size_t i = rows->live - 1;
        gw_move_states(rows, i, NULL, s->last);
        gw_clear_rest(rows, s->out, i, s->sizes.out);
    }
    for (size_t i = 0; i < rows->live; i++) {
        if (gw_is_reset(s, t, rows->row[i])) gw_clear_states(rows, i);
        memcpy(rows->x + i * rows->x_stride, gw_at(rows, s->x, t, i, s->sizes.inputs),
               s->sizes.inputs * sizeof(gw_real));
    }
    return rows->live;
}

/* The number of rows that have a step t, for descending t. Their gradients are those of the states after step t. */
static inline size_t gw_backward_rows(gw_rows *rows, size_t t) {
    for (; rows->live < rows->count && gw_length(rows->s, rows->row[rows->live]) > t; rows->live++)
        gw_move_states(rows, rows->live, rows->s->d_last, NULL);
    return rows->live;
}

/* Called when the gradients are those of the states before step t: sets them to zero for rows that are reset at step
 * t. */
static inline void gw_backward_reset(gw_rows *rows, size_t t) {
    for (size_t i = 0; i < rows->live; i++)
        if (gw_is_reset(rows->s, t, rows->row[i])) gw_clear_states(rows, i);
}

static inline void gw_backward_end(gw_rows *rows) {
    const gw_sequence *s = rows->s;
    for (size_t i = 0; i < rows->count; i++) {
        if (i >= rows->live) gw_move_states(rows, i, s->d_last, NULL); /* a row without steps */
        gw_move_states(rows, i, NULL, s->d_first);
        gw_clear_rest(rows, s->d_x, i, s->sizes.inputs);
    }
}

/* The hidden state before step t of row i: zeros, the first state, or what step t - 1 wrote. */
static inline const gw_real *gw_hidden_before(const gw_rows *rows, size_t t, size_t i) {
    const gw_sequence *s = rows->s;
    if (gw_is_reset(s, t, rows->row[i])) return rows->zeros;
    if (t == 0) return (const gw_real *)s->first[0] + rows->row[i] * s->sizes.state[0];
    return gw_at(rows, s->out, t - 1, i, s->sizes.out);
}

/* How many numbers of gradients are accumulated before their products are computed: 128 KiB as float, so that they fit
 * a cache. */
enum { GW_ACCUMULATED_NUMBERS = 1 << 15 };

/* For each row and step, the backward pass accumulates the gradient of the sums and the values that the weights were
 * multiplied with. The gradients of the weights are matrix products over all accumulated rows, and the gradient of x
 * has one row for each of them. These products are computed when there are enough rows to be fast, but few enough to be
 * in the cache still. */
typedef struct gw_accumulated {
    size_t room, count;
    gw_real *d, *h, *x; /* the gradient, the hidden state before the step, the values read */
    size_t d_stride, h_stride, x_stride;
    gw_real *d_x;      /* the gradient of x, computed from d */
    gw_real **d_x_row; /* where each row of d_x is written to */
} gw_accumulated;

/* width: numbers of gradients in each row. */
static inline gw_accumulated gw_accumulated_take(gw_arena *arena, const gw_rows *rows, size_t width) {
    const gw_sequence *s = rows->s;
    gw_accumulated p = {
        .d_stride = gw_row_stride(width),
        .h_stride = gw_row_stride(s->sizes.out),
        .x_stride = gw_row_stride(s->sizes.inputs),
    };
    if (!gw_is_backward(s)) return p;
    p.room = GW_ACCUMULATED_NUMBERS / p.d_stride > rows->count ? GW_ACCUMULATED_NUMBERS / p.d_stride : rows->count;
    p.d = gw_arena_reals(arena, p.room * p.d_stride);
    p.h = gw_arena_reals(arena, p.room * p.h_stride);
    p.x = gw_arena_reals(arena, p.room * p.x_stride);
    p.d_x = gw_arena_reals(arena, s->d_x ? p.room * p.x_stride : 0);
    p.d_x_row = gw_arena_take(arena, p.room, sizeof *p.d_x_row);
    return p;
}

/* Append the `live` rows of step t, except for d, which the kernel writes. There must be room for them. */
static inline void gw_accumulate_step(gw_accumulated *p, const gw_rows *rows, size_t t, size_t live) {
    const size_t R = rows->s->sizes.out, I = rows->s->sizes.inputs;
    for (size_t i = 0; i < live; i++) {
        const size_t k = p->count + i;
        memcpy(p->h + k * p->h_stride, gw_hidden_before(rows, t, i), R * sizeof(gw_real));
        memcpy(p->x + k * p->x_stride, gw_at(rows, rows->s->x, t, i, I), I * sizeof(gw_real));
        p->d_x_row[k] = rows->s->d_x ? gw_at(rows, rows->s->d_x, t, i, I) : NULL;
    }
}

/* d_weight += the product of `outputs` columns of the accumulated gradients, from column `first` on, and the values
 * `with` that the weight was multiplied with. */
static inline void gw_accumulated_weight(const gw_accumulated *p, gw_real *d_weight, size_t first, size_t outputs,
                                         const gw_real *with, size_t stride, size_t cols) {
    gw_outer(d_weight, cols, p->d + first, p->d_stride, with, stride, (int)outputs, (int)cols, (int)p->count);
}

static inline void gw_accumulated_bias(const gw_accumulated *p, gw_real *d_bias, size_t first, size_t outputs) {
    gw_add_rows(d_bias, p->d + first, p->d_stride, (int)outputs, (int)p->count);
}

/* The gradient of x: `products` multiply the transposed weights with the accumulated gradients. */
static inline void gw_accumulated_x(const gw_accumulated *p, const gw_rows *rows, const gw_product *products,
                                    int count) {
    const size_t I = rows->s->sizes.inputs;
    if (!rows->s->d_x) return;
    gw_sums(p->d_x, p->x_stride, rows->zeros, 0, products, count, (int)I, (int)p->count);
    for (size_t k = 0; k < p->count; k++) memcpy(p->d_x_row[k], p->d_x + k * p->x_stride, I * sizeof(gw_real));
}

/* a += b */
static inline void gw_add_to(gw_real *a, const gw_real *b, size_t count) {
    GW_EACH((int)count, gwv_store_part(a + i, gwv_add(gwv_load_part(a + i, n), gwv_load_part(b + i, n)), n));
}

/* An activation: its kind, its two parameters and the bound of its argument (0: none). */
typedef struct gw_act {
    int kind;
    gw_real a, b, clip;
} gw_act;

static inline gw_act gw_act_at(const double *options, int at, double clip) {
    return (gw_act){(int)options[at], (gw_real)options[at + 1], (gw_real)options[at + 2], (gw_real)clip};
}

/* Whether the slope cannot be computed from the value of the activation alone, but needs its argument. */
static inline int gw_act_needs_argument(gw_act f) {
    switch (f.kind) {
    case GW_LEAKY_RELU:
    case GW_THRESHOLDED_RELU:
    case GW_ELU:
        return f.clip > 0 || f.a < 0;
    case GW_SILU:
    case GW_GELU:
    case GW_GELU_TANH:
    case GW_HARD_SILU:
    case GW_MISH:
        return 1;
    default:
        return f.clip > 0;
    }
}

/* y = f(x), where x is first limited to the clip. Writes x to `argument`, unless it is NULL. Inlined with a constant f
 * where speed matters, so that the loop contains no switch. */
static inline __attribute__((always_inline)) void gw_act_map(gw_act f, const gw_real *x, gw_real *y, gw_real *argument,
                                                             size_t count) {
    GW_EACH((int)count, {
        gwv a = gwv_load_part(x + i, n);
        if (argument) gwv_store_part(argument + i, a, n);
        gwv_store_part(y + i, gwv_activate(f.kind, f.a, f.b, gwv_within(f.clip, a)), n);
    });
}

static const gw_act gw_plain_sigmoid = {GW_SIGMOID, 0, 0, 0}, gw_plain_tanh = {GW_TANH, 0, 0, 0};

static inline int gw_act_is(gw_act f, int kind) { return f.kind == kind && f.clip <= 0; }

static inline void gw_act_apply(gw_act f, const gw_real *x, gw_real *y, gw_real *argument, size_t count) {
    if (gw_act_is(f, GW_SIGMOID))
        gw_act_map(gw_plain_sigmoid, x, y, NULL, count);
    else if (gw_act_is(f, GW_TANH))
        gw_act_map(gw_plain_tanh, x, y, NULL, count);
    else
        gw_act_map(f, x, y, argument, count);
}

/* The slope of an activation at x, where its value is y. Unless gw_act_needs_argument, y may be passed as x. Outside
 * the clip the slope is 0. */
static inline gwv gw_act_slope(gw_act f, gwv x, gwv y) {
    gwv slope = gwv_slope(f.kind, f.a, f.b, f.clip > 0 ? gwv_within(f.clip, x) : x, y);
    return f.clip > 0 ? gwv_inside(f.clip, x, slope) : slope;
}

/* Defines the kernel of a kind from four functions: kind_train_sizes is described in train.h, kind_train_take places
 * the struct kind_train in an arena for the direction that gw_is_backward gives, and kind_train_forward and
 * kind_train_backward run it. */
#define GW_TRAIN_KERNEL(kind)                                                                                          \
    static int kind##_train_run(const gw_sequence *s, void (*run)(kind##_train *, const gw_sequence *)) {              \
        gw_arena arena = {0};                                                                                          \
        kind##_train_take(&arena, s);                                                                                  \
        void *memory = malloc(arena.used + 64);                                                                        \
        if (!memory) return -1;                                                                                        \
        arena = (gw_arena){(char *)(((uintptr_t)memory + 63) / 64 * 64), 0};                                           \
        kind##_train layer = kind##_train_take(&arena, s);                                                             \
        const unsigned before = gw_flush_denormals();                                                                  \
        run(&layer, s);                                                                                                \
        gw_restore_denormals(before);                                                                                  \
        free(memory);                                                                                                  \
        return 0;                                                                                                      \
    }                                                                                                                  \
    static int kind##_train_run_forward(const gw_sequence *s) { return kind##_train_run(s, kind##_train_forward); }    \
    static int kind##_train_run_backward(const gw_sequence *s) { return kind##_train_run(s, kind##_train_backward); }  \
    static const gw_train_kernel gw_train_##kind = {#kind, kind##_train_sizes, kind##_train_run_forward,               \
                                                    kind##_train_run_backward};

#endif
