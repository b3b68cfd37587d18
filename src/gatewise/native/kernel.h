/* The interface between the core and a kernel (layers/gru/kernel.c, ...).
 *
 * A kernel.c has two halves. The first half is the step: a struct of sizes and packed weights, and a function that uses
 * only the primitives, so that it can be compiled for devices. The second half, under #ifndef GW_STEP_ONLY, checks a
 * node and packs its weights, with the names from the options.h in the same folder. It ends with
 *
 *     static const gw_kernel gw_kernel_gru = {.kind = "gru", .check = gru_check, .pack = gru_pack, .step = gru_step};
 *
 * dispatch.c includes all kernels once for each instruction set.
 */
#ifndef GW_KERNEL_H
#define GW_KERNEL_H

#include "gatewise.h"

/* Memory that is handed out piece by piece, each piece aligned to GW_ALIGNMENT. With base NULL it only counts bytes. */
typedef struct gw_room {
    char *base;
    size_t used; /* SIZE_MAX once it has overflowed */
} gw_room;

/* A node in its graph, as check and pack see it. */
typedef struct gw_place {
    const gw_node *node;
    int in[GW_MOST_INPUTS]; /* widths of the edges that it reads */
    int out;                /* width of the edge that it writes */
    int position;           /* position of the node in the graph */
    gw_fault *fault;
} gw_place;

/* What a node needs in addition to the memory that it takes from the room. */
typedef struct gw_need {
    size_t state;    /* floats in the state of one session */
    size_t evidence; /* how many of these, at their end, are the evidence of sequential tests: see gw_evidence */
    size_t scratch;  /* floats of scratch for one session; all nodes use the same memory */
    uint64_t macs;
} gw_need;

/* One step of `count` sessions. Row i of edge e begins at in[e] + i * in_stride[e], the node's part of the state of
 * session i at state + i * state_stride, and so on. Only the rows of scratch are aligned, to GW_ALIGNMENT. out does not
 * overlap any input. */
typedef struct gw_batch {
    int count;
    const float *in[GW_MOST_INPUTS];
    size_t in_stride[GW_MOST_INPUTS];
    float *out;
    size_t out_stride;
    float *state;
    size_t state_stride;
    float *scratch; /* need.scratch floats for each row; the content is lost between steps */
    size_t scratch_stride;
} gw_batch;

/* layer is the result of pack. The bits of a row do not depend on the number of rows. */
typedef void gw_step_function(const void *layer, const gw_batch *batch);

/* For a non-causal kind, which needs the whole sequence: a row of an edge contains `steps` steps, one after the
 * other. */
typedef void gw_sequence_function(const void *layer, const gw_batch *batch, size_t steps);

/* How an input stage decides which readings are missing, before any node runs. */
typedef struct gw_screen {
    /* Why the value x of an input is missing, as words that follow the value in a message; NULL if it is not
     * missing. */
    const char *(*why_missing)(const void *layer, size_t input, float x);
    /* The position of the first missing value in complete steps, count values in total; count if there is none. */
    size_t (*first_missing)(const void *layer, const float *x, size_t count);
} gw_screen;

typedef struct gw_kernel {
    const char *kind;
    /* Check the node and fill in what it needs. The room has base NULL and counts what pack will take from it. */
    gw_status (*check)(const gw_place *place, gw_room *room, gw_need *need);
    /* Pack the node, which has been checked, into the room. Returns the `layer` that the step receives. */
    const void *(*pack)(const gw_place *place, gw_room *room);
    gw_step_function *step; /* of these two functions one is NULL */
    gw_sequence_function *sequence;
    const gw_screen *screen; /* for input stages; NULL for other nodes */
} gw_kernel;

void *gw_take(gw_room *room, size_t count, size_t size);
#define gw_take_matrix(room, rows, cols) gw_take(room, (size_t)gw_padded(rows) * (size_t)(cols), sizeof(float))

/* Fill in the fault, if there is one, and return the status. */
gw_status gw_fail(const gw_place *place, gw_status status, int index, size_t got, size_t expected);

/* Checks that kernels have in common. They return GW_OK, or another status after they have filled in the fault. */
gw_status gw_expect_counts(const gw_place *place, int reads, int options, int tensors);
gw_status gw_expect_several(const gw_place *place);   /* two or more edges are read; no options, no tensors */
gw_status gw_expect_one_width(const gw_place *place); /* as well, and all edges, also the one written, have one width */
gw_status gw_expect_tensor(const gw_place *place, int index, size_t rows, size_t cols);
gw_status gw_expect_option(const gw_place *place, int index, int most); /* an integer from 0 to most */
gw_status gw_expect_bound(const gw_place *place, int index);            /* 0 or more */
gw_status gw_expect_activation(const gw_place *place, int index,
                               int softmax); /* kind, alpha, beta; softmax: whether it is allowed */

#define GW_TRY(expression)                                                                                             \
    do {                                                                                                               \
        gw_status gw_tried = (expression);                                                                             \
        if (gw_tried != GW_OK) return gw_tried;                                                                        \
    } while (0)

#endif
