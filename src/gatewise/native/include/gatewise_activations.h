/* The numbers of the activations, for gatewise.h and for the primitives, which devices have without gatewise.h. */
#ifndef GATEWISE_ACTIVATIONS_H
#define GATEWISE_ACTIVATIONS_H

/* GW_HARD_SIGMOID is min(1, max(0, slope x + offset)); the others do not read slope and offset. GW_SOFTMAX is for dense. */
enum {
    GW_LINEAR = 0,
    GW_RELU = 1,
    GW_TANH = 2,
    GW_SIGMOID = 3,
    GW_SOFTMAX = 4,
    GW_HARD_SIGMOID = 5,
    GW_ACTIVATION_COUNT
};

#endif
