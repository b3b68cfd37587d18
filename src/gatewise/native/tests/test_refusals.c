/* What the core refuses: one change at a time to a good graph or call, each with the status, node and position it must
 * give. */
#include "graphs.h"

static char seen[GW_STATUS_COUNT];

static void refused(const gw_graph *graph, const char *cpu, gw_status wanted, int node, int index, const char *what) {
    gw_sizes sizes;
    gw_fault fault;
    const gw_status status = gw_measure(graph, cpu, &sizes, &fault);
    seen[status] = 1;
    check(status == wanted && fault.status == wanted && fault.node == node && fault.index == index &&
              gw_measure(graph, cpu, &sizes, NULL) == wanted,
          "refused: %s: %s", what, gw_text(status));
}

static void test_graph_refusals(void) {
    chain c;
    chain_draw(&c);
    const gw_graph good = c.graph;
    gw_graph bad;
#define GRAPH(change, status, node, index)                                                                             \
    bad = good;                                                                                                        \
    change;                                                                                                            \
    refused(&bad, NULL, status, node, index, #change)
    GRAPH(bad.nodes = NULL, GW_BAD_ARGUMENT, -1, -1);
    GRAPH(bad.widths = NULL, GW_BAD_ARGUMENT, -1, -1);
    GRAPH(bad.node_count = 0, GW_BAD_COUNT, -1, -1);
    GRAPH(bad.node_count = -1, GW_BAD_COUNT, -1, -1);
    GRAPH(bad.edge_count = GW_MOST_NODES + 1, GW_BAD_COUNT, -1, -1);
    GRAPH(bad.output = 5, GW_BAD_EDGE, -1, -1);
    GRAPH(bad.output = -1, GW_BAD_EDGE, -1, -1);
    GRAPH(bad.output = 0, GW_UNWRITTEN_EDGE, -1, -1);
    GRAPH(bad.node_count = 3, GW_UNWRITTEN_EDGE, -1, -1);
    int widths[5];
#define WIDTH(edge, width, status, node, index)                                                                        \
    memcpy(widths, chain_widths, sizeof widths);                                                                       \
    widths[edge] = width;                                                                                              \
    GRAPH(bad.widths = widths, status, node, index)
    WIDTH(2, 0, GW_BAD_WIDTH, -1, 2);
    WIDTH(2, GW_MOST_WIDTH + 1, GW_BAD_WIDTH, -1, 2);
    WIDTH(1, 4, GW_BAD_OUTPUT_WIDTH, 0, -1);
    WIDTH(4, 4, GW_BAD_OUTPUT_WIDTH, 3, -1);
    WIDTH(0, 4, GW_BAD_OUTPUT_WIDTH, 0, -1);
    gw_node nodes[4];
#define NODE(at, change, status, index)                                                                                \
    memcpy(nodes, c.nodes, sizeof nodes);                                                                              \
    nodes[at].change;                                                                                                  \
    bad = good;                                                                                                        \
    bad.nodes = nodes;                                                                                                 \
    refused(&bad, NULL, status, at, index, "node " #at ": " #change)
    static const int from_4[] = {4}, from_9[] = {9}, from_below[] = {-1}, from_2_and_1[] = {2, 1};
    NODE(1, kind = NULL, GW_BAD_ARGUMENT, -1);
    NODE(1, kind = "perceptron", GW_UNKNOWN_KIND, -1);
    NODE(1, reads = NULL, GW_BAD_ARGUMENT, -1);
    NODE(1, reads = from_9, GW_BAD_EDGE, 0);
    NODE(1, reads = from_below, GW_BAD_EDGE, 0);
    NODE(1, reads = from_4, GW_UNWRITTEN_EDGE, 0); /* a cycle */
    NODE(1, reads = from_2, GW_UNWRITTEN_EDGE, 0); /* reads what it writes */
    NODE(1, writes = 7, GW_BAD_EDGE, -1);
    NODE(1, writes = 0, GW_REWRITTEN_EDGE, -1);
    NODE(1, writes = 1, GW_REWRITTEN_EDGE, -1);
    NODE(1, read_count = 0, GW_BAD_INPUTS, -1);
    NODE(1, read_count = GW_MOST_INPUTS + 1, GW_BAD_INPUTS, -1);
    NODE(3, read_count = 1, GW_BAD_INPUTS, -1);
    NODE(3, reads = from_2_and_1, GW_BAD_INPUT_WIDTH, 0);
    NODE(1, option_count = 6, GW_BAD_OPTIONS, -1);
    NODE(0, option_count = 0, GW_BAD_OPTIONS, -1);
    NODE(1, tensor_count = 3, GW_BAD_TENSORS, -1);
    NODE(0, tensor_count = 0, GW_BAD_TENSORS, -1);
#define OPTION(at, position, value)                                                                                    \
    do {                                                                                                               \
        float options[TAIL_OPTIONS];                                                                                   \
        memcpy(options, c.nodes[at].options, (size_t)c.nodes[at].option_count * sizeof(float));                        \
        options[position] = value;                                                                                     \
        NODE(at, options = options, GW_BAD_OPTION, position);                                                          \
    } while (0)
    OPTION(0, GW_NUMERIC_SCALING, 2);
    OPTION(0, GW_NUMERIC_MISSING, 0.5f);
    OPTION(0, GW_NUMERIC_MISSING, 3);
    OPTION(1, GW_GRU_RESET, -1);
    OPTION(1, GW_GRU_GATE_ACTIVATION, GW_SOFTMAX);
    OPTION(1, GW_GRU_ACTIVATION, GW_ACTIVATION_COUNT);
    OPTION(1, GW_GRU_CLIP, -1);
    OPTION(1, GW_GRU_GATE_ACTIVATION_ALPHA, NAN);
    OPTION(2, GW_DENSE_ACTIVATION, 1e30f);
    OPTION(3, GW_TAIL_PROBABILITY_MASKED, 2);
    OPTION(3, GW_TAIL_PROBABILITY_TARGETS, COLUMNS);
    OPTION(3, GW_TAIL_PROBABILITY_PAUSE, -1);
    OPTION(3, GW_TAIL_PROBABILITY_LIMIT, INFINITY);
    gw_tensor tensors[TAIL_TENSORS];
#define TENSOR(at, position, change, status)                                                                           \
    memcpy(tensors, c.nodes[at].tensors, (size_t)c.nodes[at].tensor_count * sizeof(gw_tensor));                        \
    tensors[position].change;                                                                                          \
    NODE(at, tensors = tensors, status, position)
    TENSOR(0, 0, rows = 2, GW_BAD_SHAPE);
    TENSOR(1, 1, cols = 8, GW_BAD_SHAPE);
    TENSOR(2, 0, rows = SIZE_MAX, GW_BAD_SHAPE);
    TENSOR(3, 0, rows = 2, GW_BAD_SHAPE);
    TENSOR(3, 0, cols = 1, GW_BAD_SHAPE);
    TENSOR(3, 1, cols = 5, GW_BAD_SHAPE);
    TENSOR(3, 0, cols = SIZE_MAX, GW_TOO_LARGE);
    TENSOR(2, 1, data = NULL, GW_BAD_ARGUMENT);
#define VALUE(array, at, value, node, position)                                                                        \
    do {                                                                                                               \
        const float kept = array[at];                                                                                  \
        array[at] = value;                                                                                             \
        refused(&good, NULL, GW_BAD_WEIGHT, node, position, #array " holds " #value);                                  \
        array[at] = kept;                                                                                              \
    } while (0)
    VALUE(c.g.weight_hh, 3 * UNITS * UNITS - 1, NAN, 1, 1);
    VALUE(c.bias, 1, INFINITY, 2, 1);
    VALUE(c.scale, 2, 0.0f, 0, 1);
    VALUE(c.scale, 1, -1.0f, 0, 1);
    VALUE(c.scale, 1, 1e-40f, 0, 1); /* its inverse is infinite */
    VALUE(c.statistic, 2, 0.5f, 3, 0);
    VALUE(c.factor, 5, -1.0f, 3, 6);
    refused(&good, "pdp11", GW_UNKNOWN_CPU, -1, -1, "a CPU that nobody has");
    refused(&good, "", GW_UNKNOWN_CPU, -1, -1, "a CPU without a name");

    /* Tensors larger than any memory, described but never read. */
    const float one = 1.0f;
    const int huge[] = {GW_MOST_WIDTH, GW_MOST_WIDTH};
    const gw_tensor wide[] = {{&one, GW_MOST_WIDTH, GW_MOST_WIDTH}, {&one, GW_MOST_WIDTH, 1}};
    const gw_node node = {"dense", first_edge, 1, 1, linear, 3, wide, 2};
    const gw_graph graph = {&node, 1, huge, 2, 1, 1, 0, 0};
    refused(&graph, NULL, GW_TOO_LARGE, 0, 0, "a matrix of 2^40 values");
    gw_graph long_window = good;
    long_window.window = GW_MOST_WINDOW + 1;
    refused(&long_window, NULL, GW_BAD_WINDOW, -1, -1, "a window that is too long");
    long_window.window = -1;
    refused(&long_window, NULL, GW_BAD_WINDOW, -1, -1, "a window of less than no steps");
    gru_free(&c.g);
}

static void test_mask_refusals(void) {
    masked m;
    masked_draw(&m);
    gw_sizes sizes;
    check(gw_measure(&m.graph, NULL, &sizes, NULL) == GW_OK && sizes.outputs == 4, "a mask, moments and units of it");
    const gw_graph good = m.graph;
    gw_graph bad;
    gw_node nodes[3];
    int widths[4];
#define MASKED(width_1, width_2, width_3, status, node, index)                                                         \
    memcpy(widths, ((const int[]){2, width_1, width_2, width_3}), sizeof widths);                                      \
    GRAPH(bad.widths = widths, status, node, index)
    MASKED(2, 4, 4, GW_BAD_OUTPUT_WIDTH, 0, -1); /* no room for the mask */
    MASKED(4, 6, 4, GW_BAD_OUTPUT_WIDTH, 1, -1); /* moments of an indicator */
    MASKED(4, 3, 4, GW_BAD_OUTPUT_WIDTH, 1, -1);
    MASKED(4, 4, 2, GW_BAD_OUTPUT_WIDTH, 2, -1);
#define MASKED_NODE(at, change, status, index)                                                                         \
    memcpy(nodes, m.nodes, sizeof nodes);                                                                              \
    nodes[at].change;                                                                                                  \
    bad = good;                                                                                                        \
    bad.nodes = nodes;                                                                                                 \
    refused(&bad, NULL, status, at, index, "masked node " #at ": " #change)
    static const float half[] = {0.25f, 0.5f}, twice[] = {2}, unmasked[] = {0, 1};
    MASKED_NODE(0, options = unmasked, GW_BAD_OUTPUT_WIDTH, -1);
    MASKED_NODE(1, options = half, GW_BAD_OPTION, 1);
    MASKED_NODE(1, option_count = 1, GW_BAD_OPTIONS, -1);
    MASKED_NODE(2, options = twice, GW_BAD_OPTION, 0);
    MASKED_NODE(2, option_count = 0, GW_BAD_OPTIONS, -1);
    /* Without a mask moments of all four are in order, but then they are too many for what has one. */
    memcpy(widths, ((const int[]){2, 4, 8, 4}), sizeof widths);
    static const float plain_moments[] = {0.25f, 0};
    memcpy(nodes, m.nodes, sizeof nodes);
    nodes[1].options = plain_moments;
    bad = good;
    bad.nodes = nodes, bad.widths = widths;
    refused(&bad, NULL, GW_BAD_INPUT_WIDTH, 2, 1, "units of an indicator");
    /* An odd number of values is no columns and as many indicators. */
    static const int odd[] = {3, 2, 3};
    gw_node two[] = {{"moments", first_edge, 1, 1, seen_moments, 2, NULL, 0},
                     {"standardise", (const int[]){0, 1}, 2, 2, seen_units, 1, NULL, 0}};
    const gw_graph uneven = {two, 2, odd, 3, 2, 0, 0, 0};
    refused(&uneven, NULL, GW_BAD_INPUT_WIDTH, 0, 0, "moments of an odd number");
    two[0].options = plain_moments;
    refused(&uneven, NULL, GW_BAD_INPUT_WIDTH, 1, 0, "units of an odd number");
}

static void test_call_refusals(void) {
    gru g;
    gru_draw(&g, 2, 3, usual);
    gw_sizes sizes;
    gw_fault fault;
    const gw_model *model = NULL;
#define REFUSED(call, status)                                                                                          \
    do {                                                                                                               \
        const gw_status got = call;                                                                                    \
        seen[got] = 1;                                                                                                 \
        check(got == status, "refused: " #call ": %s", gw_text(got));                                                  \
    } while (0)
    REFUSED(gw_measure(NULL, NULL, &sizes, &fault), GW_BAD_ARGUMENT);
    REFUSED(gw_measure(&g.graph, NULL, NULL, &fault), GW_BAD_ARGUMENT);
    REFUSED(gw_measure(&g.graph, NULL, &sizes, &fault), GW_OK);
    const size_t bytes = sizes.model_bytes;
    char *arena = exactly(bytes + GW_ALIGNMENT);
    REFUSED(gw_build(&g.graph, NULL, NULL, bytes, &model, &fault), GW_BAD_ARGUMENT);
    REFUSED(gw_build(&g.graph, NULL, arena, bytes, NULL, &fault), GW_BAD_ARGUMENT);
    REFUSED(gw_build(&g.graph, NULL, arena, bytes - 1, &model, &fault), GW_SMALL_ARENA);
    check(fault.got[0] == bytes - 1 && fault.expected[0] == bytes, "the fault says how large the arena should be");
    REFUSED(gw_build(&g.graph, NULL, arena + 4, bytes, &model, &fault), GW_MISALIGNED);
    check(model == NULL, "no model from a refused build");
    free(arena);

    session s = opened(&g.graph, NULL);
    float x[] = {0.5f, 0.25f, 0.5f, NAN}, y[6] = {7, 7, 7, 7, 7, 7}, kept[3];
    gw_step(s.model, x, s.state, y, s.scratch);
    memcpy(kept, s.state, sizeof kept);
    REFUSED(gw_run(s.model, 2, x, s.state, y, s.scratch), GW_NONFINITE_INPUT);
    x[3] = INFINITY;
    REFUSED(gw_step(s.model, x + 2, s.state, y, s.scratch), GW_NONFINITE_INPUT);
    REFUSED(gw_step(s.model, x, s.state, y, (char *)s.scratch + 4), GW_MISALIGNED);
    x[3] = 1.01e18f;
    REFUSED(gw_step(s.model, x + 2, s.state, y, s.scratch), GW_NONFINITE_INPUT);
    check(gw_first_unusable(s.model, x, 4) == 3 && gw_first_unusable(s.model, x, 2) == 2,
          "the first value too large is found");
    x[3] = INFINITY;
    check(!memcmp(kept, s.state, sizeof kept) && y[3] == 7, "a refused run leaves state and answer as they were");
    check(gw_first_nonfinite(x, 4) == 3 && gw_first_nonfinite(x, 3) == 3 && gw_first_nonfinite(NULL, 0) == 0,
          "the first non-finite value is found");
    closed(&s);
    gru_free(&g);

    const int widths[] = {2, 2};
    const gw_node reverse = {"reverse", first_edge, 1, 1, NULL, 0, NULL, 0};
    gw_graph backwards = {&reverse, 1, widths, 2, 1, 1, 0, 0};
    const int64_t id = 0;
    s = opened(&backwards, NULL);
    REFUSED(gw_step(s.model, x, s.state, y, s.scratch), GW_NON_CAUSAL);
    REFUSED(gw_push(s.model, 1, &id, x, s.state, y, s.scratch), GW_NON_CAUSAL);
    check(!s.sizes.steps && y[3] == 7, "what needs the whole sequence takes no step");
    closed(&s);
    for (int i = 0; i < GW_STATUS_COUNT; i++) check(seen[i], "status %d has been seen: %s", i, gw_text((gw_status)i));
    check(gw_text((gw_status)-1) && gw_text(GW_STATUS_COUNT), "numbers that are no status have a text too");
}

int main(void) {
    test_graph_refusals();
    test_mask_refusals();
    test_call_refusals();
    return check_failures();
}
