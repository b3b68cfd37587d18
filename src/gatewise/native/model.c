/* From a graph to packed weights in an arena, and from there to steps. */
#include "kernel.h"
#include "prims_scalar.h" /* gw_finite */

#include <string.h>

/* Where a pointer of a step comes from: the caller's x or y, or a place in the scratch area. */
enum { FROM_X = -1, FROM_Y = -2 };

typedef struct gw_op {
    gw_step_function *step;
    const void *layer;
    size_t state;                    /* where its floats begin in the state */
    ptrdiff_t reads[GW_MOST_INPUTS]; /* FROM_X, FROM_Y, or floats from the start of scratch */
    ptrdiff_t writes;
    int read_count;
} gw_op;

struct gw_model {
    gw_sizes sizes;
    const gw_isa *isa;
    int refuse_nonfinite;
    int op_count;
    size_t work; /* floats from the start of scratch to where the nodes' own scratch begins */
    gw_op ops[];
};

/* --- texts and instruction sets ------------------------------------------------------------------------------------ */

#define GW_STATUS_TEXT(name, text) text,
static const char *const texts[] = {GW_STATUSES(GW_STATUS_TEXT)};
#undef GW_STATUS_TEXT

const char *gw_text(gw_status status) { return (unsigned)status < GW_STATUS_COUNT ? texts[status] : "no such status"; }

extern const gw_isa gw_isa_base;
#if defined(__x86_64__)
extern const gw_isa gw_isa_avx2, gw_isa_avx512;
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#elif defined(__aarch64__)
extern const gw_isa gw_isa_neon;
#endif

/* The i-th instruction set that processor and operating system support, best first. */
static const gw_isa *isa_at(int i) {
#if defined(__x86_64__)
    if (has_avx512() && i-- == 0) return &gw_isa_avx512;
    if (has_avx2() && i-- == 0) return &gw_isa_avx2;
#elif defined(__aarch64__)
    if (i-- == 0) return &gw_isa_neon;
#endif
    return i == 0 ? &gw_isa_base : NULL;
}

const char *gw_cpu(int i) {
    const gw_isa *isa = isa_at(i);
    return isa ? isa->name : NULL;
}

const gw_isa *gw_find_isa(const char *name) {
    const gw_isa *isa;
    for (int i = 0; (isa = isa_at(i)); i++)
        if (!name || !strcmp(isa->name, name)) return isa;
    return NULL;
}

/* --- what kernels are offered -------------------------------------------------------------------------------------- */

void *gw_take(gw_room *room, size_t count, size_t size) {
    size_t bytes, end;
    const size_t start = room->used;
    if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, GW_ALIGNMENT - 1, &bytes) ||
        __builtin_add_overflow(start, bytes & ~(size_t)(GW_ALIGNMENT - 1), &end))
        end = SIZE_MAX;
    room->used = end;
    return room->base ? room->base + start : NULL;
}

static gw_status fail(gw_fault *fault, gw_status status, int node, int index, size_t got, size_t expected) {
    if (fault) *fault = (gw_fault){status, node, index, {got, 0}, {expected, 0}};
    return status;
}

gw_status gw_fail(const gw_place *place, gw_status status, int index, size_t got, size_t expected) {
    return fail(place->fault, status, place->position, index, got, expected);
}

gw_status gw_expect_counts(const gw_place *place, int reads, int options, int tensors) {
    const gw_node *node = place->node;
    if (node->read_count != reads) return gw_fail(place, GW_BAD_INPUTS, -1, (size_t)node->read_count, (size_t)reads);
    if (node->option_count != options)
        return gw_fail(place, GW_BAD_OPTIONS, -1, (size_t)node->option_count, (size_t)options);
    if (node->tensor_count != tensors)
        return gw_fail(place, GW_BAD_TENSORS, -1, (size_t)node->tensor_count, (size_t)tensors);
    return GW_OK;
}

gw_status gw_expect_tensor(const gw_place *place, int index, size_t rows, size_t cols) {
    const gw_tensor *tensor = &place->node->tensors[index];
    if (tensor->rows != rows || tensor->cols != cols) {
        if (place->fault)
            *place->fault =
                (gw_fault){GW_BAD_SHAPE, place->position, index, {tensor->rows, tensor->cols}, {rows, cols}};
        return GW_BAD_SHAPE;
    }
    if (rows > GW_MOST_VALUES / cols) return gw_fail(place, GW_TOO_LARGE, index, rows, (size_t)GW_MOST_VALUES / cols);
    if (!tensor->data) return gw_fail(place, GW_BAD_ARGUMENT, index, 0, 0);
    const size_t bad = gw_first_nonfinite(tensor->data, rows * cols);
    return bad < rows * cols ? gw_fail(place, GW_BAD_WEIGHT, index, bad, 0) : GW_OK;
}

gw_status gw_expect_option(const gw_place *place, int index, int most) {
    const float value = place->node->options[index];
    return value >= 0.0f && value <= (float)most && value == (float)(int)value
               ? GW_OK
               : gw_fail(place, GW_BAD_OPTION, index, 0, 0);
}

gw_status gw_expect_activation(const gw_place *place, int index, int softmax) {
    GW_TRY(gw_expect_option(place, index, GW_HARD_SIGMOID));
    if (!softmax && place->node->options[index] == (float)GW_SOFTMAX) return gw_fail(place, GW_BAD_OPTION, index, 0, 0);
    return GW_OK;
}

/* --- building ------------------------------------------------------------------------------------------------------ */

static size_t spaced(size_t floats) { return (floats + 15) / 16 * 16; } /* GW_ALIGNMENT in floats */

/* Whether one of the first `count` nodes writes the edge. */
static int written(const gw_graph *graph, int edge, int count) {
    for (int i = 0; i < count; i++)
        if (graph->nodes[i].writes == edge) return 1;
    return 0;
}

/* Where an edge lies: all but the first and the output lie in scratch, one after the other. */
static ptrdiff_t edge_from(const gw_graph *graph, int edge) {
    if (edge == 0) return FROM_X;
    if (edge == graph->output) return FROM_Y;
    size_t floats = 0;
    for (int e = 1; e < edge; e++)
        if (e != graph->output) floats += spaced((size_t)graph->widths[e]);
    return (ptrdiff_t)floats;
}

static gw_status check_edges(const gw_graph *graph, gw_fault *fault) {
    const size_t edges = (size_t)graph->edge_count;
    if (graph->node_count < 1 || graph->node_count > GW_MOST_NODES)
        return fail(fault, GW_BAD_COUNT, -1, -1, (size_t)graph->node_count, GW_MOST_NODES);
    if (graph->edge_count < 2 || graph->edge_count > GW_MOST_NODES)
        return fail(fault, GW_BAD_COUNT, -1, -1, edges, GW_MOST_NODES);
    if (!graph->nodes || !graph->widths) return fail(fault, GW_BAD_ARGUMENT, -1, -1, 0, 0);
    for (int e = 0; e < graph->edge_count; e++)
        if (graph->widths[e] < 1 || graph->widths[e] > GW_MOST_WIDTH)
            return fail(fault, GW_BAD_WIDTH, -1, e, (size_t)graph->widths[e], GW_MOST_WIDTH);
    if (graph->output < 0 || graph->output >= graph->edge_count)
        return fail(fault, GW_BAD_EDGE, -1, -1, (size_t)graph->output, edges);
    if (!written(graph, graph->output, graph->node_count))
        return fail(fault, GW_UNWRITTEN_EDGE, -1, -1, (size_t)graph->output, 0);
    return GW_OK;
}

/* The checks on a node that are the same for every kind; fills in the place. */
static gw_status check_node(const gw_graph *graph, int position, gw_place *place) {
    const gw_node *node = &graph->nodes[position];
    const size_t edges = (size_t)graph->edge_count;
    place->node = node;
    place->position = position;
    if (!node->kind || node->read_count < 0 || node->option_count < 0 || node->tensor_count < 0 ||
        (node->read_count && !node->reads) || (node->option_count && !node->options) ||
        (node->tensor_count && !node->tensors))
        return gw_fail(place, GW_BAD_ARGUMENT, -1, 0, 0);
    if (node->read_count > GW_MOST_INPUTS)
        return gw_fail(place, GW_BAD_INPUTS, -1, (size_t)node->read_count, GW_MOST_INPUTS);
    for (int i = 0; i < node->read_count; i++) {
        const int edge = node->reads[i];
        if (edge < 0 || edge >= graph->edge_count) return gw_fail(place, GW_BAD_EDGE, i, (size_t)edge, edges);
        if (edge != 0 && !written(graph, edge, position)) return gw_fail(place, GW_UNWRITTEN_EDGE, i, (size_t)edge, 0);
        place->in[i] = graph->widths[edge];
    }
    if (node->writes < 0 || node->writes >= graph->edge_count)
        return gw_fail(place, GW_BAD_EDGE, -1, (size_t)node->writes, edges);
    if (node->writes == 0 || written(graph, node->writes, position))
        return gw_fail(place, GW_REWRITTEN_EDGE, -1, (size_t)node->writes, 0);
    place->out = graph->widths[node->writes];
    const size_t options = (size_t)node->option_count, bad = gw_first_nonfinite(node->options, options);
    return bad < options ? gw_fail(place, GW_BAD_OPTION, (int)bad, 0, 0) : GW_OK;
}

/* Check the graph and count what it needs or, given a model in the arena, pack it. */
static gw_status walk(const gw_graph *graph, const gw_isa *isa, gw_room *room, gw_model *model, gw_sizes *sizes,
                      gw_fault *fault) {
    GW_TRY(check_edges(graph, fault));
    gw_room edges = {0};
    size_t own = 0;
    *sizes = (gw_sizes){.inputs = graph->widths[0], .outputs = graph->widths[graph->output]};
    gw_take(room, 1, sizeof(gw_model) + (size_t)graph->node_count * sizeof(gw_op));
    for (int i = 0; i < graph->node_count; i++) {
        gw_place place = {.fault = fault};
        gw_need need = {0};
        GW_TRY(check_node(graph, i, &place));
        const gw_kernel *kernel = NULL;
        for (int k = 0; k < isa->kernel_count; k++)
            if (!strcmp(isa->kernels[k]->kind, place.node->kind)) kernel = isa->kernels[k];
        if (!kernel) return gw_fail(&place, GW_UNKNOWN_KIND, -1, 0, 0);
        if (model) {
            gw_room counted = {0};
            GW_TRY(kernel->check(&place, &counted, &need));
            gw_op *op = &model->ops[i];
            *op = (gw_op){.step = kernel->step, .layer = kernel->pack(&place, room), .state = sizes->state_floats};
            op->read_count = place.node->read_count;
            op->writes = edge_from(graph, place.node->writes);
            for (int r = 0; r < op->read_count; r++) op->reads[r] = edge_from(graph, place.node->reads[r]);
        } else {
            GW_TRY(kernel->check(&place, room, &need));
        }
        if (room->used > (size_t)PTRDIFF_MAX) return gw_fail(&place, GW_TOO_LARGE, -1, 0, 0);
        sizes->state_floats += need.state;
        sizes->macs += need.macs;
        own = need.scratch > own ? need.scratch : own;
    }
    for (int e = 1; e < graph->edge_count; e++)
        if (e != graph->output) gw_take(&edges, (size_t)graph->widths[e], sizeof(float));
    if (model) model->work = edges.used / sizeof(float);
    gw_take(&edges, own, sizeof(float));
    if (edges.used > (size_t)PTRDIFF_MAX) return fail(fault, GW_TOO_LARGE, -1, -1, 0, 0);
    sizes->scratch_bytes = edges.used ? edges.used : GW_ALIGNMENT;
    sizes->model_bytes = room->used;
    return GW_OK;
}

gw_status gw_measure(const gw_graph *graph, const char *cpu, gw_sizes *sizes, gw_fault *fault) {
    if (fault) *fault = (gw_fault){.node = -1, .index = -1};
    if (!graph || !sizes) return fail(fault, GW_BAD_ARGUMENT, -1, -1, 0, 0);
    const gw_isa *isa = gw_find_isa(cpu);
    if (!isa) return fail(fault, GW_UNKNOWN_CPU, -1, -1, 0, 0);
    gw_room room = {0};
    return walk(graph, isa, &room, NULL, sizes, fault);
}

gw_status gw_build(const gw_graph *graph, const char *cpu, void *arena, size_t arena_bytes, const gw_model **model,
                   gw_fault *fault) {
    gw_sizes sizes;
    GW_TRY(gw_measure(graph, cpu, &sizes, fault));
    if (!arena || !model) return fail(fault, GW_BAD_ARGUMENT, -1, -1, 0, 0);
    if (arena_bytes < sizes.model_bytes) return fail(fault, GW_SMALL_ARENA, -1, -1, arena_bytes, sizes.model_bytes);
    if ((uintptr_t)arena % GW_ALIGNMENT) return fail(fault, GW_MISALIGNED, -1, -1, 0, 0);
    gw_model *built = arena;
    gw_room room = {.base = arena};
    *built = (gw_model){
        .isa = gw_find_isa(cpu),
        .refuse_nonfinite = graph->refuse_nonfinite != 0,
        .op_count = graph->node_count,
    };
    GW_TRY(walk(graph, built->isa, &room, built, &built->sizes, fault));
    *model = built;
    return GW_OK;
}

const gw_sizes *gw_model_sizes(const gw_model *model) { return &model->sizes; }

const char *gw_model_cpu(const gw_model *model) { return model->isa->name; }

/* --- running ------------------------------------------------------------------------------------------------------- */

size_t gw_first_nonfinite(const float *x, size_t count) {
    int found = 0;
    for (size_t k = 0; k < count; k++) found |= !gw_finite(x[k]); /* without a way out, so that it is vectorised */
    for (size_t k = 0; found && k < count; k++)
        if (!gw_finite(x[k])) return k;
    return count;
}

void gw_reset(const gw_model *model, float *state) {
    for (size_t i = 0; i < model->sizes.state_floats; i++) state[i] = 0.0f;
}

static void step(const gw_model *model, const float *x, float *state, float *y, float *scratch) {
    for (const gw_op *op = model->ops, *end = op + model->op_count; op < end; op++) {
        const float *in[GW_MOST_INPUTS];
        for (int i = 0; i < op->read_count; i++) {
            const ptrdiff_t from = op->reads[i];
            in[i] = from == FROM_X ? x : from == FROM_Y ? y : scratch + from;
        }
        float *out = op->writes == FROM_Y ? y : scratch + op->writes;
        op->step(op->layer, in, out, state + op->state, scratch + model->work);
    }
}

void gw_run_checked(const gw_model *model, size_t steps, const float *x, float *state, float *y, void *scratch) {
    const size_t inputs = (size_t)model->sizes.inputs, outputs = (size_t)model->sizes.outputs;
    for (size_t t = 0; t < steps; t++) step(model, x + t * inputs, state, y + t * outputs, scratch);
}

gw_status gw_run(const gw_model *model, size_t steps, const float *x, float *state, float *y, void *scratch) {
    const size_t count = steps * (size_t)model->sizes.inputs;
    if ((uintptr_t)scratch % GW_ALIGNMENT) return GW_MISALIGNED;
    if (model->refuse_nonfinite && gw_first_nonfinite(x, count) < count) return GW_NONFINITE_INPUT;
    gw_run_checked(model, steps, x, state, y, scratch);
    return GW_OK;
}

gw_status gw_step(const gw_model *model, const float *x, float *state, float *y, void *scratch) {
    return gw_run(model, 1, x, state, y, scratch);
}
