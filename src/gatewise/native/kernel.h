/* What a kernel (layers/gru/kernel.c, ...) gives to the core, and what the core gives to it.
 *
 * A kernel.c has two halves. The first is the step: a struct of sizes and packed weights, and a function written on the
 * primitives only. The C exporter copies it to devices. The second, under #ifndef GW_STEP_ONLY, checks a node and packs its
 * weights, by the names of options.h beside it; it ends with
 *
 *     static const gw_kernel gw_kernel_gru = {.kind = "gru", .check = gru_check, .pack = gru_pack, .step = gru_step};
 *
 * dispatch.c includes all kernels once for each instruction set.
 */
#ifndef GW_KERNEL_H
#define GW_KERNEL_H

#include "gatewise.h"

/* Memory handed out piece by piece, each aligned to GW_ALIGNMENT. With base NULL it only counts. */
typedef struct gw_room {
    char *base;
    size_t used; /* SIZE_MAX once it has overflowed */
} gw_room;

/* A node in its graph, as check and pack see it. */
typedef struct gw_place {
    const gw_node *node;
    int in[GW_MOST_INPUTS]; /* widths of the edges it reads */
    int out;                /* width of the edge it writes */
    int position;           /* of the node in the graph */
    gw_fault *fault;
} gw_place;

/* What a node needs, beside what its struct takes from the room. */
typedef struct gw_need {
    size_t state;    /* floats of one session */
    size_t evidence; /* so many of these, the last ones, are evidence of sequential tests: see gw_evidence */
    size_t scratch;  /* floats of one session, shared between the nodes */
    uint64_t macs;
} gw_need;

/* One step of `count` sessions side by side. Row i of an edge begins at in[e] + i * in_stride[e], the node's own state of
 * session i at state + i * state_stride, and so on. Of these only scratch is aligned, to GW_ALIGNMENT, as is each row of
 * it. out overlaps no input. */
typedef struct gw_batch {
    int count;
    const float *in[GW_MOST_INPUTS];
    size_t in_stride[GW_MOST_INPUTS];
    float *out;
    size_t out_stride;
    float *state;
    size_t state_stride;
    float *scratch; /* need.scratch floats a row; what it holds is lost between steps */
    size_t scratch_stride;
} gw_batch;

/* layer: what pack made. Every row has the same bits however many there are. */
typedef void gw_step_function(const void *layer, const gw_batch *batch);

/* For a kind that needs the whole sequence: a row of an edge is `steps` times its width, one step after the other. */
typedef void gw_sequence_function(const void *layer, const gw_batch *batch, size_t steps);

/* What an input stage says of the readings before any node has run: which of them are missing. */
typedef struct gw_screen {
    /* Why the value x of an input is missing, to stand after it in a sentence; NULL: it is not. */
    const char *(*why_missing)(const void *layer, size_t input, float x);
    /* The position of the first value that is missing among whole steps, count values in all; count if there is none. */
    size_t (*first_missing)(const void *layer, const float *x, size_t count);
} gw_screen;

typedef struct gw_kernel {
    const char *kind;
    /* Whether the node makes sense, and what it needs; with the room's base NULL, counts what pack will take from it. */
    gw_status (*check)(const gw_place *place, gw_room *room, gw_need *need);
    /* The node, already checked, packed into the room: what step receives. */
    const void *(*pack)(const gw_place *place, gw_room *room);
    gw_step_function *step; /* one of these two, the other NULL */
    gw_sequence_function *sequence;
    const gw_screen *screen; /* of an input stage, else NULL */
} gw_kernel;

void *gw_take(gw_room *room, size_t count, size_t size);
#define gw_take_matrix(room, rows, cols) gw_take(room, (size_t)gw_padded(rows) * (size_t)(cols), sizeof(float))

/* Fill in the fault and return status. */
gw_status gw_fail(const gw_place *place, gw_status status, int index, size_t got, size_t expected);

/* The checks that every kernel has in common; all return GW_OK or a status, and fill in the fault. */
gw_status gw_expect_counts(const gw_place *place, int reads, int options, int tensors);
gw_status
gw_expect_several(const gw_place *place); /* of a kind that joins edges, without options and tensors: two or more */
gw_status gw_expect_one_width(const gw_place *place); /* and that they, and the edge it writes, have one width */
gw_status gw_expect_tensor(const gw_place *place, int index, size_t rows, size_t cols);
gw_status gw_expect_option(const gw_place *place, int index, int most);        /* a whole number from 0 to most */
gw_status gw_expect_bound(const gw_place *place, int index);                   /* 0 or more */
gw_status gw_expect_activation(const gw_place *place, int index, int softmax); /* kind, slope, offset; softmax or not */

#define GW_TRY(expression)                                                                                             \
    do {                                                                                                               \
        gw_status gw_tried = (expression);                                                                             \
        if (gw_tried != GW_OK) return gw_tried;                                                                        \
    } while (0)

#endif
