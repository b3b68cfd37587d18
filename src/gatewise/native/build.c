/* Makes a model from a graph: checks the graph and packs its weights into an arena. run.c runs the model. */
#include "model.h"

#include <string.h>

/* Whether one of the first `count` nodes writes the edge. */
static int written(const gw_graph *graph, int edge, int count) {
    for (int i = 0; i < count; i++)
        if (graph->nodes[i].writes == edge) return 1;
    return 0;
}

/* All edges but the input are stored in scratch, one after the other; in causal models, the output is stored in y
 * instead. */
static gw_port port(const gw_graph *graph, int edge, int non_causal) {
    const size_t width = (size_t)graph->widths[edge];
    if (edge == 0) return (gw_port){GW_FROM_X, width};
    if (edge == graph->output && !non_causal) return (gw_port){GW_FROM_Y, width};
    size_t floats = 0;
    for (int e = 1; e < edge; e++) floats += gw_spaced((size_t)graph->widths[e]);
    return (gw_port){(ptrdiff_t)floats, width};
}

static const gw_kernel *find_kernel(const gw_isa *isa, const char *kind) {
    for (int k = 0; k < isa->kernel_count; k++)
        if (!strcmp(isa->kernels[k]->kind, kind)) return isa->kernels[k];
    return NULL;
}

/* The same as gw_fail, for errors that are not in a node. */
static gw_status fail(gw_fault *fault, gw_status status, int index, size_t got, size_t expected) {
    if (fault) *fault = (gw_fault){status, -1, index, {got, 0}, {expected, 0}};
    return status;
}

static gw_status check_edges(const gw_graph *graph, gw_fault *fault) {
    const size_t edges = (size_t)graph->edge_count;
    if (graph->node_count < 1 || graph->node_count > GW_MOST_NODES)
        return fail(fault, GW_BAD_COUNT, -1, (size_t)graph->node_count, GW_MOST_NODES);
    if (graph->edge_count < 2 || graph->edge_count > GW_MOST_NODES)
        return fail(fault, GW_BAD_COUNT, -1, edges, GW_MOST_NODES);
    if (!graph->nodes || !graph->widths) return fail(fault, GW_BAD_ARGUMENT, -1, 0, 0);
    for (int e = 0; e < graph->edge_count; e++)
        if (graph->widths[e] < 1 || graph->widths[e] > GW_MOST_WIDTH)
            return fail(fault, GW_BAD_WIDTH, e, (size_t)graph->widths[e], GW_MOST_WIDTH);
    if (graph->output < 0 || graph->output >= graph->edge_count)
        return fail(fault, GW_BAD_EDGE, -1, (size_t)graph->output, edges);
    if (!written(graph, graph->output, graph->node_count))
        return fail(fault, GW_UNWRITTEN_EDGE, -1, (size_t)graph->output, 0);
    if (graph->window < 0 || graph->window > GW_MOST_WINDOW ||
        (size_t)graph->window * (size_t)graph->widths[0] > GW_MOST_VALUES)
        return fail(fault, GW_BAD_WINDOW, -1, (size_t)graph->window, GW_MOST_WINDOW);
    return GW_OK;
}

/* The checks that are the same for all kinds of node. Fills in the place. */
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

/* Check the graph and count in `about` what it needs. Unless ops is NULL, also pack the nodes into the room and fill in
 * ops. */
static gw_status walk(const gw_graph *graph, gw_room *room, gw_model *about, gw_op *ops, gw_fault *fault) {
    GW_TRY(check_edges(graph, fault));
    gw_sizes *sizes = &about->sizes;
    *sizes = (gw_sizes){.inputs = graph->widths[0], .outputs = graph->widths[graph->output]};
    about->op_count = graph->node_count;
    about->window = graph->window;
    about->refuse_nonfinite = graph->refuse_nonfinite != 0;
    about->hold = graph->hold != 0;
    uint64_t repeated = 0; /* multiply-accumulate operations of the nodes before the tail */
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
                .sequence = kernel->sequence,
                .layer = kernel->pack(&place, room),
                .state = about->state,
                .own = gw_spaced(need.scratch),
                .read_count = place.node->read_count,
            };
        if (i == 0 && ops) about->screen = kernel->screen, about->stage = ops[0].layer;
        if (room->used > (size_t)PTRDIFF_MAX || need.scratch > GW_MOST_SCRATCH)
            return gw_fail(&place, GW_TOO_LARGE, -1, 0, 0);
        about->state += need.state;
        if (need.evidence) about->evidence = about->state - need.evidence, about->evidences = need.evidence;
        about->own = gw_spaced(need.scratch) > about->own ? gw_spaced(need.scratch) : about->own;
        about->non_causal |= kernel->sequence != NULL;
        sizes->macs += need.macs;
        if (need.state || kernel->sequence) {
            about->tail = i + 1;
            repeated = sizes->macs;
        }
    }
    for (int e = 1; e < graph->edge_count; e++) about->edges += gw_spaced((size_t)graph->widths[e]);
    for (int i = 0; ops && i < graph->node_count; i++) {
        const gw_node *node = &graph->nodes[i];
        ops[i].writes = port(graph, node->writes, about->non_causal);
        for (int r = 0; r < node->read_count; r++) ops[i].reads[r] = port(graph, node->reads[r], about->non_causal);
    }
    about->output = (size_t)port(graph, graph->output, 1).from;
    const size_t readings = (size_t)graph->window * (size_t)graph->widths[0];
    sizes->state_floats = graph->window ? 1 + readings : about->state;
    sizes->steps = !about->non_causal || graph->window;
    sizes->window = graph->window;
    sizes->push_macs = sizes->macs + (graph->window ? repeated * ((uint64_t)graph->window - 1) : 0);
    sizes->model_bytes = room->used;
    sizes->scratch_bytes = gw_scratch_bytes(about, 1, 1);
    return GW_OK;
}

gw_status gw_measure(const gw_graph *graph, const char *cpu, gw_sizes *sizes, gw_fault *fault) {
    if (fault) *fault = (gw_fault){.node = -1, .index = -1};
    if (!graph || !sizes) return fail(fault, GW_BAD_ARGUMENT, -1, 0, 0);
    const gw_isa *isa = gw_find_isa(cpu);
    if (!isa) return fail(fault, GW_UNKNOWN_CPU, -1, 0, 0);
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
    if (!arena || !model) return fail(fault, GW_BAD_ARGUMENT, -1, 0, 0);
    if (arena_bytes < sizes.model_bytes) return fail(fault, GW_SMALL_ARENA, -1, arena_bytes, sizes.model_bytes);
    if ((uintptr_t)arena % GW_ALIGNMENT) return fail(fault, GW_MISALIGNED, -1, 0, 0);
    gw_model *built = arena;
    gw_room room = {.base = arena};
    *built = (gw_model){.isa = gw_find_isa(cpu)};
    GW_TRY(walk(graph, &room, built, built->ops, fault));
    *model = built;
    return GW_OK;
}
