/* Bytes -> a graph of any shape -> gw_measure, gw_build, runs.
 *
 * Of random graphs nearly all are refused at the first check. So a graph that is refused is mended where the fault says it is
 * wrong, as often as the bytes say: this reaches every check, and then the models, of all kinds that there are and will be.
 */
#include "fuzz.h"

#include <limits.h>
#include <math.h>

#define GW_KIND(kind) #kind,
static const char *const kinds[] = {
#include "gw_kinds.inc"
};
#undef GW_KIND

enum { KINDS = (int)(sizeof kinds / sizeof kinds[0]), NODES = 6, EDGES = NODES + 2, VALUES = 1 << 14 };

/* The kind that a byte stands for: of all names the one with the largest hash, so that a new kind leaves most bytes, and with
 * them the corpus, as they were. */
static const char *take_kind(bytes *b) {
    const unsigned byte = take_byte(b);
    const char *best = kinds[0];
    uint32_t most = 0;
    for (int k = 0; k < KINDS; k++) {
        uint32_t hash = (2166136261u ^ byte) * 16777619u; /* FNV-1a */
        for (const char *at = kinds[k]; *at; at++) hash = (hash ^ (uint8_t)*at) * 16777619u;
        if (hash > most) most = hash, best = kinds[k];
    }
    return best;
}

/* Most often what is usual, else hostile. */
static int take_int(bytes *b, int usual) {
    static const int hostile[] = {-1, INT_MIN, INT_MAX, GW_MOST_NODES + 1, GW_MOST_WIDTH, GW_MOST_WIDTH + 1, 0,
                                  1,  255,     1 << 16};
    const unsigned byte = take_byte(b);
    if (byte < 192) return usual;
    return byte < 224 ? (int)byte - 192 : hostile[byte % (sizeof hostile / sizeof hostile[0])];
}

/* Few small values as options have them, and some that no option has. */
static float take_option(bytes *b) {
    static const float odd[] = {0.5f, -1.0f, 1e30f, -0.0f, 1e-40f, 0.1f, INFINITY, NAN};
    const unsigned byte = take_byte(b);
    return byte < 224 ? (float)(byte % 16) : odd[byte % 8];
}

/* All of a tensor that the core may read is there; where the shape is impossible, one value. */
static gw_tensor new_tensor(bytes *b, size_t rows, size_t cols) {
    const size_t count = rows <= VALUES && cols <= VALUES && rows * cols <= VALUES ? rows * cols : 1;
    float *data = keep(count * sizeof(float));
    bytes none = {b->end, b->end}, *from = take_byte(b) < 240 ? &none : b;
    take_floats(from, data, count);
    return (gw_tensor){data, rows, cols};
}

static gw_tensor take_tensor(bytes *b) {
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX / 4 + 2, (size_t)1 << 32, (size_t)GW_MOST_VALUES + 1};
    const unsigned rows = take_byte(b), cols = take_byte(b);
    if (rows == 255) return (gw_tensor){NULL, cols, 1};
    if (rows >= 248) return new_tensor(b, huge[rows % 4], cols);
    return new_tensor(b, rows % 64, cols % 64);
}

typedef struct drawn {
    gw_node nodes[NODES];
    gw_graph graph;
} drawn;

static void *take_options(bytes *b, int count) {
    float *options = keep((size_t)count * sizeof(float));
    for (int i = 0; i < count; i++) options[i] = take_option(b);
    return options;
}

static int *take_reads(bytes *b, int count, int usual) {
    int *reads = keep((size_t)count * sizeof(int));
    for (int i = 0; i < count; i++) reads[i] = take_int(b, usual);
    return reads;
}

static gw_tensor *take_tensors(bytes *b, int count) {
    gw_tensor *tensors = keep((size_t)count * sizeof(gw_tensor));
    for (int i = 0; i < count; i++) tensors[i] = take_tensor(b);
    return tensors;
}

static void take_node(bytes *b, gw_node *node, int position) {
    *node = (gw_node){.kind = take_byte(b) < 250 ? take_kind(b) : take_byte(b) % 2 ? "" : "no such kind"};
    node->read_count = 1 + (take_byte(b) > 128) * take_below(b, 6);
    node->reads = take_reads(b, node->read_count, position);
    node->writes = take_int(b, position + 1);
    node->option_count = take_below(b, 9);
    node->options = take_options(b, node->option_count);
    node->tensor_count = take_below(b, 7);
    node->tensors = take_tensors(b, node->tensor_count);
    switch (take_byte(b)) { /* counts below zero, and nothing where something should be */
    case 250:
        node->read_count = -1;
        break;
    case 251:
        node->option_count = INT_MIN;
        break;
    case 252:
        node->tensor_count = -1;
        break;
    case 253:
        node->kind = NULL;
        break;
    case 254:
        node->tensors = NULL;
        break;
    case 255:
        node->options = NULL;
    }
}

static void take_graph(bytes *b, drawn *d) {
    const int nodes = 1 + take_below(b, NODES), edges = nodes + 1 + take_below(b, 2);
    int *widths = keep((size_t)edges * sizeof(int));
    for (int e = 0; e < edges; e++) widths[e] = take_int(b, 1 + e % 3);
    for (int i = 0; i < nodes; i++) take_node(b, &d->nodes[i], i);
    d->graph = (gw_graph){.nodes = d->nodes, .node_count = nodes, .widths = widths, .edge_count = edges};
    d->graph.output = take_int(b, nodes);
    d->graph.refuse_nonfinite = take_below(b, 2);
    d->graph.window = take_byte(b) < 160 ? 0 : take_int(b, 3);
    d->graph.hold = take_below(b, 2);
    if (take_byte(b) == 255) d->graph.node_count = take_int(b, 0) > 0 ? GW_MOST_NODES + 1 : -1;
}

/* Change what the fault is about; whether there was something to change. */
static int mend(bytes *b, drawn *d, const gw_fault *fault) {
    int *widths = (int *)d->graph.widths;
    gw_node *node = fault->node >= 0 ? &d->nodes[fault->node] : NULL;
    if (node && (node->read_count < 0 || node->option_count < 0 || node->tensor_count < 0)) return 0;
    const int reads = node && fault->index >= 0 && fault->index < node->read_count;
    switch (fault->status) {
    case GW_UNKNOWN_KIND:
        node->kind = take_kind(b);
        return 1;
    case GW_BAD_WIDTH:
        if (node) return 0;
        widths[fault->index] = 1 + take_below(b, 20);
        return 1;
    case GW_BAD_WINDOW:
        d->graph.window = take_below(b, 6);
        return 1;
    case GW_BAD_EDGE:
    case GW_UNWRITTEN_EDGE:
    case GW_REWRITTEN_EDGE:
        if (!node)
            d->graph.output = d->nodes[d->graph.node_count - 1].writes;
        else if (reads)
            ((int *)node->reads)[fault->index] = take_below(b, fault->node + 1);
        else
            node->writes = fault->node + 1;
        return 1;
    case GW_BAD_INPUTS:
        if (fault->expected[0] > GW_MOST_INPUTS) return 0;
        node->read_count = (int)fault->expected[0];
        node->reads = take_reads(b, node->read_count, fault->node);
        return 1;
    case GW_BAD_INPUT_WIDTH:
        if (!reads || fault->expected[0] > 64) return 0;
        widths[node->reads[fault->index]] = (int)fault->expected[0];
        return 1;
    case GW_BAD_OUTPUT_WIDTH:
        if (fault->expected[0] > 64) return 0;
        widths[node->writes] = (int)fault->expected[0];
        return 1;
    case GW_BAD_OPTIONS:
        node->option_count = (int)fault->expected[0];
        node->options = take_options(b, node->option_count);
        return 1;
    case GW_BAD_OPTION:
        ((float *)node->options)[fault->index] = take_option(b);
        return 1;
    case GW_BAD_TENSORS:
        node->tensor_count = (int)fault->expected[0];
        node->tensors = take_tensors(b, node->tensor_count);
        return 1;
    case GW_BAD_SHAPE:
        if (fault->expected[0] > VALUES || fault->expected[1] > VALUES ||
            fault->expected[0] * fault->expected[1] > VALUES)
            return 0;
        ((gw_tensor *)node->tensors)[fault->index] = new_tensor(b, fault->expected[0], fault->expected[1]);
        return 1;
    case GW_BAD_WEIGHT: { /* grows from value to value: suits scales, and tables in ascending order */
        float *data = (float *)node->tensors[fault->index].data;
        const gw_tensor *tensor = &node->tensors[fault->index];
        for (size_t i = 0; i < tensor->rows * tensor->cols; i++) data[i] = 0.25f + 0.125f * (float)i;
        return 1;
    }
    default:
        return 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, data + size};
    drawn d;
    gw_sizes sizes;
    gw_fault fault;
    int cpus = 0;
    while (gw_cpu(cpus)) cpus++;
    const char *cpu = gw_cpu(take_below(&b, cpus));
    int mends = take_below(&b, 128);
    take_graph(&b, &d);
    gw_status status;
    while ((status = gw_measure(&d.graph, cpu, &sizes, &fault)) != GW_OK && mends-- > 0) {
        must(fault.status == status && gw_measure(&d.graph, cpu, &sizes, NULL) == status);
        must(fault.node >= -1 && fault.node < NODES);
        if (!mend(&b, &d, &fault)) break;
    }
    if (status == GW_OK && runnable(&sizes)) {
        const gw_model *model = built(&d.graph, cpu, &sizes);
        const size_t sessions = (size_t)take_below(&b, 4) + 1, steps = (size_t)take_below(&b, 6) + 1;
        const size_t values = sessions * steps * (size_t)sizes.inputs;
        float *x = keep(values * sizeof(float)), *state = keep(sessions * sizes.state_floats * sizeof(float));
        take_floats(&b, x, values);
        for (size_t s = 0; s < sessions; s++) gw_reset(model, state + s * sizes.state_floats);
        exercise(model, sessions, steps, x, state);
    }
    forget();
    return 0;
}
