/* Options and tensors of gru, in the order of spec.py. */
#ifndef GW_GRU_OPTIONS_H
#define GW_GRU_OPTIONS_H

enum gw_gru_options {
    GW_GRU_RESET,           /* 0 after, 1 before the recurrent matrix */
    GW_GRU_GATE_ACTIVATION, /* of r and z: a kind of gatewise_activations.h, not softmax */
    GW_GRU_GATE_ACTIVATION_ALPHA,
    GW_GRU_GATE_ACTIVATION_BETA,
    GW_GRU_ACTIVATION, /* of n: likewise */
    GW_GRU_ACTIVATION_ALPHA,
    GW_GRU_ACTIVATION_BETA,
    GW_GRU_CLIP, /* what goes into an activation is held within this first; 0: there is none */
    GW_GRU_OPTIONS
};

enum gw_gru_tensors {
    GW_GRU_WEIGHT_IH, /* (3H, I), the gates in the order r, z, n */
    GW_GRU_WEIGHT_HH, /* (3H, H) */
    GW_GRU_BIAS_IH,   /* (3H) */
    GW_GRU_BIAS_HH,   /* (3H) */
    GW_GRU_TENSORS
};

#endif
