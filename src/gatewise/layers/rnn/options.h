/* Options and tensors of rnn, in the order of spec.py. */
#ifndef GW_RNN_OPTIONS_H
#define GW_RNN_OPTIONS_H

enum gw_rnn_options {
    GW_RNN_ACTIVATION, /* a kind of gatewise_activations.h, not softmax */
    GW_RNN_ACTIVATION_ALPHA,
    GW_RNN_ACTIVATION_BETA,
    GW_RNN_CLIP, /* its argument is limited to this absolute value; 0: no limit */
    GW_RNN_OPTIONS
};

enum gw_rnn_tensors {
    GW_RNN_WEIGHT_IH, /* (H, I) */
    GW_RNN_WEIGHT_HH, /* (H, H) */
    GW_RNN_BIAS_IH,   /* (H) */
    GW_RNN_BIAS_HH,   /* (H) */
    GW_RNN_TENSORS
};

#endif
