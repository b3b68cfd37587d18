/* Streams readings through a small GRU in memory that the program allocates, and prints the reading and the answer of each
 * step. gatewise.h says how to compile it; `make native-test` compiles it as build/native-test/stream. */
#include "gatewise.h"
#include "gatewise_kinds.h"

#include <stdio.h>
#include <stdlib.h>

enum { UNITS = 2 };

int main(void) {
    /* One reading -> GRU of two units -> one answer. Gates in the order r, z, n. */
    static const float weight_ih[3 * UNITS] = {0.5f, -0.5f, 1.0f, -1.0f, 0.8f, 1.2f};
    static const float weight_hh[3 * UNITS * UNITS] = {0.1f, 0.2f, 0.3f, 0.4f,  -0.1f, -0.2f,
                                                       0.2f, 0.1f, 0.5f, -0.5f, 0.7f,  0.3f};
    static const float bias[3 * UNITS] = {0}, weight[UNITS] = {1.0f, -2.0f}, offset[1] = {0.25f};
    static const gw_tensor gru[GW_GRU_TENSORS] = {[GW_GRU_WEIGHT_IH] = {weight_ih, 3 * UNITS, 1},
                                                  [GW_GRU_WEIGHT_HH] = {weight_hh, 3 * UNITS, UNITS},
                                                  [GW_GRU_BIAS_IH] = {bias, 3 * UNITS, 1},
                                                  [GW_GRU_BIAS_HH] = {bias, 3 * UNITS, 1}};
    static const gw_tensor dense[GW_DENSE_TENSORS] = {[GW_DENSE_WEIGHT] = {weight, 1, UNITS},
                                                      [GW_DENSE_BIAS] = {offset, 1, 1}};
    static const float gru_options[GW_GRU_OPTIONS] = {[GW_GRU_GATE_ACTIVATION] = GW_SIGMOID,
                                                      [GW_GRU_ACTIVATION] = GW_TANH};
    static const float dense_options[GW_DENSE_OPTIONS] = {[GW_DENSE_ACTIVATION] = GW_LINEAR};
    static const int edge0[] = {0}, edge1[] = {1}, widths[] = {1, UNITS, 1};
    static const gw_node nodes[] = {{"gru", edge0, 1, 1, gru_options, GW_GRU_OPTIONS, gru, GW_GRU_TENSORS},
                                    {"dense", edge1, 1, 2, dense_options, GW_DENSE_OPTIONS, dense, GW_DENSE_TENSORS}};
    static const gw_graph graph = {nodes, 2, widths, 3, 2, 1, 0, 0};

    gw_sizes sizes;
    gw_fault fault;
    const gw_model *model;
    if (gw_measure(&graph, NULL, &sizes, &fault) != GW_OK) return puts(gw_text(fault.status)), 1;
    void *arena = aligned_alloc(GW_ALIGNMENT, sizes.model_bytes);
    void *scratch = aligned_alloc(GW_ALIGNMENT, sizes.scratch_bytes);
    float *state = malloc(sizes.state_floats * sizeof(float)); /* plain floats: copy them to save the session */
    if (!arena || !scratch || !state) return puts("no memory"), 1;
    if (gw_build(&graph, NULL, arena, sizes.model_bytes, &model, &fault) != GW_OK)
        return puts(gw_text(fault.status)), 1;

    static const float x[] = {1.0f, 0.5f, -0.5f, -1.0f};
    gw_reset(model, state);
    for (int t = 0; t < 4; t++) {
        float y;
        const gw_status status = gw_step(model, &x[t], state, &y, scratch);
        if (status != GW_OK) return puts(gw_text(status)), 1;
        printf("%+.2f %+.6f\n", (double)x[t], (double)y);
    }
    free(arena), free(scratch), free(state);
    return 0;
}
