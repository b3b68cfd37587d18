/* Options and tensors of numeric, in the order of spec.py. */
#ifndef GW_NUMERIC_OPTIONS_H
#define GW_NUMERIC_OPTIONS_H

enum gw_numeric_options {
    GW_NUMERIC_SCALING, /* 1 if it scales, else 0 */
    GW_NUMERIC_MISSING, /* missing values: 0 stay, 1 are filled forward, 2 as 1 and marked in a mask */
    GW_NUMERIC_OPTIONS,
    GW_NUMERIC_TRANSFORM = GW_NUMERIC_OPTIONS, /* columns that are read as log(1 + x), ascending; may be none */
};

enum gw_numeric_tensors {
    GW_NUMERIC_OFFSET, /* (W), left out if it does not scale */
    GW_NUMERIC_SCALE,  /* (W) more than 0, likewise */
    GW_NUMERIC_TENSORS
};

#endif
