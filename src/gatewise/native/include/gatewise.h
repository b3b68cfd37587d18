/* gatewise: recurrent sequence models, one step at a time, in memory that you give.
 *
 * A model is described as a graph, measured, and built into an arena:
 *
 *     const float W[2 * 3] = {...}, b[2] = {...};
 *     const int reads[] = {0};
 *     const float options[GW_DENSE_OPTIONS] = {[GW_DENSE_ACTIVATION] = GW_SIGMOID};
 *     const gw_tensor tensors[GW_DENSE_TENSORS] = {[GW_DENSE_WEIGHT] = {W, 2, 3}, [GW_DENSE_BIAS] = {b, 2, 1}};
 *     const gw_node nodes[] = {{"dense", reads, 1, 1, options, GW_DENSE_OPTIONS, tensors, GW_DENSE_TENSORS}};
 *     const int widths[] = {3, 2};                               // edge 0 is the input
 *     const gw_graph graph = {nodes, 1, widths, 2, 1, 1, 0, 0};
 *
 *     gw_sizes sizes;
 *     gw_fault fault;
 *     if (gw_measure(&graph, NULL, &sizes, &fault) != GW_OK) puts(gw_text(fault.status));
 *     void *arena = aligned_alloc(GW_ALIGNMENT, sizes.model_bytes);
 *     const gw_model *model;
 *     gw_build(&graph, NULL, arena, sizes.model_bytes, &model, &fault);
 *
 * and then runs, one state and one scratch area for each session:
 *
 *     float x[3], y[2], *state = malloc(sizeof(float) * sizes.state_floats);
 *     void *scratch = aligned_alloc(GW_ALIGNMENT, sizes.scratch_bytes);
 *     gw_reset(model, state);
 *     while (read_sensor(x)) gw_step(model, x, state, y, scratch);
 *
 * examples/c/stream.c is a whole program. From the root of the repository, the library and a program with it:
 *
 *     cmake -B build/c -DGATEWISE_MODULE=OFF && cmake --build build/c --target gatewise_static
 *     cc -Isrc/gatewise/native/include examples/c/stream.c build/c/libgatewise.a -o stream -lm
 *
 * The kinds of node stand in gatewise_kinds.h: the equations of each, the edges it reads and writes, its options and its
 * tensors. An activation is three options: a kind of gatewise_activations.h, and its two parameters, there alpha and beta.
 *
 * A value of the input is missing where it is NaN or infinite, or beyond 1e18 in size, once scaled if it is: what comes after
 * could not be computed in float32. So is one of -1 or less where log(1 + x) is read.
 *
 * Some kinds need the whole sequence: with them gw_run runs over sequences, and gw_step only if the graph has a window.
 *
 * Threads: no function has hidden state. A built model never changes and may be used by any number of threads; a state and
 * a scratch area belong to one call at a time.
 *
 * A step does not allocate, lock, or call the system or libm. A state is sizes.state_floats floats in the order of the
 * nodes; it may be copied, stored, and continued on another instruction set or machine.
 *
 * Summation order is part of what a model means (bias, inputs ascending, hidden ascending; one chain per output), so
 * gw_run in chunks of any length, gw_run_batch and gw_push give the same bits as gw_step. Bits may differ between instruction sets.
 */
#ifndef GATEWISE_H
#define GATEWISE_H

#include "gatewise_activations.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can go wrong. gw_fault says where; its numbers are those in brackets, got and expected. */
#define GW_STATUSES(X)                                                                                                 \
    X(GW_OK, "no error")                                                                                               \
    X(GW_BAD_ARGUMENT, "a pointer is NULL or a count is negative")                                                     \
    X(GW_UNKNOWN_CPU, "this build on this processor has no such instruction set")                                      \
    X(GW_UNKNOWN_KIND, "no such kind of node")                                                                         \
    X(GW_BAD_COUNT, "there are more or fewer nodes or edges than a graph may have [count, limit]")                     \
    X(GW_BAD_WIDTH, "an edge is narrower than 1 or too wide [width, limit]")                                           \
    X(GW_BAD_EDGE, "there is no edge of this number [number, edges]")                                                  \
    X(GW_UNWRITTEN_EDGE, "an edge is read, or is the output, and no node before has written it [number]")              \
    X(GW_REWRITTEN_EDGE, "an edge is written twice [number]")                                                          \
    X(GW_BAD_INPUTS, "the node reads more or fewer edges than its kind does [count]")                                  \
    X(GW_BAD_INPUT_WIDTH, "an edge that the node reads has a width that does not fit [width]")                         \
    X(GW_BAD_OUTPUT_WIDTH, "the edge that the node writes has a width that does not fit [width]")                      \
    X(GW_BAD_OPTIONS, "the node has more or fewer options than its kind does [count]")                                 \
    X(GW_BAD_OPTION, "an option has a value that its kind does not know")                                              \
    X(GW_BAD_TENSORS, "the node has more or fewer tensors than its kind does [count]")                                 \
    X(GW_BAD_SHAPE, "a tensor has the wrong shape [rows, columns]")                                                    \
    X(GW_BAD_WEIGHT, "a tensor holds a value that is not finite, or that makes no sense in it [position]")             \
    X(GW_TOO_LARGE, "the model is larger than this version can address")                                               \
    X(GW_SMALL_ARENA, "the arena is too small [bytes]")                                                                \
    X(GW_MISALIGNED, "the arena or the scratch area does not start at a multiple of GW_ALIGNMENT")                     \
    X(GW_BAD_WINDOW, "the window is negative or too long [steps, limit]")                                              \
    X(GW_NON_CAUSAL, "a node needs the whole sequence: the model runs over sequences, not step by step")           \
    X(GW_NONFINITE_INPUT, "an input value is missing, and the model refuses that; the state is untouched")

#define GW_STATUS_NAME(name, text) name,
typedef enum gw_status { GW_STATUSES(GW_STATUS_NAME) GW_STATUS_COUNT } gw_status;
#undef GW_STATUS_NAME

enum {
    GW_ALIGNMENT = 64,         /* of arena and scratch, in bytes */
    GW_MOST_NODES = 1 << 12,   /* nodes, and edges, in one graph */
    GW_MOST_WIDTH = 1 << 20,   /* values in one edge */
    GW_MOST_VALUES = 1 << 28,  /* values in one tensor, or in the readings of one window */
    GW_MOST_WINDOW = 1 << 20,  /* steps in a window */
    GW_MOST_SCRATCH = 1 << 26, /* floats that one node works in */
    GW_MOST_INPUTS = 4         /* edges one node reads */
};

/* rows x cols floats in C order; a vector has cols = 1. */
typedef struct gw_tensor {
    const float *data;
    size_t rows, cols;
} gw_tensor;

/* One node: reads edges, writes one. */
typedef struct gw_node {
    const char *kind; /* "gru", "dense", ...: see gatewise_kinds.h */
    const int *reads; /* numbers of the edges it reads */
    int read_count;
    int writes; /* number of the edge it writes */
    const float *options;
    int option_count;
    const gw_tensor *tensors;
    int tensor_count;
} gw_node;

/* Nodes in order of execution over numbered edges; edge 0 is the input of the model. */
typedef struct gw_graph {
    const gw_node *nodes;
    int node_count;
    const int *widths; /* of each edge, in values */
    int edge_count;
    int output;           /* number of the edge that is the model's answer */
    int refuse_nonfinite; /* whether a value missing in the input is an error */
    int window; /* L: each answer is made from the last L readings, from a zero state; 0: the state is carried */
    int hold;   /* with a window: whether a value that is missing comes into it as the last one of its column */
} gw_graph;

/* What a model needs and is. */
typedef struct gw_sizes {
    size_t model_bytes;   /* arena for gw_build: the packed weights */
    size_t scratch_bytes; /* working memory of gw_step; for other calls see gw_scratch_bytes */
    size_t state_floats;  /* state of one session */
    int inputs, outputs;  /* values in and out at each step */
    uint64_t macs;        /* multiply-accumulates of one step of all nodes */
    uint64_t
        push_macs; /* those of a push: with a whole window, L times those of all nodes but the last stateless ones */
    int window;    /* as in gw_graph */
    int steps;     /* whether it can be run step by step: 0 where a node needs the whole sequence */
} gw_sizes;

/* Where a graph is wrong. */
typedef struct gw_fault {
    gw_status status;
    int node;  /* position in graph.nodes, or -1 */
    int index; /* position of the edge, option or tensor, or -1 */
    size_t got[2], expected[2];
} gw_fault;

typedef struct gw_model gw_model;

/* The text of a status; never NULL. */
const char *gw_text(gw_status status);

/* Instruction sets of this build that this processor has, best first; NULL beyond the last. */
const char *gw_cpu(int i);

/* Check a graph wholly and say what it needs. cpu is a name from gw_cpu, or NULL for the best. fault may be NULL. */
gw_status gw_measure(const gw_graph *graph, const char *cpu, gw_sizes *sizes, gw_fault *fault);

/* Check a graph wholly and pack it into an arena of arena_bytes >= sizes.model_bytes, aligned to GW_ALIGNMENT. The graph
 * and its tensors are not needed afterwards. The arena must stay, and stay in place, as long as the model is used. */
gw_status gw_build(const gw_graph *graph, const char *cpu, void *arena, size_t arena_bytes, const gw_model **model,
                   gw_fault *fault);

const gw_sizes *gw_model_sizes(const gw_model *model);
const char *gw_model_cpu(const gw_model *model);

/* Put a state at the start of a sequence: all zero. */
void gw_reset(const gw_model *model, float *state);

/* Working memory of one call, in bytes: of gw_run_batch for so many sessions and steps, of gw_run (1 session), of gw_push
 * (1 step). SIZE_MAX where that is more than there can be. It grows with the steps only up to a limit, unless a node needs
 * the whole sequence. */
size_t gw_scratch_bytes(const gw_model *model, size_t sessions, size_t steps);

/* One step: x (inputs) and state (state_floats) give y (outputs) and the next state. y must overlap neither x nor state.
 * scratch: sizes.scratch_bytes, aligned to GW_ALIGNMENT; nothing is kept in it between calls. */
gw_status gw_step(const gw_model *model, const float *x, float *state, float *y, void *scratch);

/* Many steps: x (steps, inputs) gives y (steps, outputs). All of x is checked before the state changes. */
gw_status gw_run(const gw_model *model, size_t steps, const float *x, float *state, float *y, void *scratch);

/* Many sessions over many steps, side by side: x (sessions, steps, inputs) and states (sessions, state_floats) give
 * y (sessions, steps, outputs), the bits of gw_run for each. All of x is checked before any state changes. */
gw_status gw_run_batch(const gw_model *model, size_t sessions, size_t steps, const float *x, float *states, float *y,
                       void *scratch);

/* One step of `count` sessions out of many: x (count, inputs) for those that ids names by their place in states, which must
 * all be there and differ; gives y (count, outputs). All of x is checked before any state changes. */
gw_status gw_push(const gw_model *model, size_t count, const int64_t *ids, const float *x, float *states, float *y,
                  void *scratch);

/* Position of the first value that no state can have, state_floats if there is none: one that is not finite, or with a
 * window a number of readings that cannot be. (There, readings may be NaN where the model takes such.) */
size_t gw_bad_state(const gw_model *model, const float *state);

/* The most evidence that readings are no longer like those which the model was calibrated on: 0 at the start of a sequence, and
 * from 1 on a test has decided, which goes wrong once in 10^7 rows at most. place may be NULL; it becomes the number of that
 * test in the order in which gatewise_kinds.h gives the evidence in the state of its kind, -1 where there is no evidence. */
float gw_evidence(const gw_model *model, const float *state, int *place);

/* Position of the first value that is missing among whole steps of readings, count values in all; count if there is none. */
size_t gw_first_unusable(const gw_model *model, const float *x, size_t count);

/* Position of the first NaN or infinity among count floats; count if there is none. */
size_t gw_first_nonfinite(const float *x, size_t count);

#ifdef __cplusplus
}
#endif

#endif
