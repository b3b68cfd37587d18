/* Many sessions at once, and windows: each answer has the bits that one session alone, step by step, gives. */
#include "graphs.h"

enum { SESSIONS = 101, STEPS = 9 };

/* A copy of a state's or an answer's floats in a block of exactly that size, for the sanitizer to guard. */
static float *block(size_t count) { return malloc(count * sizeof(float)); }

/* Readings for a graph; some are missing where it may be so. */
static float *readings(const gw_graph *graph, size_t count) {
    float *x = draws(count, 1.0f);
    for (size_t i = 0; i < count && !graph->refuse_nonfinite; i++)
        if (draw() > 0.5f) x[i] = i % 2 ? NAN : INFINITY;
    return x;
}

static void test_batch(const gw_graph *graph, const char *cpu, const char *what) {
    session s = opened(graph, cpu);
    const size_t I = (size_t)s.sizes.inputs, O = (size_t)s.sizes.outputs, F = s.sizes.state_floats;
    float *x = readings(graph, SESSIONS * STEPS * I), *states = block(SESSIONS * F), *y = block(SESSIONS * STEPS * O);
    float *alone = block(SESSIONS * STEPS * O), *ends = block(SESSIONS * F);
    memset(ends, 0, SESSIONS * F * sizeof(float));
    for (size_t k = 0; k < SESSIONS; k++)
        for (size_t t = 0; t < STEPS; t++)
            gw_step(s.model, x + (k * STEPS + t) * I, ends + k * F, alone + (k * STEPS + t) * O, s.scratch);
    for (size_t count = 1; count <= SESSIONS; count += count < 8 ? 1 : 31) {
        const size_t bytes = gw_scratch_bytes(s.model, count, STEPS);
        void *scratch = exactly(bytes);
        memset(scratch, 0xff, bytes);
        memset(states, 0, SESSIONS * F * sizeof(float));
        const gw_status status = gw_run_batch(s.model, count, STEPS, x, states, y, scratch);
        check(status == GW_OK && !memcmp(y, alone, count * STEPS * O * sizeof(float)) &&
                  !memcmp(states, ends, count * F * sizeof(float)),
              "%s: %s, a batch of %zu gives the bits of each alone", cpu, what, count);
        free(scratch);
    }
    /* Every step for some of the sessions, in an order of its own: 7 has no factor in common with 101. */
    memset(states, 0, SESSIONS * F * sizeof(float));
    const size_t bytes = gw_scratch_bytes(s.model, SESSIONS, 1);
    void *scratch = exactly(bytes);
    float *xs = block(SESSIONS * I), *ys = block(SESSIONS * O);
    int64_t ids[SESSIONS];
    int same = 1;
    for (size_t t = 0; t < STEPS; t++)
        for (size_t half = 0; half < 2; half++) {
            size_t count = 0;
            for (size_t k = 0; k < SESSIONS; k++)
                if (((k + t) % 2 == 0) == (half == 0)) ids[count++] = (int64_t)(k * 7 % SESSIONS);
            if (t == 4) /* neighbours in order, as most pools are pushed */
                for (size_t i = count = 0; i < SESSIONS; i++)
                    if ((i < 60) == (half == 0)) ids[count++] = (int64_t)i;
            for (size_t i = 0; i < count; i++)
                memcpy(xs + i * I, x + ((size_t)ids[i] * STEPS + t) * I, I * sizeof(float));
            memset(scratch, 0xff, bytes);
            same &= gw_push(s.model, count, ids, xs, states, ys, scratch) == GW_OK;
            for (size_t i = 0; i < count; i++)
                same &= !memcmp(ys + i * O, alone + ((size_t)ids[i] * STEPS + t) * O, O * sizeof(float));
        }
    check(same && !memcmp(states, ends, SESSIONS * F * sizeof(float)), "%s: %s, a pool gives the bits of each alone",
          cpu, what);
    x[I * STEPS + 1] = NAN;
    if (graph->refuse_nonfinite) {
        check(gw_run_batch(s.model, 2, STEPS, x, states, y, scratch) == GW_NONFINITE_INPUT &&
                  !memcmp(states, ends, SESSIONS * F * sizeof(float)),
              "%s: %s, a batch with a NaN is refused whole", cpu, what);
    }
    free(x), free(states), free(y), free(alone), free(ends), free(scratch), free(xs), free(ys);
    closed(&s);
}

/* A window against the same graph with a carried state, started anew for each answer, over readings that are held or not. */
static void test_window(gw_graph graph, int window, int hold, const char *cpu) {
    enum { LONG = 70 };
    session carried = opened(&graph, cpu);
    graph.window = window;
    graph.hold = hold;
    session s = opened(&graph, cpu);
    const size_t I = (size_t)s.sizes.inputs, O = (size_t)s.sizes.outputs;
    float *x = readings(&graph, LONG * I), *y = block(LONG * O), *wanted = block(O * (size_t)window), *one = block(O);
    float *pushed = block(s.sizes.state_floats), *held = block(LONG * I);
    memcpy(held, x, LONG * I * sizeof(float));
    for (size_t k = I; k < LONG * I && hold; k++)
        if (!isfinite(held[k]) && isfinite(held[k - I])) held[k] = held[k - I];
    void *scratch = exactly(gw_scratch_bytes(s.model, 1, LONG));
    void *fresh = exactly(gw_scratch_bytes(carried.model, 1, (size_t)window));
    int same = gw_run(s.model, LONG, x, s.state, y, scratch) == GW_OK;
    gw_reset(s.model, pushed);
    for (size_t t = 0; t < LONG; t++) {
        const size_t steps = t + 1 < (size_t)window ? t + 1 : (size_t)window;
        gw_reset(carried.model, carried.state);
        gw_run(carried.model, steps, held + (t + 1 - steps) * I, carried.state, wanted, fresh);
        same &= !memcmp(y + t * O, wanted + (steps - 1) * O, O * sizeof(float));
        same &=
            gw_step(s.model, x + t * I, pushed, one, s.scratch) == GW_OK && !memcmp(y + t * O, one, O * sizeof(float));
    }
    same &= !memcmp(pushed, s.state, s.sizes.state_floats * sizeof(float));
    check(same, "%s: a window of %d%s is a run from zero over as many readings", cpu, window, hold ? ", held," : "");
    check(gw_bad_state(s.model, s.state) == s.sizes.state_floats, "%s: its state is a state", cpu);
    for (int k = 0; k < 3; k++) {
        s.state[0] = (float[]){-1, 0.5f, (float)window + 1}[k];
        check(gw_bad_state(s.model, s.state) == 0, "%s: a count of %g is none", cpu, (double)s.state[0]);
    }
    free(x), free(y), free(wanted), free(one), free(pushed), free(held), free(scratch), free(fresh);
    closed(&s);
    closed(&carried);
}

int main(void) {
    const char *cpu;
    for (int i = 0; (cpu = gw_cpu(i)); i++) {
        static const int sizes[][2] = {{1, 1}, {3, 5}, {16, 16}, {2, 33}, {5, 64}, {7, 100}};
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            gru g;
            gru_draw(&g, sizes[k][0], sizes[k][1], k % 2 ? reset_before : usual);
            test_batch(&g.graph, cpu, k % 2 ? "reset before" : "reset after");
            gru_free(&g);
        }
        chain c;
        chain_draw(&c);
        test_batch(&c.graph, cpu, "a chain");
        for (int hold = 0; hold < 2; hold++) test_window(c.graph, 1, hold, cpu), test_window(c.graph, 7, hold, cpu);
        c.graph.window = 5;
        test_batch(&c.graph, cpu, "a chain with a window");
        masked m;
        masked_draw(&m);
        for (int hold = 0; hold < 2; hold++) test_window(m.graph, 1, hold, cpu), test_window(m.graph, 7, hold, cpu);
        m.graph.window = 5;
        test_batch(&m.graph, cpu, "a mask with a window");
        c.graph.window = GW_MOST_WINDOW + 1;
        gw_sizes sizes_out;
        check(gw_measure(&c.graph, cpu, &sizes_out, NULL) == GW_BAD_WINDOW, "%s: a window too long is refused", cpu);
        gru_free(&c.g);
    }
    return check_failures();
}
