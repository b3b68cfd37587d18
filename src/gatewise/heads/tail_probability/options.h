/* Options and tensors of tail_probability, in the order of spec.py. */
#ifndef GW_TAIL_PROBABILITY_OPTIONS_H
#define GW_TAIL_PROBABILITY_OPTIONS_H

enum gw_tail_probability_options {
    GW_TAIL_PROBABILITY_ALPHA,          /* more than 0, at most 1 */
    GW_TAIL_PROBABILITY_LIMIT,          /* log10 of the number of calibration samples */
    GW_TAIL_PROBABILITY_MASKED,         /* 1 if the scaled input has a mask, else 0 */
    GW_TAIL_PROBABILITY_ALARM_SCORE,    /* a score of at least this is an alarm */
    GW_TAIL_PROBABILITY_PAUSE,          /* after an alarm, in rows */
    GW_TAIL_PROBABILITY_RATE_START,     /* c */
    GW_TAIL_PROBABILITY_FACTOR_ALARM_1, /* f_2, for a row with an alarm */
    GW_TAIL_PROBABILITY_FACTOR_CALM_1,  /* f_3, for a row without */
    GW_TAIL_PROBABILITY_FACTOR_ALARM_2, /* f_4 */
    GW_TAIL_PROBABILITY_FACTOR_CALM_2,  /* f_5 */
    GW_TAIL_PROBABILITY_OPTIONS,
    GW_TAIL_PROBABILITY_TARGETS = GW_TAIL_PROBABILITY_OPTIONS, /* K column numbers */
};

enum gw_tail_probability_tensors {
    GW_TAIL_PROBABILITY_STATISTIC,       /* (K, N), each row ascending, not negative */
    GW_TAIL_PROBABILITY_SCORE,           /* (K, N) */
    GW_TAIL_PROBABILITY_BAND,            /* (K, 2) */
    GW_TAIL_PROBABILITY_UNIT,            /* (K, 2): offset and scale of the target columns */
    GW_TAIL_PROBABILITY_CLIP,            /* (W, 2) */
    GW_TAIL_PROBABILITY_RANGE,           /* (W, 4) */
    GW_TAIL_PROBABILITY_FACTOR,          /* (W, 4), not negative */
    GW_TAIL_PROBABILITY_JOINT_STATISTIC, /* (N), the table of J; left out if K = 1 */
    GW_TAIL_PROBABILITY_JOINT_SCORE,     /* (N), likewise */
    GW_TAIL_PROBABILITY_TENSORS
};

#endif
