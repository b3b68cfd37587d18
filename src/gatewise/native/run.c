/* Running a built model: one session or many side by side, over one step or many.
 *
 * Up to GW_MOST_ROWS rows run together. A row is a session or, in a model with a window, one window. If all nodes are
 * causal, they all run one step before the next step begins. If a node is not causal, each node runs over the whole
 * sequence before the next node begins, and every edge is stored for all steps. The bits of each row are the same in
 * both cases.
 *
 * The state of a model with a window of L steps contains the number of readings so far (at most L), then the last L
 * readings, the newest at the end. If there have been fewer, the others are zero. If the model fills missing values
 * forward, a missing value is replaced when it enters the window. The output therefore does not depend on whether the
 * previous reading is still in the window.
 *
 * The input stage decides which values are missing: gw_why_missing.
 */
#include "model.h"

#include <string.h>

/* Where rows are in memory: row i begins at data + i * row, in floats, and its next step is `step` floats further. */
typedef struct lanes {
    float *data;
    size_t row, step;
} lanes;

typedef struct readings {
    const float *data;
    size_t row; /* distance between rows; a step is as wide as the input */
} readings;

/* --- rows
 * ---------------------------------------------------------------------------------------------------------- */

static void fill(gw_batch *b, const gw_model *model, const gw_op *op, readings x, lanes state, lanes y, size_t t,
                 size_t rows, size_t edge_steps, float *scratch) {
    for (int i = 0; i < op->read_count; i++) {
        const gw_port port = op->reads[i];
        if (port.from == GW_FROM_X) {
            b->in[i] = x.data + t * port.width;
            b->in_stride[i] = x.row;
        } else if (port.from == GW_FROM_Y) {
            b->in[i] = y.data + t * y.step;
            b->in_stride[i] = y.row;
        } else {
            b->in[i] = scratch + (size_t)port.from * rows * edge_steps + (edge_steps > 1 ? t * port.width : 0);
            b->in_stride[i] = gw_spaced(port.width) * edge_steps;
        }
    }
    if (op->writes.from == GW_FROM_Y) {
        b->out = y.data + t * y.step;
        b->out_stride = y.row;
    } else {
        b->out = scratch + (size_t)op->writes.from * rows * edge_steps + (edge_steps > 1 ? t * op->writes.width : 0);
        b->out_stride = gw_spaced(op->writes.width) * edge_steps;
    }
    b->state = state.data + op->state;
    b->state_stride = state.row;
    b->scratch = scratch + model->edges * rows * edge_steps;
    b->scratch_stride = op->own;
}

/* Run all steps of `rows` rows. With y.step = 0 only the output of the last step is wanted. */
static void run_rows(const gw_model *model, size_t rows, size_t steps, readings x, lanes state, lanes y,
                     float *scratch) {
    gw_batch b = {.count = (int)rows};
    const gw_op *ops = model->ops, *end = ops + model->op_count, *tail = y.step ? ops : ops + model->tail;
    if (!model->non_causal) {
        for (size_t t = 0; t < steps; t++)
            for (const gw_op *op = ops; op < (y.step || t + 1 == steps ? end : tail); op++) {
                fill(&b, model, op, x, state, y, t, rows, 1, scratch);
                op->step(op->layer, &b);
            }
        return;
    }
    for (const gw_op *op = ops; op < end; op++)
        if (op->sequence) {
            fill(&b, model, op, x, state, y, 0, rows, steps, scratch);
            op->sequence(op->layer, &b, steps);
        } else {
            for (size_t t = !y.step && op >= tail ? steps - 1 : 0; t < steps; t++) {
                fill(&b, model, op, x, state, y, t, rows, steps, scratch);
                op->step(op->layer, &b);
            }
        }
    const size_t width = (size_t)model->sizes.outputs;
    for (size_t row = 0; row < rows; row++) {
        const float *from = scratch + (size_t)model->output * rows * steps + row * gw_spaced(width) * steps;
        if (y.step)
            memcpy(y.data + row * y.row, from, steps * width * sizeof(float));
        else
            memcpy(y.data + row * y.row, from + (steps - 1) * width, width * sizeof(float));
    }
}

/* --- windows
 * ------------------------------------------------------------------------------------------------------- */

/* The outputs of `rows` windows of `length` readings, each from a zero state. */
static void run_windows(const gw_model *model, size_t rows, size_t length, readings x, lanes y, float *scratch) {
    const lanes state = {scratch, gw_state_row(model), 0};
    memset(scratch, 0, rows * state.row * sizeof(float));
    run_rows(model, rows, length, x, state, (lanes){y.data, y.row, 0}, scratch + rows * state.row);
}

/* Write a reading into a window at `slot`. If the model fills forward, a missing value becomes that of the previous
 * reading, which is NULL if there is none, and which may be stored in the slot. */
static void enter(const gw_model *model, float *slot, const float *reading, const float *before) {
    const int fill_forward = model->hold && before;
    for (size_t i = 0; i < (size_t)model->sizes.inputs; i++) {
        const int filled = fill_forward && gw_why_missing(model, i, reading[i]) && !gw_why_missing(model, i, before[i]);
        slot[i] = filled ? before[i] : reading[i];
    }
}

/* One session over many steps: overlapping windows are overlapping rows. */
static void slide(const gw_model *model, size_t steps, const float *x, float *state, float *y, float *scratch) {
    const size_t inputs = (size_t)model->sizes.inputs, outputs = (size_t)model->sizes.outputs;
    const size_t window = (size_t)model->window, most = gw_rows_together(model, steps, window);
    float *last = state + 1, *all = scratch; /* all: the readings of the last window, then up to `most` new ones */
    size_t seen = (size_t)state[0];
    scratch += gw_spaced((window + most) * inputs);
    memcpy(all, last, window * inputs * sizeof(float));
    for (size_t t = 0, rows; t < steps; t += rows) {
        rows = steps - t < most ? steps - t : most;
        for (size_t i = 0; i < rows; i++) {
            float *slot = all + (window + i) * inputs;
            enter(model, slot, x + (t + i) * inputs, seen + i ? slot - inputs : NULL);
        }
        size_t row = 0;
        for (; row < rows && seen + 1 < window; row++) { /* the window is not full yet */
            seen++;
            const readings from = {all + (window + row + 1 - seen) * inputs, 0};
            run_windows(model, 1, seen, from, (lanes){y + (t + row) * outputs, outputs, 0}, scratch);
        }
        if (row < rows) {
            seen = window;
            const readings from = {all + (row + 1) * inputs, inputs};
            run_windows(model, rows - row, window, from, (lanes){y + (t + row) * outputs, outputs, 0}, scratch);
        }
        memmove(all, all + rows * inputs, window * inputs * sizeof(float));
    }
    memcpy(last, all, window * inputs * sizeof(float));
    state[0] = (float)(seen < window ? seen : window);
}

/* One step of several sessions, whose readings are in their states: those with equally long windows run together. */
static void slide_rows(const gw_model *model, size_t rows, const float *x, lanes states, float *y, float *scratch) {
    const size_t inputs = (size_t)model->sizes.inputs, outputs = (size_t)model->sizes.outputs;
    const size_t window = (size_t)model->window;
    for (size_t row = 0; row < rows; row++) {
        float *state = states.data + row * states.row, *last = state + 1;
        memmove(last, last + inputs, (window - 1) * inputs * sizeof(float));
        float *slot = last + (window - 1) * inputs;
        enter(model, slot, x + row * inputs, state[0] > 0.0f ? slot : NULL);
        if (state[0] < (float)window) state[0] += 1.0f;
    }
    for (size_t row = 0, next; row < rows; row = next) {
        const float *first = states.data + row * states.row;
        const size_t length = (size_t)first[0];
        for (next = row + 1; next < rows && states.data[next * states.row] == first[0];) next++;
        const readings from = {first + 1 + (window - length) * inputs, states.row};
        run_windows(model, next - row, length, from, (lanes){y + row * outputs, outputs, 0}, scratch);
    }
}

/* --- the public functions
 * ------------------------------------------------------------------------------------------ */

void gw_run_checked(const gw_model *model, size_t sessions, size_t steps, const float *x, float *states, float *y,
                    void *scratch) {
    const size_t x_row = steps * (size_t)model->sizes.inputs, y_row = steps * (size_t)model->sizes.outputs;
    const size_t floats = model->sizes.state_floats,
                 most = gw_rows_together(model, sessions, model->window ? (size_t)model->window : steps);
    if (steps == 0) return;
    if (model->window && steps > 1) {
        for (size_t s = 0; s < sessions; s++)
            slide(model, steps, x + s * x_row, states + s * floats, y + s * y_row, scratch);
        return;
    }
    for (size_t s = 0, rows; s < sessions; s += rows) {
        rows = sessions - s < most ? sessions - s : most;
        const lanes state = {states + s * floats, floats, 0};
        if (model->window)
            slide_rows(model, rows, x + s * x_row, state, y + s * y_row, scratch);
        else
            run_rows(model, rows, steps, (readings){x + s * x_row, x_row}, state,
                     (lanes){y + s * y_row, y_row, (size_t)model->sizes.outputs}, scratch);
    }
}

void gw_push_checked(const gw_model *model, size_t count, const int64_t *ids, const float *x, float *states, float *y,
                     void *scratch) {
    const size_t inputs = (size_t)model->sizes.inputs, outputs = (size_t)model->sizes.outputs;
    const size_t floats = model->sizes.state_floats, space = gw_spaced(floats);
    const size_t most = gw_rows_together(model, count, model->window ? (size_t)model->window : 1);
    float *gathered = scratch, *rest = gathered + (count > 1 ? most * space : 0);
    for (size_t at = 0, rows; at < count; at += rows) {
        rows = count - at < most ? count - at : most;
        size_t side = 1; /* consecutive sessions need not be moved */
        while (side < rows && ids[at + side] == ids[at] + (int64_t)side) side++;
        const int move = side < rows;
        const lanes state = move ? (lanes){gathered, space, 0} : (lanes){states + (size_t)ids[at] * floats, floats, 0};
        for (size_t r = 0; move && r < rows; r++)
            memcpy(gathered + r * space, states + (size_t)ids[at + r] * floats, floats * sizeof(float));
        if (model->window)
            slide_rows(model, rows, x + at * inputs, state, y + at * outputs, rest);
        else
            run_rows(model, rows, 1, (readings){x + at * inputs, inputs}, state,
                     (lanes){y + at * outputs, outputs, outputs}, rest);
        for (size_t r = 0; move && r < rows; r++)
            memcpy(states + (size_t)ids[at + r] * floats, gathered + r * space, floats * sizeof(float));
    }
}

/* Everything that can be refused, before anything changes. */
static gw_status check_run(const gw_model *model, size_t count, const float *x, const void *scratch) {
    if ((uintptr_t)scratch % GW_ALIGNMENT) return GW_MISALIGNED;
    if (model->refuse_nonfinite && gw_first_unusable(model, x, count) < count) return GW_NONFINITE_INPUT;
    return GW_OK;
}

gw_status gw_run_batch(const gw_model *model, size_t sessions, size_t steps, const float *x, float *states, float *y,
                       void *scratch) {
    GW_TRY(check_run(model, sessions * steps * (size_t)model->sizes.inputs, x, scratch));
    gw_run_checked(model, sessions, steps, x, states, y, scratch);
    return GW_OK;
}

gw_status gw_run(const gw_model *model, size_t steps, const float *x, float *state, float *y, void *scratch) {
    return gw_run_batch(model, 1, steps, x, state, y, scratch);
}

gw_status gw_step(const gw_model *model, const float *x, float *state, float *y, void *scratch) {
    return model->sizes.steps ? gw_run(model, 1, x, state, y, scratch) : GW_NON_CAUSAL;
}

gw_status gw_push(const gw_model *model, size_t count, const int64_t *ids, const float *x, float *states, float *y,
                  void *scratch) {
    if (!model->sizes.steps) return GW_NON_CAUSAL;
    GW_TRY(check_run(model, count * (size_t)model->sizes.inputs, x, scratch));
    gw_push_checked(model, count, ids, x, states, y, scratch);
    return GW_OK;
}
