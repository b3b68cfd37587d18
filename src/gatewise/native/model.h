/* A built model: what build.c makes and run.c runs, and what model.c says of it to both. */
#ifndef GW_MODEL_H
#define GW_MODEL_H

#include "isa.h"

/* Where an edge lies: in the caller's x or y, or so many floats from the start of scratch for each row. */
enum { GW_FROM_X = -1, GW_FROM_Y = -2 };

typedef struct gw_port {
    ptrdiff_t from;
    size_t width;
} gw_port;

typedef struct gw_op {
    gw_step_function *step;
    gw_sequence_function *sequence;
    const void *layer;
    size_t state; /* where its floats begin among those of the nodes */
    size_t own;   /* its scratch, floats a row, in whole GW_ALIGNMENT */
    gw_port reads[GW_MOST_INPUTS], writes;
    int read_count;
} gw_op;

struct gw_model {
    gw_sizes sizes;
    const gw_isa *isa;
    int refuse_nonfinite, hold;
    int window;        /* steps that an answer is made from; 0 = the state is carried */
    int non_causal;    /* whether some node needs the whole sequence: then all nodes run one after the other over it */
    size_t edges, own; /* scratch of one row, floats: the edges (of one step), the nodes' own */
    size_t state;      /* floats of the nodes' states */
    size_t evidence, evidences; /* where the evidence of the last node that has some begins there, and how much it is */
    const gw_screen *screen;    /* of the input stage, which is the first node; NULL: it takes what gw_usable says */
    const void *stage;          /* its layer */
    size_t output; /* where the output lies in scratch, floats a row; where steps follow each other it does not */
    int tail;      /* from this op on none has a state or needs a sequence: for one answer they run once */
    int op_count;
    gw_op ops[];
};

/* Most sessions that run side by side: enough to share each weight, few enough for their scratch to stay in cache. */
enum { GW_MOST_ROWS = 48 };

static inline size_t gw_spaced(size_t floats) { return (floats + 15) / 16 * 16; } /* GW_ALIGNMENT in floats */

/* Scratch of one row of so many steps; SIZE_MAX where that cannot be counted. */
static inline size_t gw_row_floats(const gw_model *model, size_t steps) {
    size_t edges;
    if (!model->non_causal) return model->edges + model->own;
    if (__builtin_mul_overflow(model->edges, steps, &edges) || edges > PTRDIFF_MAX / 8) return SIZE_MAX;
    return edges + model->own;
}

/* How many rows to run together: where edges are kept for all steps, no more than a megabyte or so of them. */
static inline size_t gw_rows_together(const gw_model *model, size_t sessions, size_t steps) {
    size_t most = GW_MOST_ROWS;
    if (model->non_causal) {
        const size_t fit = ((size_t)1 << 18) / gw_row_floats(model, steps);
        most = fit < 1 ? 1 : fit < most ? fit : most;
    }
    return sessions < 1 ? 1 : sessions < most ? sessions : most;
}

/* For a window: the nodes' states of its row. */
static inline size_t gw_state_row(const gw_model *model) { return gw_spaced(model->state); }

/* Why this value of an input is missing, to stand after it in a sentence; NULL: it is not. */
const char *gw_why_missing(const gw_model *model, size_t input, float x);

/* gw_run_batch and gw_push for who has checked everything already: they refuse nothing, and write all of y. */
void gw_run_checked(const gw_model *model, size_t sessions, size_t steps, const float *x, float *states, float *y,
                    void *scratch);
void gw_push_checked(const gw_model *model, size_t count, const int64_t *ids, const float *x, float *states, float *y,
                     void *scratch);

#endif
