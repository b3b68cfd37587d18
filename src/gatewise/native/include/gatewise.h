/* gatewise: recurrent sequence models, which run step by step in memory that the caller provides.
 *
 * A program describes a model as a graph, measures how much memory it needs, and builds it into an arena:
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
 * It then runs the model. Each session needs a state and a scratch area of its own:
 *
 *     float x[3], y[2], *state = malloc(sizeof(float) * sizes.state_floats);
 *     void *scratch = aligned_alloc(GW_ALIGNMENT, sizes.scratch_bytes);
 *     gw_reset(model, state);
 *     while (read_sensor(x)) gw_step(model, x, state, y, scratch);
 *
 * examples/c/stream.c is a complete program. These commands, from the root of the repository, compile the library and
 * the program:
 *
 *     cmake -B build/c -DGATEWISE_MODULE=OFF && cmake --build build/c --target gatewise_static
 *     cc -Isrc/gatewise/native/include examples/c/stream.c build/c/libgatewise.a -o stream -lm
 *
 * gatewise_kinds.h describes each kind of node: its equations, the edges that it reads and writes, its options and its
 * tensors. An activation takes three options: its number in gatewise_activations.h, and the two parameters alpha and
 * beta.
 *
 * An input value counts as missing if it is NaN or infinite, or if its absolute value, after scaling, is larger than
 * 1e18, because later values could then not be computed in float32. In a column that is read as log(1 + x), a value of
 * -1 or less is missing as well.
 *
 * Some kinds of node are not causal: they need the whole sequence. A graph with such a node runs over sequences with
 * gw_run; gw_step and gw_push run it only if it has a window.
 *
 * Threads: no function has hidden state. A built model never changes, and any number of threads may use it at the same
 * time. A state and a scratch area may be used by only one call at a time.
 *
 * A step does not allocate memory, take locks, or call the operating system or libm. A state consists of
 * sizes.state_floats floats, in the order of the nodes. It may be copied and stored, and be continued with another
 * instruction set or on another machine.
 *
 * The order of summation is part of the definition of a model: each output is one chain of additions, first the bias,
 * then the inputs in ascending order, then the hidden values in ascending order. gw_run with chunks of any length,
 * gw_run_batch and gw_push therefore give the same bits as gw_step. Results may differ in their last bits between
 * instruction sets.
 */
#ifndef GATEWISE_H
#define GATEWISE_H

#include "gatewise_activations.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can go wrong. A gw_fault says where; the brackets at the end of a text name its numbers `got` and `expected`. */
#define GW_STATUSES(X)                                                                                                 \
    X(GW_OK, "no error")                                                                                               \
    X(GW_BAD_ARGUMENT, "a pointer is NULL or a count is negative")                                                     \
    X(GW_UNKNOWN_CPU, "this build has no instruction set of this name that this processor supports")                   \
    X(GW_UNKNOWN_KIND, "no such kind of node")                                                                         \
    X(GW_BAD_COUNT, "there are more or fewer nodes or edges than a graph may have [count, limit]")                     \
    X(GW_BAD_WIDTH, "an edge is narrower than 1 or too wide [width, limit]")                                           \
    X(GW_BAD_EDGE, "there is no edge of this number [number, edges]")                                                  \
    X(GW_UNWRITTEN_EDGE, "an edge is read, or is the output, but no earlier node writes it [number]")                  \
    X(GW_REWRITTEN_EDGE, "two nodes write the same edge, or a node writes the input [number]")                         \
    X(GW_BAD_INPUTS, "the node reads more or fewer edges than its kind does [count]")                                  \
    X(GW_BAD_INPUT_WIDTH, "an edge that the node reads has a width that does not fit [width]")                         \
    X(GW_BAD_OUTPUT_WIDTH, "the edge that the node writes has a width that does not fit [width]")                      \
    X(GW_BAD_OPTIONS, "the node has more or fewer options than its kind does [count]")                                 \
    X(GW_BAD_OPTION, "an option has a value that its kind does not accept")                                            \
    X(GW_BAD_TENSORS, "the node has more or fewer tensors than its kind does [count]")                                 \
    X(GW_BAD_SHAPE, "a tensor has the wrong shape [rows, columns]")                                                    \
    X(GW_BAD_WEIGHT, "a tensor contains a value that is not finite, or that is not allowed in this tensor [position]") \
    X(GW_TOO_LARGE, "the model is larger than this version can address")                                               \
    X(GW_SMALL_ARENA, "the arena is too small [bytes]")                                                                \
    X(GW_MISALIGNED, "the arena or the scratch area does not start at a multiple of GW_ALIGNMENT")                     \
    X(GW_BAD_WINDOW, "the window is negative or too long [steps, limit]")                                              \
    X(GW_NON_CAUSAL,                                                                                                   \
      "a node is not causal: it needs the whole sequence, so the model runs over sequences but not step by step")      \
    X(GW_NONFINITE_INPUT, "an input value is missing, which this model does not accept; the state has not changed")

#define GW_STATUS_NAME(name, text) name,
typedef enum gw_status { GW_STATUSES(GW_STATUS_NAME) GW_STATUS_COUNT } gw_status;
#undef GW_STATUS_NAME

enum {
    GW_ALIGNMENT = 64,         /* of the arena and the scratch area, in bytes */
    GW_MOST_NODES = 1 << 12,   /* nodes, and edges, in one graph */
    GW_MOST_WIDTH = 1 << 20,   /* values in one edge */
    GW_MOST_VALUES = 1 << 28,  /* values in one tensor, or in the readings of one window */
    GW_MOST_WINDOW = 1 << 20,  /* steps in a window */
    GW_MOST_SCRATCH = 1 << 26, /* floats in the scratch area of one node */
    GW_MOST_INPUTS = 4         /* edges that one node reads */
};

/* rows x cols floats in C order (row by row); a vector has cols = 1. */
typedef struct gw_tensor {
    const float *data;
    size_t rows, cols;
} gw_tensor;

/* One node: it reads one or more edges and writes one. */
typedef struct gw_node {
    const char *kind; /* "gru", "dense", ...: see gatewise_kinds.h */
    const int *reads; /* numbers of the edges that it reads */
    int read_count;
    int writes; /* number of the edge that it writes */
    const float *options;
    int option_count;
    const gw_tensor *tensors;
    int tensor_count;
} gw_node;

/* Nodes in the order of their execution, connected by numbered edges; edge 0 is the input of the model. */
typedef struct gw_graph {
    const gw_node *nodes;
    int node_count;
    const int *widths; /* width of each edge, in values */
    int edge_count;
    int output;           /* number of the edge that is the output of the model */
    int refuse_nonfinite; /* 1: a missing input value is an error; 0: it is passed on to the nodes */
    int window; /* L: each output is computed from the last L readings and a zero state; 0: the state is carried */
    int hold;   /* with a window: 1 if missing values are filled forward, with the last value of their column, else 0 */
} gw_graph;

/* What a model needs, and its properties. */
typedef struct gw_sizes {
    size_t model_bytes;   /* size of the arena for gw_build: the packed weights */
    size_t scratch_bytes; /* size of the scratch area of gw_step; for other calls see gw_scratch_bytes */
    size_t state_floats;  /* size of the state of one session, in floats */
    int inputs, outputs;  /* values that each step reads and writes */
    uint64_t macs;        /* multiply-accumulate operations of one step of all nodes */
    uint64_t push_macs;   /* the same for one call of gw_step: more with a window, which runs most nodes L times */
    int window;           /* as in gw_graph */
    int steps;            /* 1 if the model runs step by step; 0 if a node is not causal and there is no window */
} gw_sizes;

/* Where a graph is wrong, and why. */
typedef struct gw_fault {
    gw_status status;
    int node;  /* position in graph.nodes, or -1 */
    int index; /* position of the edge, option or tensor, or -1 */
    size_t got[2], expected[2];
} gw_fault;

typedef struct gw_model gw_model;

/* The text of a status; never NULL. */
const char *gw_text(gw_status status);

/* The name of the i-th instruction set of this build that this processor supports, the fastest first; NULL after the
 * last. */
const char *gw_cpu(int i);

/* Check a graph completely and compute what it needs. cpu is a name from gw_cpu, or NULL for the fastest. fault may be
 * NULL. */
gw_status gw_measure(const gw_graph *graph, const char *cpu, gw_sizes *sizes, gw_fault *fault);

/* Check a graph completely and pack it into an arena of arena_bytes >= sizes.model_bytes, aligned to GW_ALIGNMENT. The
 * graph and its tensors are not needed afterwards. The arena must neither be freed nor moved as long as the model is
 * used. */
gw_status gw_build(const gw_graph *graph, const char *cpu, void *arena, size_t arena_bytes, const gw_model **model,
                   gw_fault *fault);

const gw_sizes *gw_model_sizes(const gw_model *model);
const char *gw_model_cpu(const gw_model *model);

/* Set a state to the start of a sequence: all values become zero. */
void gw_reset(const gw_model *model, float *state);

/* The size of the scratch area of a call, in bytes: of gw_run_batch with this many sessions and steps, of gw_run
 * (sessions = 1), or of gw_push (steps = 1). SIZE_MAX if this is more than memory can have. The number of steps matters
 * only for models with a window, up to a limit, and for models with a node that is not causal. */
size_t gw_scratch_bytes(const gw_model *model, size_t sessions, size_t steps);

/* Run one step: read x (inputs) and state (state_floats), write y (outputs) and the next state. y must overlap neither
 * x nor state. scratch has sizes.scratch_bytes and is aligned to GW_ALIGNMENT; its content is not needed between
 * calls. */
gw_status gw_step(const gw_model *model, const float *x, float *state, float *y, void *scratch);

/* Run many steps: read x (steps, inputs), write y (steps, outputs). All of x is checked before the state changes. */
gw_status gw_run(const gw_model *model, size_t steps, const float *x, float *state, float *y, void *scratch);

/* Run many sessions over many steps: read x (sessions, steps, inputs) and states (sessions, state_floats), write y
 * (sessions, steps, outputs), with the same bits as gw_run for each session. All of x is checked before any state
 * changes. */
gw_status gw_run_batch(const gw_model *model, size_t sessions, size_t steps, const float *x, float *states, float *y,
                       void *scratch);

/* Run one step of `count` sessions out of many: ids (count) are the positions of the sessions in states, all valid and
 * all different. Row i of x (count, inputs) and of y (count, outputs) belongs to session ids[i]. All of x is checked
 * before any state changes. */
gw_status gw_push(const gw_model *model, size_t count, const int64_t *ids, const float *x, float *states, float *y,
                  void *scratch);

/* Position of the first invalid value of a state, or state_floats if there is none. A value is invalid if it is not
 * finite, or, with a window, if it is an impossible number of readings. (The readings in a window may be NaN if the
 * model accepts missing values.) */
size_t gw_bad_state(const gw_model *model, const float *state);

/* The strongest evidence that the readings are no longer like those on which the model was calibrated. It is 0 at the
 * start of a sequence; at 1 or more a test has decided that they are not, and such a decision is wrong at most once in
 * 10^7 rows. *place, unless place is NULL, becomes the number of that test, in the order in which gatewise_kinds.h
 * lists the evidence in the state of its kind, or -1 if there is no evidence. */
float gw_evidence(const gw_model *model, const float *state, int *place);

/* Position of the first missing value in the readings of complete steps, which have count values in total; count if
 * there is none. */
size_t gw_first_unusable(const gw_model *model, const float *x, size_t count);

/* Position of the first NaN or infinite value among count floats; count if there is none. */
size_t gw_first_nonfinite(const float *x, size_t count);

#ifdef __cplusplus
}
#endif

#endif
