/* Options and tensors of norm, in the order of spec.py. */
#ifndef GW_NORM_OPTIONS_H
#define GW_NORM_OPTIONS_H

enum gw_norm_options {
    GW_NORM_METHOD,  /* 0 rms, 1 layer */
    GW_NORM_EPSILON, /* more than 0 */
    GW_NORM_OPTIONS
};

enum gw_norm_tensors {
    GW_NORM_WEIGHT, /* (I) */
    GW_NORM_BIAS,   /* (I), left out with rms */
    GW_NORM_TENSORS
};

#endif
