/* The linear scan, against its definition in double: for every width and instruction set, with arrays exactly as large as
 * they must be, so that a sanitizer sees any overrun. All numbers are small multiples of powers of 2, so that no result is
 * ever rounded, and must be equal.
 */
#include "isa.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { ROWS = 4, STEPS = 4, MOST = 40, ALL = ROWS * STEPS * MOST };

static uint32_t seed = 1;

/* A whole number from -most to most. */
static double draw(int most) {
    seed = seed * 1664525u + 1013904223u;
    return (int)(seed >> 16) % (2 * most + 1) - most;
}

/* What goes in, and what comes out. */
typedef struct numbers {
    double a[ALL], b[ALL], first[ROWS * MOST], d_h[ALL], d_last[ROWS * MOST];
    double h[ALL], last[ROWS * MOST], d_a[ALL], d_b[ALL], d_first[ROWS * MOST];
} numbers;

static const int64_t lengths[ROWS] = {STEPS, 0, 2, 3};
static const uint8_t resets[ROWS * STEPS] = {0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1};

/* y += a x, or conj(a) x, of one value: a number, or two of a complex one. */
static void add_product(double *y, const double *a, const double *x, int is_complex, int conjugate) {
    if (!is_complex) {
        y[0] += a[0] * x[0];
        return;
    }
    const double im = conjugate ? -a[1] : a[1];
    y[0] += a[0] * x[0] - im * x[1];
    y[1] += a[0] * x[1] + im * x[0];
}

/* The definition, value by value; `width` in numbers. */
static void define(numbers *z, size_t width, int is_complex, int same_a, int ragged) {
    const size_t step = is_complex ? 2 : 1, bytes = step * sizeof(double);
    memset(z->d_a, 0, sizeof z->d_a);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t w = 0; w < width; w += step) {
            const size_t length = ragged ? (size_t)lengths[row] : STEPS, end = row * width + w;
            double h[2], g[2], before[STEPS][2];
            memcpy(h, z->first + end, bytes);
            for (size_t t = 0; t < STEPS; t++) {
                const size_t at = (row * STEPS + t) * width + w;
                memset(z->h + at, 0, bytes);
                memset(z->d_b + at, 0, bytes);
                if (t >= length) continue;
                if (ragged && resets[row * STEPS + t]) memset(h, 0, sizeof h);
                memcpy(before[t], h, sizeof h);
                memcpy(h, z->b + at, bytes);
                add_product(h, z->a + (same_a ? w : at), before[t], is_complex, 0);
                memcpy(z->h + at, h, bytes);
            }
            memcpy(z->last + end, h, bytes);
            memcpy(g, z->d_last + end, bytes);
            for (size_t t = length; t-- > 0;) {
                const size_t at = (row * STEPS + t) * width + w;
                for (size_t k = 0; k < step; k++) z->d_b[at + k] = g[k] + z->d_h[at + k];
                add_product(z->d_a + (same_a ? end : at), before[t], z->d_b + at, is_complex, 1);
                memset(g, 0, sizeof g);
                if (!(ragged && resets[row * STEPS + t]))
                    add_product(g, z->a + (same_a ? w : at), z->d_b + at, is_complex, 1);
            }
            memcpy(z->d_first + end, g, bytes);
        }
}

/* So many of the values in float or double, in a block of exactly their size; beyond the end of a row they are NaN, and all
 * are where there are no values: what a scan does not write is then seen. */
static void *block(const double *values, size_t count, int is_double, size_t width_if_ragged) {
    void *made = malloc(count * (is_double ? sizeof(double) : sizeof(float)));
    for (size_t i = 0; i < count; i++) {
        const size_t at = width_if_ragged ? i / width_if_ragged : 0; /* row * STEPS + t */
        const int is_beyond = width_if_ragged && (int64_t)(at % STEPS) >= lengths[at / STEPS];
        const double x = !values || is_beyond ? (double)NAN : values[i];
        if (is_double)
            ((double *)made)[i] = x;
        else
            ((float *)made)[i] = (float)x;
    }
    return made;
}

static int equal(const void *got, const double *wanted, size_t count, int is_double) {
    for (size_t i = 0; i < count; i++)
        if ((is_double ? ((const double *)got)[i] : (double)((const float *)got)[i]) != wanted[i]) return 0;
    return 1;
}

static int agrees(const gw_scan_kernel *kernel, int is_double, size_t width, int is_complex, int same_a, int ragged) {
    static numbers z;
    const size_t all = ROWS * STEPS * width, ends = ROWS * width, of_a = same_a ? width : all;
    for (size_t i = 0; i < all; i++) z.a[i] = 0.5 * draw(2), z.b[i] = draw(1), z.d_h[i] = draw(1);
    for (size_t i = 0; i < ends; i++) z.first[i] = draw(1), z.d_last[i] = draw(1);
    define(&z, width, is_complex, same_a, ragged);
    const size_t steps = ragged ? width : 0, of_d_a = same_a ? ends : all;
    void *a = block(z.a, of_a, is_double, same_a ? 0 : steps), *b = block(z.b, all, is_double, steps);
    void *first = block(z.first, ends, is_double, 0), *d_last = block(z.d_last, ends, is_double, 0);
    void *d_h = block(z.d_h, all, is_double, steps), *d_a = block(NULL, of_d_a, is_double, 0);
    void *h = block(NULL, all, is_double, 0), *d_b = block(NULL, all, is_double, 0);
    void *last = block(NULL, ends, is_double, 0), *d_first = block(NULL, ends, is_double, 0);
    gw_scan s = {.batch = ROWS, .time = STEPS, .width = width, .is_complex = is_complex, .same_a = same_a, .shares = 2};
    s.lengths = ragged ? lengths : NULL, s.resets = ragged ? resets : NULL;
    s.a = a, s.b = b, s.first = first, s.d_h = d_h, s.d_last = d_last;
    s.h = h, s.last = last, s.d_a = d_a, s.d_b = d_b, s.d_first = d_first;
    for (s.share = 0; s.share < s.shares; s.share++) kernel->forward(&s), kernel->backward(&s);
    const int same = equal(h, z.h, all, is_double) && equal(last, z.last, ends, is_double) &&
                     equal(d_a, z.d_a, of_d_a, is_double) && equal(d_b, z.d_b, all, is_double) &&
                     equal(d_first, z.d_first, ends, is_double);
    void *every[] = {a, b, first, d_last, d_h, d_a, h, d_b, last, d_first};
    for (size_t i = 0; i < sizeof every / sizeof every[0]; i++) free(every[i]);
    return same;
}

static void test_scan(const gw_scan_kernel *kernel, int is_double, const char *what) {
    for (int is_complex = 0; is_complex < 2; is_complex++)
        for (int same_a = 0; same_a < 2; same_a++)
            for (int ragged = 0; ragged < 2; ragged++) {
                int same = 1;
                for (size_t width = 1; width <= MOST; width++)
                    if (!is_complex || width % 2 == 0)
                        same &= agrees(kernel, is_double, width, is_complex, same_a, ragged);
                check(same, "%s: a %s scan%s%s and its gradient, of every width to %d", what,
                      is_complex ? "complex" : "real", same_a ? ", the same a at every step" : "",
                      ragged ? ", with resets and rows that end" : "", MOST);
            }
}

int main(void) {
    const char *cpu;
    for (int i = 0; (cpu = gw_cpu(i)); i++) test_scan(&gw_find_isa(cpu)->scan, 0, cpu);
    test_scan(&gw_scan_double, 1, "double");
    return check_failures();
}
