/* Options and tensors of mingru, in the order of spec.py. */
#ifndef GW_MINGRU_OPTIONS_H
#define GW_MINGRU_OPTIONS_H

enum gw_mingru_options {
    GW_MINGRU_ACTIVATION, /* of n: a kind of gatewise_activations.h, not softmax */
    GW_MINGRU_ACTIVATION_ALPHA,
    GW_MINGRU_ACTIVATION_BETA,
    GW_MINGRU_OPTIONS
};

enum gw_mingru_tensors {
    GW_MINGRU_WEIGHT_IH, /* (2H, I), rows in the order z, n */
    GW_MINGRU_BIAS_IH,   /* (2H) */
    GW_MINGRU_TENSORS
};

#endif
