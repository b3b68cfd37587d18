/* Options and tensors of lstm, in the order of spec.py. */
#ifndef GW_LSTM_OPTIONS_H
#define GW_LSTM_OPTIONS_H

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

#endif
