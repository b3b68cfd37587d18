/* Bytes -> states and readings of models that are well made: NaN, infinities and denormals in all places. Nothing may touch
 * memory outside, and each way to run a model gives the same bits, whatever goes in.
 */
#include "fuzz.h"
#include "../tests/graphs.h"

/* A chain of many kinds of nodes; a GRU; both again with a window; a mask, which needs one. */
static session chosen(bytes *b, chain *c, const char *cpu) {
    masked m;
    seed = 1;
    chain_draw(c);
    masked_draw(&m);
    const unsigned which = take_byte(b);
    gw_graph graph = which >= 192 ? m.graph : which % 2 ? c->graph : c->g.graph;
    graph.refuse_nonfinite = take_below(b, 2);
    graph.window = take_below(b, 2) || which >= 192 ? 1 + take_below(b, 5) : 0;
    graph.hold = take_below(b, 2);
    const session s = opened(&graph, cpu);
    gru_free(&c->g); /* a model keeps nothing of its graph */
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, data + size};
    chain c;
    int cpus = 0;
    while (gw_cpu(cpus)) cpus++;
    session made = chosen(&b, &c, gw_cpu(take_below(&b, cpus)));
    const gw_sizes *sizes = &made.sizes;
    const size_t sessions = (size_t)take_below(&b, 60) + 1, steps = (size_t)take_below(&b, 9);
    float *state = keep(sessions * sizes->state_floats * sizeof(float));
    float *x = keep(sessions * steps * (size_t)sizes->inputs * sizeof(float));
    for (size_t s = 0; s < sessions; s++) {
        float *one = state + s * sizes->state_floats;
        take_floats(&b, one, sizes->state_floats);
        const size_t bad = gw_bad_state(made.model, one);
        must(bad <= sizes->state_floats);
        /* Numbers of readings that cannot be are refused by whoever sets a state; all else can be run. */
        if (sizes->window && bad == 0) one[0] = (float)take_below(&b, sizes->window + 1);
    }
    take_floats(&b, x, sessions * steps * (size_t)sizes->inputs);
    if (steps) exercise(made.model, sessions, steps, x, state);
    forget();
    closed(&made);
    return 0;
}
