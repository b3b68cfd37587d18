/* Options and tensors of quantiles, in the order of spec.py. */
#ifndef GW_QUANTILES_OPTIONS_H
#define GW_QUANTILES_OPTIONS_H

enum gw_quantiles_options {
    GW_QUANTILES_QUANTILES, /* Q */
    GW_QUANTILES_ANCHOR,    /* 1 if base is the reading of the target, else 0 */
    GW_QUANTILES_OPTIONS,
    GW_QUANTILES_TARGETS = GW_QUANTILES_OPTIONS, /* K column numbers; then nothing, or K guides */
};

/* A guide: three numbers for a target, bounds in its units. */
enum gw_quantiles_guides {
    GW_QUANTILES_GUIDES_LEAST,   /* the lower bound of answers; -FLT_MAX: none */
    GW_QUANTILES_GUIDES_LARGEST, /* the upper bound of answers; FLT_MAX: none */
    GW_QUANTILES_GUIDES_LOG1P,   /* 1 if the column is read as log(1 + x), so that the answer is exp(v) - 1, else 0 */
    GW_QUANTILES_GUIDES
};

enum gw_quantiles_tensors {
    GW_QUANTILES_OFFSET, /* (K) */
    GW_QUANTILES_SCALE,  /* (K) more than 0 */
    GW_QUANTILES_TENSORS
};

#endif
