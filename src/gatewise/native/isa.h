/* Instruction sets: what dispatch.c compiles for each of them, and which of them the processor supports. */
#ifndef GW_ISA_H
#define GW_ISA_H

#include "kernel.h"
#include "scan.h"
#include "train.h"

typedef struct gw_isa {
    const char *name;
    const gw_kernel *const *kernels;
    int kernel_count;
    const gw_train_kernel *const *train_kernels;            /* followed by NULL; see train.h */
    gw_scan_kernel scan;                                    /* see scan.h */
    double (*read_bandwidth)(size_t bytes, double seconds); /* bytes/s; see peaks.h */
    double (*fma_peak)(double seconds);                     /* FLOP/s */
} gw_isa;

/* The instruction set of this name, or the fastest for NULL. Returns NULL if there is none. */
const gw_isa *gw_find_isa(const char *name);

#endif
