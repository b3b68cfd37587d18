/* Options of moments, in the order of spec.py. */
#ifndef GW_MOMENTS_OPTIONS_H
#define GW_MOMENTS_OPTIONS_H

enum gw_moments_options {
    GW_MOMENTS_EPSILON, /* more than 0 */
    GW_MOMENTS_MASKED,  /* 1 if the edge ends with indicators of missing readings, else 0 */
    GW_MOMENTS_OPTIONS
};

#endif
