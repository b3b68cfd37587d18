/* Options and tensors of rglru, in the order of spec.py. */
#ifndef GW_RGLRU_OPTIONS_H
#define GW_RGLRU_OPTIONS_H

enum gw_rglru_options {
    GW_RGLRU_SIGNED, /* 1 if a may be negative, else 0 */
    GW_RGLRU_OPTIONS
};

enum gw_rglru_tensors {
    GW_RGLRU_WEIGHT_IH, /* (3H, I), rows in the order r, i, v */
    GW_RGLRU_BIAS_IH,   /* (3H) */
    GW_RGLRU_DECAY,     /* (H) */
    GW_RGLRU_TENSORS
};

#endif
