/* Options and tensors of dense, in the order of spec.py. */
#ifndef GW_DENSE_OPTIONS_H
#define GW_DENSE_OPTIONS_H

enum gw_dense_options {
    GW_DENSE_ACTIVATION, /* a kind of gatewise_activations.h */
    GW_DENSE_ACTIVATION_ALPHA,
    GW_DENSE_ACTIVATION_BETA,
    GW_DENSE_OPTIONS
};

enum gw_dense_tensors {
    GW_DENSE_WEIGHT, /* (U, I) */
    GW_DENSE_BIAS,   /* (U) */
    GW_DENSE_TENSORS
};

#endif
