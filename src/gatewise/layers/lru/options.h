/* Tensors of lru, in the order of spec.py. */
#ifndef GW_LRU_OPTIONS_H
#define GW_LRU_OPTIONS_H

enum gw_lru_tensors {
    GW_LRU_WEIGHT_IH, /* (2N, I): Re B, then Im B */
    GW_LRU_WEIGHT_HO, /* (H, 2N): Re C, then -Im C */
    GW_LRU_WEIGHT_IO, /* (H, I): D */
    GW_LRU_NU_LOG,    /* (N) */
    GW_LRU_THETA_LOG, /* (N) */
    GW_LRU_GAMMA_LOG, /* (N) */
    GW_LRU_TENSORS
};

#endif
