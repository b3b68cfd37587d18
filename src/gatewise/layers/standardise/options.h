/* Options of standardise, in the order of spec.py. */
#ifndef GW_STANDARDISE_OPTIONS_H
#define GW_STANDARDISE_OPTIONS_H

enum gw_standardise_options {
    GW_STANDARDISE_MASKED, /* 1 if the edge ends with indicators of missing readings, else 0 */
    GW_STANDARDISE_OPTIONS
};

#endif
