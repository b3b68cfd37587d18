/* A built model, as model.c makes it and run.c runs it. */
#ifndef GW_MODEL_H
#define GW_MODEL_H

#include "kernel.h"

/* Where an edge lies: in the caller's x or y, or so many floats from the start of scratch for each row. */
enum { GW_FROM_X = -1, GW_FROM_Y = -2 };

typedef struct gw_port {
    ptrdiff_t from;
    size_t width;
} gw_port;

typedef struct gw_op {
    gw_step_function *step;
    gw_whole_function *whole;
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
    int whole;         /* whether some node needs the whole sequence: then all nodes run one after the other over it */
    size_t edges, own; /* scratch of one row, floats: the edges (of one step), the nodes' own */
    size_t state;      /* floats of the nodes' states */
    size_t evidence, evidences; /* where the evidence of the last node that has some begins there, and how much it is */
    const float *offset, *factor; /* (inputs) each: a reading scaled is (x - offset) * factor; NULL: x itself */
    const unsigned char *logs;    /* (inputs) whether it is log(1 + x) that is scaled; NULL: never */
    size_t output; /* where the output lies in scratch, floats a row; where steps follow each other it does not */
    int tail;      /* from this op on none has a state or needs a sequence: for one answer they run once */
    int op_count;
    gw_op ops[];
};

/* Most sessions that run side by side: enough to share each weight, few enough for their scratch to stay in cache. */
enum { GW_MOST_ROWS = 48 };

static inline size_t gw_spaced(size_t floats) { return (floats + 15) / 16 * 16; } /* GW_ALIGNMENT in floats */

#endif
