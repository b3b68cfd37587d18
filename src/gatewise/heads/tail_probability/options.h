/* Options and tensors of tail_probability, in the order of spec.py. */
#ifndef GW_TAIL_PROBABILITY_OPTIONS_H
#define GW_TAIL_PROBABILITY_OPTIONS_H

enum gw_tail_probability_options {
    GW_TAIL_PROBABILITY_ALPHA,          /* more than 0, at most 1 */
    GW_TAIL_PROBABILITY_LIMIT,          /* log10 of the calibration samples */
    GW_TAIL_PROBABILITY_MASKED,         /* 1 where the scaled input has a mask, else 0 */
    GW_TAIL_PROBABILITY_ALARM_SCORE,    /* at and above it a score is an alarm */
    GW_TAIL_PROBABILITY_PAUSE,          /* in rows, after an alarm */
    GW_TAIL_PROBABILITY_RATE_START,     /* c */
    GW_TAIL_PROBABILITY_FACTOR_ALARM_1, /* f_2, where the row is an alarm */
    GW_TAIL_PROBABILITY_FACTOR_CALM_1,  /* f_3, where it is none */
    GW_TAIL_PROBABILITY_FACTOR_ALARM_2, /* f_4 */
    GW_TAIL_PROBABILITY_FACTOR_CALM_2,  /* f_5 */
    GW_TAIL_PROBABILITY_OPTIONS,
    GW_TAIL_PROBABILITY_TARGETS = GW_TAIL_PROBABILITY_OPTIONS, /* K columns */
};

enum gw_tail_probability_tensors {
    GW_TAIL_PROBABILITY_STATISTIC,       /* (K, N) ascending from 0 or more */
    GW_TAIL_PROBABILITY_SCORE,           /* (K, N) */
    GW_TAIL_PROBABILITY_BAND,            /* (K, 2) */
    GW_TAIL_PROBABILITY_UNIT,            /* (K, 2): offset and scale of the target columns */
    GW_TAIL_PROBABILITY_CLIP,            /* (W, 2) */
    GW_TAIL_PROBABILITY_RANGE,           /* (W, 4) */
    GW_TAIL_PROBABILITY_FACTOR,          /* (W, 4) not negative */
    GW_TAIL_PROBABILITY_JOINT_STATISTIC, /* (N), the table of J, left out of one target */
    GW_TAIL_PROBABILITY_JOINT_SCORE,     /* (N), likewise */
    GW_TAIL_PROBABILITY_TENSORS
};

#endif
