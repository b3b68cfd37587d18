/* From a graph to packed weights in an arena; run.c takes it from there. */
#include "model.h"
#include "prims_scalar.h" /* gw_finite */

#include <string.h>

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

gw_status gw_expect_several(const gw_place *place) {
    const int count = place->node->read_count;
    if (count < 2) return gw_fail(place, GW_BAD_INPUTS, -1, (size_t)count, 2);
    return gw_expect_counts(place, count, 0, 0);
}

gw_status gw_expect_one_width(const gw_place *place) {
    GW_TRY(gw_expect_several(place));
    for (int k = 1; k < place->node->read_count; k++)
        if (place->in[k] != place->in[0])
            return gw_fail(place, GW_BAD_INPUT_WIDTH, k, (size_t)place->in[k], (size_t)place->in[0]);
    if (place->out != place->in[0])
        return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)place->in[0]);
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
    GW_TRY(gw_expect_option(place, index, GW_ACTIVATION_COUNT - 1));
    if (!softmax && place->node->options[index] == (float)GW_SOFTMAX) return gw_fail(place, GW_BAD_OPTION, index, 0, 0);
    return GW_OK;
}

/* --- building ------------------------------------------------------------------------------------------------------ */

/* Whether one of the first `count` nodes writes the edge. */
static int written(const gw_graph *graph, int edge, int count) {
    for (int i = 0; i < count; i++)
        if (graph->nodes[i].writes == edge) return 1;
    return 0;
}

/* All edges but the first lie in scratch, one after the other; the output as well where steps do not follow each other. */
static gw_port port(const gw_graph *graph, int edge, int whole) {
    const size_t width = (size_t)graph->widths[edge];
    if (edge == 0) return (gw_port){GW_FROM_X, width};
    if (edge == graph->output && !whole) return (gw_port){GW_FROM_Y, width};
    size_t floats = 0;
    for (int e = 1; e < edge; e++) floats += gw_spaced((size_t)graph->widths[e]);
    return (gw_port){(ptrdiff_t)floats, width};
}

static const gw_kernel *find_kernel(const gw_isa *isa, const char *kind) {
    for (int k = 0; k < isa->kernel_count; k++)
        if (!strcmp(isa->kernels[k]->kind, kind)) return isa->kernels[k];
    return NULL;
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
    if (graph->window < 0 || graph->window > GW_MOST_WINDOW ||
        (size_t)graph->window * (size_t)graph->widths[0] > GW_MOST_VALUES)
        return fail(fault, GW_BAD_WINDOW, -1, -1, (size_t)graph->window, GW_MOST_WINDOW);
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

/* The units of the readings, from the input stage: the core asks whether they may be used before any node runs. */
static void take_units(const gw_node *node, size_t inputs, gw_room *room, gw_model *about, int fill) {
    if (node->option_count > 2) {
        unsigned char *logs = gw_take(room, inputs, 1);
        if (fill) memset(logs, 0, inputs);
        for (int i = 2; fill && i < node->option_count; i++) logs[(size_t)node->options[i]] = 1;
        about->logs = logs;
    }
    if (node->tensor_count < 2) return;
    float *offset = gw_take(room, inputs, sizeof(float)), *factor = gw_take(room, inputs, sizeof(float));
    for (size_t k = 0; fill && k < inputs; k++) {
        offset[k] = node->tensors[0].data[k];
        factor[k] = 1.0f / node->tensors[1].data[k];
    }
    about->offset = offset;
    about->factor = factor;
}

/* Check the graph and count what it needs, in `about`; with an arena in the room, pack it into the ops there as well. */
static gw_status walk(const gw_graph *graph, gw_room *room, gw_model *about, gw_op *ops, gw_fault *fault) {
    GW_TRY(check_edges(graph, fault));
    gw_sizes *sizes = &about->sizes;
    *sizes = (gw_sizes){.inputs = graph->widths[0], .outputs = graph->widths[graph->output]};
    about->op_count = graph->node_count;
    about->window = graph->window;
    about->refuse_nonfinite = graph->refuse_nonfinite != 0;
    about->hold = graph->hold != 0;
    uint64_t repeated = 0; /* multiply-accumulates of the nodes up to the tail */
    gw_take(room, 1, sizeof(gw_model) + (size_t)graph->node_count * sizeof(gw_op));
    for (int i = 0; i < graph->node_count; i++) {
        gw_place place = {.fault = fault};
        gw_need need = {0};
        GW_TRY(check_node(graph, i, &place));
        const gw_kernel *kernel = find_kernel(about->isa, place.node->kind);
        if (!kernel) return gw_fail(&place, GW_UNKNOWN_KIND, -1, 0, 0);
        gw_room counted = {0};
        GW_TRY(kernel->check(&place, ops ? &counted : room, &need));
        if (ops)
            ops[i] = (gw_op){
                .step = kernel->step,
                .whole = kernel->whole,
                .layer = kernel->pack(&place, room),
                .state = about->state,
                .own = gw_spaced(need.scratch),
                .read_count = place.node->read_count,
            };
        if (i == 0 && !strcmp(kernel->kind, "numeric"))
            take_units(place.node, (size_t)place.in[0], room, about, ops != NULL);
        if (room->used > (size_t)PTRDIFF_MAX || need.scratch > GW_MOST_SCRATCH)
            return gw_fail(&place, GW_TOO_LARGE, -1, 0, 0);
        about->state += need.state;
        if (need.evidence) about->evidence = about->state - need.evidence, about->evidences = need.evidence;
        about->own = gw_spaced(need.scratch) > about->own ? gw_spaced(need.scratch) : about->own;
        about->whole |= kernel->whole != NULL;
        sizes->macs += need.macs;
        if (need.state || kernel->whole) {
            about->tail = i + 1;
            repeated = sizes->macs;
        }
    }
    for (int e = 1; e < graph->edge_count; e++) about->edges += gw_spaced((size_t)graph->widths[e]);
    for (int i = 0; ops && i < graph->node_count; i++) {
        const gw_node *node = &graph->nodes[i];
        ops[i].writes = port(graph, node->writes, about->whole);
        for (int r = 0; r < node->read_count; r++) ops[i].reads[r] = port(graph, node->reads[r], about->whole);
    }
    about->output = (size_t)port(graph, graph->output, 1).from;
    const size_t readings = (size_t)graph->window * (size_t)graph->widths[0];
    sizes->state_floats = graph->window ? 1 + readings : about->state;
    sizes->steps = !about->whole || graph->window;
    sizes->window = graph->window;
    sizes->push_macs = sizes->macs + (graph->window ? repeated * ((uint64_t)graph->window - 1) : 0);
    sizes->model_bytes = room->used;
    sizes->scratch_bytes = gw_scratch_bytes(about, 1, 1);
    return GW_OK;
}

gw_status gw_measure(const gw_graph *graph, const char *cpu, gw_sizes *sizes, gw_fault *fault) {
    if (fault) *fault = (gw_fault){.node = -1, .index = -1};
    if (!graph || !sizes) return fail(fault, GW_BAD_ARGUMENT, -1, -1, 0, 0);
    const gw_isa *isa = gw_find_isa(cpu);
    if (!isa) return fail(fault, GW_UNKNOWN_CPU, -1, -1, 0, 0);
    gw_room room = {0};
    gw_model about = {.isa = isa};
    GW_TRY(walk(graph, &room, &about, NULL, fault));
    *sizes = about.sizes;
    return GW_OK;
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
    *built = (gw_model){.isa = gw_find_isa(cpu)};
    GW_TRY(walk(graph, &room, built, built->ops, fault));
    *model = built;
    return GW_OK;
}

const gw_sizes *gw_model_sizes(const gw_model *model) { return &model->sizes; }

const char *gw_model_cpu(const gw_model *model) { return model->isa->name; }
