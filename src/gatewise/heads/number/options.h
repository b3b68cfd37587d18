/* Options and tensors of number, in the order of spec.py. */
#ifndef GW_NUMBER_OPTIONS_H
#define GW_NUMBER_OPTIONS_H

enum gw_number_options {
    GW_NUMBER_INTERVAL, /* 1 if the ends of the interval are written, else 0 */
    GW_NUMBER_OPTIONS
};

enum gw_number_tensors {
    GW_NUMBER_OFFSET, /* (1) */
    GW_NUMBER_SCALE,  /* (1) more than 0 */
    GW_NUMBER_MARGIN, /* (1) at least 0 */
    GW_NUMBER_TENSORS
};

#endif
