/* The kinds of node. For each kind: its equations, the edges that it reads and writes, its state, and the names of its
 * options and tensors.
 *
 *     const float options[GW_DENSE_OPTIONS] = {[GW_DENSE_ACTIVATION] = GW_SIGMOID};
 *     const gw_tensor tensors[GW_DENSE_TENSORS] = {[GW_DENSE_WEIGHT] = {W, 2, 3}, [GW_DENSE_BIAS] = {b, 2, 1}};
 *
 * The comment of a tensor gives its shape, rows first; a vector has one column. If a tensor is left out, those after it
 * move up. A list at the end of the options, for example of columns, begins at the name after the number of options,
 * such as GW_NUMERIC_TRANSFORM.
 *
 * In the equations, flush(x) is 0 if |x| < 2^-64, else x. A prime marks a value after the step, as in h'. Products of
 * vectors, such as z (n - h), are elementwise.
 *
 * This file is written by cmake/kinds_header.py from the kernel.c and options.h of each kind; edit those. */
#ifndef GATEWISE_KINDS_H
#define GATEWISE_KINDS_H

/* --- numeric: Numeric input stage: one step on the raw readings x of W columns.
 *
 *     x = log(1 + x)                      in columns with a log transform
 *     s = (x - offset) * (1 / scale)      if it scales; 1 / scale is rounded once, when packed
 *     s = held if s is not usable         if it fills forward; not usable: NaN, infinite or |s| > 1e18
 *     held' = flush(s)
 *     i = 1 if s was not usable, else 0
 *
 * Reads one edge (W), writes s (W), or with a mask s and i (2W). State, if it fills forward: held (W).
 */

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

/* --- add: Adds edges of equal width, value by value: one step.
 *
 *     y = x_0 + x_1 + ...    from left to right
 *
 * Reads two edges or more of I values, writes y (I). No state, no options, no tensors.
 */

/* --- concat: Joins edges side by side: one step.
 *
 *     y = [x_0, x_1, ...]
 *
 * Reads two edges or more, writes all their values. No state, no options, no tensors.
 */

/* --- dense: Fully connected layer: one step.
 *
 *     y = act(W x + b)
 *     softmax: y_i = exp(a_i - max a) / sum_j exp(a_j - max a), summed with j ascending
 *
 * Reads one edge of I values, writes y (U). No state.
 */

enum gw_dense_options {
    GW_DENSE_ACTIVATION, /* a kind of gatewise_activations.h */
    GW_DENSE_ACTIVATION_ALPHA,
    GW_DENSE_ACTIVATION_BETA,
    GW_DENSE_OPTIONS
};

enum gw_dense_tensors {
    GW_DENSE_WEIGHT, /* (U, I) */
    GW_DENSE_BIAS,   /* (U) */
    GW_DENSE_TENSORS
};

/* --- gru: Gated recurrent unit: one step.
 *
 *     r  = gate(W_ir x + b_ir + W_hr h + b_hr)
 *     z  = gate(W_iz x + b_iz + W_hz h + b_hz)
 *     n  = act(W_in x + b_in + r * (W_hn h + b_hn))        reset after
 *     n  = act(W_in x + b_in + W_hn (r * h) + b_hn)        reset before
 *     h' = flush(n + z * (h - n))
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Gates in the order r, z, n.
 *
 * Order of each sum: r and z begin with b_i + b_h (rounded once), then x ascending, then h ascending. With reset after,
 * n has two sums: b_in then x, and b_hn then h. With reset before, n has one sum: b_in + b_hn, then x, then r * h.
 */

enum gw_gru_options {
    GW_GRU_RESET,           /* the reset gate acts 0 after, 1 before the recurrent matrix */
    GW_GRU_GATE_ACTIVATION, /* of r and z: a kind of gatewise_activations.h, not softmax */
    GW_GRU_GATE_ACTIVATION_ALPHA,
    GW_GRU_GATE_ACTIVATION_BETA,
    GW_GRU_ACTIVATION, /* of n: also a kind of gatewise_activations.h, not softmax */
    GW_GRU_ACTIVATION_ALPHA,
    GW_GRU_ACTIVATION_BETA,
    GW_GRU_CLIP, /* arguments of the activations are limited to this absolute value; 0: no limit */
    GW_GRU_OPTIONS
};

enum gw_gru_tensors {
    GW_GRU_WEIGHT_IH, /* (3H, I), the gates in the order r, z, n */
    GW_GRU_WEIGHT_HH, /* (3H, H) */
    GW_GRU_BIAS_IH,   /* (3H) */
    GW_GRU_BIAS_HH,   /* (3H) */
    GW_GRU_TENSORS
};

/* --- lru: Linear recurrent unit with a complex, diagonal recurrence: one step.
 *
 *     lambda = exp(-exp(nu_log) + i exp(theta_log))
 *     h'     = flush(lambda h + exp(gamma_log) (B x))      N complex values
 *     y      = Re(C h') + D x
 *
 * Reads one edge of I values, writes y (H). State: Re h (N), Im h (N).
 *
 * Order of each sum: B x begins with 0, then x ascending. y begins with 0, then x ascending, then Re h' and Im h'
 * ascending.
 */

enum gw_lru_tensors {
    GW_LRU_WEIGHT_IH, /* (2N, I): Re B, then Im B */
    GW_LRU_WEIGHT_HO, /* (H, 2N): Re C, then -Im C */
    GW_LRU_WEIGHT_IO, /* (H, I): D */
    GW_LRU_NU_LOG,    /* (N) */
    GW_LRU_THETA_LOG, /* (N) */
    GW_LRU_GAMMA_LOG, /* (N) */
    GW_LRU_TENSORS
};

/* --- lstm: Long short-term memory: one step.
 *
 *     i  = gate(W_ii x + b_ii + W_hi h + b_hi + p_i * c)
 *     f  = gate(W_if x + b_if + W_hf h + b_hf + p_f * c)      or 1 - i if the gates are coupled
 *     g  = act(W_ig x + b_ig + W_hg h + b_hg)
 *     c' = flush(bound(f * c + i * g, cell clip))
 *     o  = gate(W_io x + b_io + W_ho h + b_ho + p_o * c')
 *     y  = o * out(c')
 *     h' = flush(y), or with a projection flush(W_hr y)
 *
 * The arguments of gate and act are first limited to the clip, if there is one. bound limits a value to the cell clip.
 *
 * Reads one edge of I values, writes h' (H, or P with a projection). State: h (P or H), c (H). Gates in the order i, f,
 * g, o.
 *
 * Order of each sum: b_i + b_h (rounded once), x ascending, h ascending, then p * c.
 */

enum gw_lstm_options {
    GW_LSTM_GATE_ACTIVATION, /* of i, f and o: a kind of gatewise_activations.h, not softmax */
    GW_LSTM_GATE_ACTIVATION_ALPHA,
    GW_LSTM_GATE_ACTIVATION_BETA,
    GW_LSTM_ACTIVATION, /* of g: also a kind of gatewise_activations.h, not softmax */
    GW_LSTM_ACTIVATION_ALPHA,
    GW_LSTM_ACTIVATION_BETA,
    GW_LSTM_OUTPUT_ACTIVATION, /* of the cell: also such a kind */
    GW_LSTM_OUTPUT_ACTIVATION_ALPHA,
    GW_LSTM_OUTPUT_ACTIVATION_BETA,
    GW_LSTM_PEEPHOLES,    /* 1 with peepholes, else 0 */
    GW_LSTM_INPUT_FORGET, /* 1 if the gates are coupled, f = 1 - i, else 0 */
    GW_LSTM_PROJECTION,   /* 1 with a projection, else 0 */
    GW_LSTM_CLIP,         /* the arguments of gate and act are limited to this absolute value; 0: no limit */
    GW_LSTM_CELL_CLIP,    /* the cell is limited to this absolute value; 0: no limit */
    GW_LSTM_OPTIONS
};

enum gw_lstm_tensors {
    GW_LSTM_WEIGHT_IH,       /* (4H, I), the gates in the order i, f, g, o */
    GW_LSTM_WEIGHT_HH,       /* (4H, P or H) */
    GW_LSTM_BIAS_IH,         /* (4H) */
    GW_LSTM_BIAS_HH,         /* (4H) */
    GW_LSTM_WEIGHT_HR,       /* (P, H), left out without a projection */
    GW_LSTM_WEIGHT_PEEPHOLE, /* (3H) in the order i, f, o, left out without peepholes */
    GW_LSTM_TENSORS
};

/* --- mingru: Minimal gated recurrent unit: one step.
 *
 *     z  = sigmoid(W_z x + b_z)
 *     n  = act(W_n x + b_n)
 *     h' = flush(h + z (n - h))
 *
 * In this form a small z keeps its relative precision, so that h approaches n at the right speed. 1 - z would lose this
 * precision.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order z, n.
 *
 * Order of each sum: b, then x ascending.
 */

enum gw_mingru_options {
    GW_MINGRU_ACTIVATION, /* of n: a kind of gatewise_activations.h, not softmax */
    GW_MINGRU_ACTIVATION_ALPHA,
    GW_MINGRU_ACTIVATION_BETA,
    GW_MINGRU_OPTIONS
};

enum gw_mingru_tensors {
    GW_MINGRU_WEIGHT_IH, /* (2H, I), rows in the order z, n */
    GW_MINGRU_BIAS_IH,   /* (2H) */
    GW_MINGRU_TENSORS
};

/* --- minlstm: Minimal long short-term memory: one step.
 *
 *     f  = sigmoid(u), u = W_f x + b_f
 *     i  = sigmoid(v), v = W_i x + b_i
 *     n  = act(W_n x + b_n)
 *     i' = i / (f + i)
 *     h' = flush(h + i' (n - h))                           = f' h + i' n with f' = f / (f + i) = 1 - i'
 *
 * f and i may both underflow. The numerator and the denominator are therefore multiplied by (1 + exp(-u)) (1 +
 * exp(-v)), and, as in a softmax, by exp(-m) with m = max(0, -u, -v):
 *
 *     i' = (exp(-m) + exp(-u - m)) / (exp(-m) + exp(-u - m) + exp(-m) + exp(-v - m))
 *
 * Then no exponential overflows, the denominator is between 1 and 4, and nothing is subtracted. A small i' keeps its
 * relative precision, so that h approaches n at the right speed.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order f, i, n.
 *
 * Order of each sum: b, then x ascending.
 */

enum gw_minlstm_options {
    GW_MINLSTM_ACTIVATION, /* of n: a kind of gatewise_activations.h, not softmax */
    GW_MINLSTM_ACTIVATION_ALPHA,
    GW_MINLSTM_ACTIVATION_BETA,
    GW_MINLSTM_OPTIONS
};

enum gw_minlstm_tensors {
    GW_MINLSTM_WEIGHT_IH, /* (3H, I), rows in the order f, i, n */
    GW_MINLSTM_BIAS_IH,   /* (3H) */
    GW_MINLSTM_TENSORS
};

/* --- moments: Mean and standard deviation of each column over the whole sequence.
 *
 *     m = 1/T sum_t x(t)        s = sqrt(1/T sum_t (x(t) - m)^2 + epsilon)        y(t) = [m, s]
 *
 * With a mask, the sums include only the n steps at which the column has a reading, and T is replaced by n. If there is
 * no such step, m = 0 and s = 1. The edge then has 2C values, and value C + i is 1 where the reading of column i is
 * missing.
 *
 * Order of both sums: t ascending, one chain for each column.
 *
 * Reads one edge, of which it uses the first W columns; writes 2W values. No state, no tensors. Not causal: needs the
 * whole sequence.
 */

enum gw_moments_options {
    GW_MOMENTS_EPSILON, /* more than 0 */
    GW_MOMENTS_MASKED,  /* 1 if the edge ends with indicators of missing readings, else 0 */
    GW_MOMENTS_OPTIONS
};

/* --- multiply: Multiplies edges of equal width, value by value: one step.
 *
 *     y = x_0 * x_1 * ...    from left to right
 *
 * Reads two edges or more of I values, writes y (I). No state, no options, no tensors.
 */

/* --- norm: Normalises the values of each step: one step.
 *
 *     y = x / sqrt(1/I sum_i x_i^2 + epsilon) * weight                      rms
 *     y = (x - m) / sqrt(1/I sum_i (x_i - m)^2 + epsilon) * weight + bias   layer, m = 1/I sum_i x_i
 *
 * Reads one edge of I values, writes y (I). No state.
 *
 * The mean is subtracted before squaring, because otherwise the variance would be a small difference of large numbers.
 * It is subtracted twice: the mean of what remains after the first time is the rounding error of the first mean. On
 * every instruction set a sum consists of 16 chains, of which chain k adds i = k, k + 16, ... in ascending order. Then
 * the second half of the chains is added to the first half, until one is left. If a sum of squares overflows, from |x|
 * = 1e19 on, x counts as 0.
 */

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

/* --- reverse: The sequence in reverse order of time.
 *
 *     y(t) = x(T - 1 - t)
 *
 * Reads one edge, writes an edge of the same width. No state, no options, no tensors. Not causal: needs the whole
 * sequence.
 */

/* --- rglru: Real-gated linear recurrent unit: one step.
 *
 *     r  = sigmoid(W_r x + b_r)
 *     i  = sigmoid(W_i x + b_i)
 *     v  = W_v x + b_v
 *     a  = exp(-rate r)                                    rate = 8 softplus(decay)
 *     e  = 1 - a                                           signed: 1 - (2 a - 1) = 2 (1 - a)
 *     h' = flush(h - e h + sqrt(e (1 + a)) (i v))          signed: sqrt(e 2 a)
 *
 * The kernel computes e rather than a. If a is nearly 1, then 1 - a^2 = e (1 + a) and the decay of h keep their
 * relative precision, which they would lose if they were computed from a as a float.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order r, i, v.
 *
 * Order of each sum: b, then x ascending.
 */

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

/* --- rnn: Plain recurrent layer: one step.
 *
 *     h' = flush(act(W_ih x + b_ih + W_hh h + b_hh))
 *
 * The argument of act is first limited to the clip, if there is one.
 *
 * Reads one edge of I values, writes h' (H). State: h (H).
 *
 * Order of each sum: b_ih + b_hh (rounded once), then x ascending, then h ascending.
 */

enum gw_rnn_options {
    GW_RNN_ACTIVATION, /* a kind of gatewise_activations.h, not softmax */
    GW_RNN_ACTIVATION_ALPHA,
    GW_RNN_ACTIVATION_BETA,
    GW_RNN_CLIP, /* its argument is limited to this absolute value; 0: no limit */
    GW_RNN_OPTIONS
};

enum gw_rnn_tensors {
    GW_RNN_WEIGHT_IH, /* (H, I) */
    GW_RNN_WEIGHT_HH, /* (H, H) */
    GW_RNN_BIAS_IH,   /* (H) */
    GW_RNN_BIAS_HH,   /* (H) */
    GW_RNN_TENSORS
};

/* --- standardise: Standardises readings with the moments of their window: one step.
 *
 *     y_i = (x_i - m_i) / s_i  for i < W, y_i = x_i for i >= W
 *
 * With a mask, I = 2C and W <= C, value C + i is 1 where reading i is missing, and y_i = 0 for missing readings with i
 * < W.
 *
 * Reads x (I) and [m, s] (2W), W <= I; writes I values. No state, no tensors.
 */

enum gw_standardise_options {
    GW_STANDARDISE_MASKED, /* 1 if the edge ends with indicators of missing readings, else 0 */
    GW_STANDARDISE_OPTIONS
};

/* --- number: A number in the units of its target, with an interval around it: one step.
 *
 *     v = a * scale + offset
 *     y = v, v - margin, v + margin; or v alone, without an interval
 *
 * Reads a (1) and the scaled input, which it does not use. Writes 3 values or 1. No state.
 */

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

/* --- quantiles: Quantile forecasts at several horizons: one step.
 *
 *     o = sort(a), ascending, separately for each target and horizon
 *     v = (base + sigma * o) * scale + offset
 *     y = max(least, min(largest, v)); if the column is read as log(1 + x), with expm1(min(v, 88)) for v
 *
 * base is the scaled reading of the target with anchor, else its mean over the window, or 0 without moments. sigma is
 * its standard deviation over the window, or 1 without moments. Rounding, expm1 and the bounds keep the order, so that
 * quantiles do not cross.
 *
 * Reads a (K H Q, q fastest), the scaled input z (W) and, optionally, moments (V means, then V deviations, V <= W).
 * Writes K H Q values. No state.
 */

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

/* --- softmax: The probabilities of classes: one step.
 *
 *     y_i = exp(a_i - max a) / sum_j exp(a_j - max a), summed with j ascending
 *
 * Reads a (C) and the scaled input, which it does not use. Writes C probabilities. No state, no options, no tensors.
 */

/* --- tail_probability: Calibrated tail probability of smoothed forecast residuals: one step. For each of K targets
 *
 *     d  = exp(clip(s, -10, 10))                 m, s: location and log scale, forecast one step before
 *     u  = (z - m) / d                           or 0 if the reading is missing
 *     e' = flush(e + alpha (u - e))
 *     score_k = S_k(|e'|)                        linear through the knots from (0, 0), then with the last slope
 *     y_k = score_k, and m, m + d band_k[0], m + d band_k[1], each * unit_k[1] + unit_k[0]
 *     m', s' = flush(the network's answer at this step)
 *
 * and for all targets together
 *
 *     score = score_1 with one target, J(max_k score_k) with several; J in the same way
 *     y = score, then y_k of each target (without score_k if K = 1), then 1 if score > limit, else 0
 *
 * Then come the tests whether the readings are still like those of the calibration. r runs over the R scores: those of
 * the targets and, with several targets, score at the end; i = 1, 2. For each column w there are two spans, j = 1, 2:
 *
 *     rate' = (rate + c) (score_r >= alarm ? f_2i : f_2i+1)         unchanged if rate >= 1 or paused > 0
 *     paused' = paused > 0 ? paused - 1 : score_r >= alarm ? pause : 0
 *     level' = flush(level + beta_j (clip(z_w) - level))            beta_1 = 2/17, beta_2 = 2/129
 *     left' = (left + c') (level' outside range_wj ? factor_w,2j : factor_w,2j+1)      unchanged if left >= 1
 *
 * with c' = 1 / (8e7 W). A missing reading changes neither level nor left.
 *
 * Reads two edges: the network's answer (2K: locations, log scales) and the scaled input z (W), which with a mask is
 * followed by indicators of missing readings (W). Writes y (5 values if K = 1, else 2 + 4K). State: m (K), s (K), e
 * (K), level (W, 2), paused (R), rate (R, 2), left (W, 2), with R = 1 if K = 1, else K + 1. rate and left are the
 * evidence.
 */

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
