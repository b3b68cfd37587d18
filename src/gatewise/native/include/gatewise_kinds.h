/* The kinds of node: the equations of each, the edges it reads and writes, its state, its options and tensors by name.
 *
 *     const float options[GW_DENSE_OPTIONS] = {[GW_DENSE_ACTIVATION] = GW_SIGMOID};
 *     const gw_tensor tensors[GW_DENSE_TENSORS] = {[GW_DENSE_WEIGHT] = {W, 2, 3}, [GW_DENSE_BIAS] = {b, 2, 1}};
 *
 * Beside a tensor stands its shape, rows first; a vector has one column. A tensor that is left out leaves no gap: those
 * after it move up. Where the options end in a list, of columns for example, it begins at the name that comes after
 * their count, such as GW_NUMERIC_TRANSFORM.
 *
 * Written by cmake/kinds_header.py from the kernel.c and the options.h of each kind; change those. */
#ifndef GATEWISE_KINDS_H
#define GATEWISE_KINDS_H

/* --- numeric: Numeric input stage: one step on raw readings x of W columns.
 *
 *     x = log(1 + x)                      in the columns that are transformed
 *     s = (x - offset) * (1 / scale)      where it scales; 1 / scale is rounded once, when packed
 *     s = held where s is not usable      where it holds: NaN, infinite, or beyond 1e18 in size
 *     held' = flush(s)
 *     i = 1 where s is not usable, else 0
 *
 * Reads one edge (W), writes s (W), or with a mask s and i (2W). State, where it holds: held (W).
 */

enum gw_numeric_options {
    GW_NUMERIC_SCALING, /* 1 where it scales, else 0 */
    GW_NUMERIC_MISSING, /* a missing value 0 stays, 1 is held, 2 is held and marked in a mask */
    GW_NUMERIC_OPTIONS,
    GW_NUMERIC_TRANSFORM = GW_NUMERIC_OPTIONS, /* columns that are read as log(1 + x), ascending; none or more */
};

enum gw_numeric_tensors {
    GW_NUMERIC_OFFSET, /* (W), left out where it does not scale */
    GW_NUMERIC_SCALE,  /* (W) more than 0, likewise */
    GW_NUMERIC_TENSORS
};

/* --- add: Adds edges of one width, value by value: one step.
 *
 *     y = x_0 + x_1 + ...    from left to right
 *
 * Reads two edges or more of I values, writes y (I). No state, no options, no tensors.
 */

/* --- concat: Joins edges side by side: one step.
 *
 *     y = [x_0, x_1, ...]
 *
 * Reads two edges or more, writes as many values as they have together. No state, no options, no tensors.
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
 * Order of each sum: r and z begin with b_i + b_h (one rounding), then x ascending, then h ascending. With reset
 * after, n has two sums: b_in then x, and b_hn then h. With reset before it has one: b_in + b_hn, x, r * h.
 */

enum gw_gru_options {
    GW_GRU_RESET,           /* 0 after, 1 before the recurrent matrix */
    GW_GRU_GATE_ACTIVATION, /* of r and z: a kind of gatewise_activations.h, not softmax */
    GW_GRU_GATE_ACTIVATION_ALPHA,
    GW_GRU_GATE_ACTIVATION_BETA,
    GW_GRU_ACTIVATION, /* of n: likewise */
    GW_GRU_ACTIVATION_ALPHA,
    GW_GRU_ACTIVATION_BETA,
    GW_GRU_CLIP, /* what goes into an activation is held within this first; 0: there is none */
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
 * Order of each sum: B x from 0, x ascending. y from 0: x ascending, then Re h' and Im h' ascending.
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
 *     f  = gate(W_if x + b_if + W_hf h + b_hf + p_f * c)      or 1 - i where the gates are coupled
 *     g  = act(W_ig x + b_ig + W_hg h + b_hg)
 *     c' = flush(bound(f * c + i * g, cell clip))
 *     o  = gate(W_io x + b_io + W_ho h + b_ho + p_o * c')
 *     y  = o * out(c')
 *     h' = flush(y), or with a projection flush(W_hr y)
 *
 * What goes into gate and act is first held within the clip, where there is one.
 *
 * Reads one edge of I values, writes h' (H, or P with a projection). State: h (P or H), c (H). Gates in the order i, f, g, o.
 *
 * Order of each sum: b_i + b_h (one rounding), x ascending, h ascending, then p * c.
 */

enum gw_lstm_options {
    GW_LSTM_GATE_ACTIVATION, /* of i, f and o: a kind of gatewise_activations.h, not softmax */
    GW_LSTM_GATE_ACTIVATION_ALPHA,
    GW_LSTM_GATE_ACTIVATION_BETA,
    GW_LSTM_ACTIVATION, /* of g: likewise */
    GW_LSTM_ACTIVATION_ALPHA,
    GW_LSTM_ACTIVATION_BETA,
    GW_LSTM_OUTPUT_ACTIVATION, /* of the cell: likewise */
    GW_LSTM_OUTPUT_ACTIVATION_ALPHA,
    GW_LSTM_OUTPUT_ACTIVATION_BETA,
    GW_LSTM_PEEPHOLES,    /* 1 with peepholes, else 0 */
    GW_LSTM_INPUT_FORGET, /* 1 where the gates are coupled, f = 1 - i, else 0 */
    GW_LSTM_PROJECTION,   /* 1 with a projection, else 0 */
    GW_LSTM_CLIP,         /* what goes into i, f, g and o is held within this first; 0: there is none */
    GW_LSTM_CELL_CLIP,    /* the cell is held within this; 0: there is none */
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
 * In this form a small z keeps its relative precision, and with it how slowly h comes to n; 1 - z would have lost it.
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
 * f and i may both underflow. So the quotient is extended by (1 + exp(-u)) (1 + exp(-v)), and by exp(-m), m the largest of
 * 0, -u and -v, as in a softmax:
 *
 *     i' = (exp(-m) + exp(-u - m)) / (exp(-m) + exp(-u - m) + exp(-m) + exp(-v - m))
 *
 * Then no exponential overflows, the divisor lies between 1 and 4, and nothing is subtracted: a small i' keeps its relative
 * precision, and with it how slowly h comes to n.
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
 * With a mask the sums are over the n steps at which the column has a reading, and n stands for T; where there is none,
 * m = 0 and s = 1. The indicator of a missing reading of column i is at C + i, of an edge of 2C values.
 *
 * Both sums with t ascending, one chain a column.
 *
 * Reads one edge, of which it uses the first W columns; writes 2W values. No state, no tensors. Needs the whole sequence.
 */

enum gw_moments_options {
    GW_MOMENTS_EPSILON, /* more than 0 */
    GW_MOMENTS_MASKED,  /* 1 where the edge ends in indicators of missing readings, else 0 */
    GW_MOMENTS_OPTIONS
};

/* --- multiply: Multiplies edges of one width, value by value: one step.
 *
 *     y = x_0 * x_1 * ...    from left to right
 *
 * Reads two edges or more of I values, writes y (I). No state, no options, no tensors.
 */

/* --- norm: Normalisation of each step: one step.
 *
 *     y = x / sqrt(1/I sum_i x_i^2 + epsilon) * weight                      rms
 *     y = (x - m) / sqrt(1/I sum_i (x_i - m)^2 + epsilon) * weight + bias   layer, m = 1/I sum_i x_i
 *
 * Reads one edge of I values, writes y (I). No state.
 *
 * The mean is taken away before the squares, which would otherwise be large and differ by little; and it is taken away twice,
 * as the mean of what remains is the rounding of the first. A sum has 16 chains, chain k of i = k, k + 16, ... ascending, on every
 * instruction set; then the last half of them is added to the first until there is one. Where a sum of squares overflows,
 * from 1e19 on, x counts as 0.
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

/* --- reverse: The sequence from its end to its beginning.
 *
 *     y(t) = x(T - 1 - t)
 *
 * Reads one edge, writes one as wide. No state, no options, no tensors. Needs the whole sequence.
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
 * e, not a, is what is computed: where a is nearly 1, 1 - a^2 = e (1 + a) and how slowly h decays keep their relative
 * precision, which a as a float has lost.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order r, i, v.
 *
 * Order of each sum: b, then x ascending.
 */

enum gw_rglru_options {
    GW_RGLRU_SIGNED, /* 1 where a may be negative, else 0 */
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
 * What goes into act is first held within the clip, where there is one.
 *
 * Reads one edge of I values, writes h' (H). State: h (H).
 *
 * Order of each sum: b_ih + b_hh (one rounding), then x ascending, then h ascending.
 */

enum gw_rnn_options {
    GW_RNN_ACTIVATION, /* a kind of gatewise_activations.h, not softmax */
    GW_RNN_ACTIVATION_ALPHA,
    GW_RNN_ACTIVATION_BETA,
    GW_RNN_CLIP, /* what goes into it is held within this first; 0: there is none */
    GW_RNN_OPTIONS
};

enum gw_rnn_tensors {
    GW_RNN_WEIGHT_IH, /* (H, I) */
    GW_RNN_WEIGHT_HH, /* (H, H) */
    GW_RNN_BIAS_IH,   /* (H) */
    GW_RNN_BIAS_HH,   /* (H) */
    GW_RNN_TENSORS
};

/* --- standardise: Readings in the units of their window: one step.
 *
 *     y_i = (x_i - m_i) / s_i  for i < W, y_i = x_i after that
 *
 * With a mask y_i = 0 for i < W where the reading is missing: its indicator is at C + i, of I = 2C values, W <= C.
 *
 * Reads x (I) and [m, s] (2W), W <= I; writes I values. No state, no tensors.
 */

enum gw_standardise_options {
    GW_STANDARDISE_MASKED, /* 1 where the edge ends in indicators of missing readings, else 0 */
    GW_STANDARDISE_OPTIONS
};

/* --- quantiles: Quantile forecasts at several horizons: one step.
 *
 *     o = sort(a), ascending, within each target and horizon
 *     v = (base + sigma * o) * scale + offset
 *     y = max(least, min(largest, v)), of a target whose column comes as log(1 + x) with expm1(min(v, 88)) for v
 *
 * base is the scaled reading of the target with anchor, else its mean over the window, or 0 without moments; sigma its
 * standard deviation over the window, or 1 without moments. Rounding keeps the order, and so do expm1 and the bounds:
 * quantiles do not cross.
 *
 * Reads a (K H Q, q fastest), the scaled input z (W) and, optionally, moments (V means, then V deviations, V <= W).
 * Writes K H Q values. No state.
 */

enum gw_quantiles_options {
    GW_QUANTILES_QUANTILES, /* Q */
    GW_QUANTILES_ANCHOR,    /* 1 where base is the reading of the target, else 0 */
    GW_QUANTILES_OPTIONS,
    GW_QUANTILES_TARGETS = GW_QUANTILES_OPTIONS, /* K columns; then nothing, or K guides */
};

/* A guide: three numbers of a target, in its units. */
enum gw_quantiles_guides {
    GW_QUANTILES_GUIDES_LEAST,   /* no answer is below it; -FLT_MAX: no bound */
    GW_QUANTILES_GUIDES_LARGEST, /* nor above it; FLT_MAX: no bound */
    GW_QUANTILES_GUIDES_LOG1P,   /* 1 where the column comes as log(1 + x), so that the answer is exp(v) - 1, else 0 */
    GW_QUANTILES_GUIDES
};

enum gw_quantiles_tensors {
    GW_QUANTILES_OFFSET, /* (K) */
    GW_QUANTILES_SCALE,  /* (K) more than 0 */
    GW_QUANTILES_TENSORS
};

/* --- tail_probability: Calibrated tail probability of smoothed forecast residuals: one step. For each of K targets
 *
 *     d  = exp(clip(s, -10, 10))                 m, s: the forecast made one step before, location and log scale
 *     u  = (z - m) / d                           or 0 where the reading is marked as missing
 *     e' = flush(e + alpha (u - e))
 *     score_k = S_k(|e'|)                        through the knots, from (0, 0), beyond the last with its last slope
 *     y_k = score_k, m, m + d band_k[0], m + d band_k[1];      the last three * unit_k[1] + unit_k[0]
 *     m', s' = flush(the network's answer at this step)
 *
 * and of all together
 *
 *     score = score_1 of one target, J(max_k score_k) of several, through the knots of J
 *     y = score, then y_k of each target (without score_k where there is but one), then 1 if score > limit else 0
 *
 * Then the tests whether the readings are still like those calibrated on. For each score r, those of the targets and of
 * several the joint one last, and i = 1, 2; and for each column w and both spans j:
 *
 *     rate' = (rate + c) (score_r >= alarm ? f_2i : f_2i+1)         as it is once it is 1 or more, and while paused
 *     paused' = paused > 0 ? paused - 1 : score_r >= alarm ? pause : 0
 *     level' = flush(level + beta_j (clip(z_w) - level))            beta_1 = 2/17, beta_2 = 2/129
 *     left' = (left + c') (level' outside range_wj ? factor_w,2j : factor_w,2j+1)      as it is once it is 1 or more
 *
 * with c' = 1 / (8e7 W). A reading marked as missing changes neither level nor left.
 *
 * Reads two edges: the network's answer (2K: locations, log scales) and the scaled input z (W), or with a mask z (W) and what
 * is missing (W). Writes y (5, or 2 + 4K). State: m (K), s (K), e (K), level (W, 2), paused (R), rate (R, 2), left (W, 2), with
 * R = 1 for one target, else K + 1; the last two are evidence.
 */

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
