/* Options and tensors of minlstm, in the order of spec.py. */
#ifndef GW_MINLSTM_OPTIONS_H
#define GW_MINLSTM_OPTIONS_H

enum gw_minlstm_options {
    GW_MINLSTM_ACTIVATION, /* of n: a kind of gatewise_activations.h, not softmax */
    GW_MINLSTM_ACTIVATION_ALPHA,
    GW_MINLSTM_ACTIVATION_BETA,
    GW_MINLSTM_OPTIONS
};

enum gw_minlstm_tensors {
    GW_MINLSTM_WEIGHT_IH, /* (3H, I), rows in the order f, i, n */
    GW_MINLSTM_BIAS_IH,   /* (3H) */
    GW_MINLSTM_TENSORS
};

#endif
