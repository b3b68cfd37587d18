/* Answers to questions about a built model: its sizes, which readings are missing, which states are valid. */
#include "model.h"
#include "prims_scalar.h" /* gw_usable */

const gw_sizes *gw_model_sizes(const gw_model *model) { return &model->sizes; }

const char *gw_model_cpu(const gw_model *model) { return model->isa->name; }

size_t gw_scratch_bytes(const gw_model *model, size_t sessions, size_t steps) {
    const size_t inputs = (size_t)model->sizes.inputs, window = (size_t)model->window;
    const size_t wanted = window && steps > sessions ? steps : sessions, length = window ? window : steps;
    const size_t rows = gw_rows_together(model, wanted, length);
    size_t each = gw_row_floats(model, length), all;
    if (window) each += each == SIZE_MAX ? 0 : gw_state_row(model);
    if (each == SIZE_MAX || __builtin_mul_overflow(each, rows, &all) || all > PTRDIFF_MAX / 8) return SIZE_MAX;
    if (window) all += gw_spaced((window + rows) * inputs);
    if (sessions > 1) all += rows * gw_spaced(model->sizes.state_floats);
    return (all ? all : 16) * sizeof(float);
}

const char *gw_why_missing(const gw_model *model, size_t input, float x) {
    if (model->screen) return model->screen->why_missing(model->stage, input, x);
    return gw_usable(x) ? NULL : "beyond 1e18 in size once scaled";
}

size_t gw_first_unusable(const gw_model *model, const float *x, size_t count) {
    if (model->screen) return model->screen->first_missing(model->stage, x, count);
    int found = 0;
    for (size_t k = 0; k < count; k++) found |= !gw_usable(x[k]); /* no early exit, so that it is vectorised */
    for (size_t k = 0; found && k < count; k++)
        if (!gw_usable(x[k])) return k;
    return count;
}

void gw_reset(const gw_model *model, float *state) {
    for (size_t i = 0; i < model->sizes.state_floats; i++) state[i] = 0.0f;
}

size_t gw_bad_state(const gw_model *model, const float *state) {
    const size_t floats = model->sizes.state_floats;
    if (!model->window) return gw_first_nonfinite(state, floats);
    if (!(state[0] >= 0.0f && state[0] <= (float)model->window && state[0] == (float)(int)state[0])) return 0;
    return model->refuse_nonfinite ? 1 + gw_first_nonfinite(state + 1, floats - 1) : floats;
}

float gw_evidence(const gw_model *model, const float *state, int *place) {
    float most = 0.0f;
    if (place) *place = -1;
    for (size_t i = 0; !model->window && i < model->evidences; i++)
        if (state[model->evidence + i] > most) {
            most = state[model->evidence + i];
            if (place) *place = (int)i;
        }
    return most;
}
