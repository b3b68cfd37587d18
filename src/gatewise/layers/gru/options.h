/* Options and tensors of gru, in the order of spec.py. */
#ifndef GW_GRU_OPTIONS_H
#define GW_GRU_OPTIONS_H

enum gw_gru_options {
    GW_GRU_RESET,           /* the reset gate acts 0 after, 1 before the recurrent matrix */
    GW_GRU_GATE_ACTIVATION, /* of r and z: a kind of gatewise_activations.h, not softmax */
    GW_GRU_GATE_ACTIVATION_ALPHA,
    GW_GRU_GATE_ACTIVATION_BETA,
    GW_GRU_ACTIVATION, /* of n: also a kind of gatewise_activations.h, not softmax */
    GW_GRU_ACTIVATION_ALPHA,
    GW_GRU_ACTIVATION_BETA,
    GW_GRU_CLIP, /* arguments of the activations are limited to this absolute value; 0: no limit */
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
