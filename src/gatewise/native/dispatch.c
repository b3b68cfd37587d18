/* Everything that is compiled once for each instruction set: the primitives, all kernels, the scan and the peaks. The
 * build defines GW_ISA as base, avx2, avx512 or neon, and GW_ISA_BASE for base. It also writes the lists of kernels
 * (*.inc). */
#include "isa.h"
#ifdef GW_ISA_BASE
#include "prims_scalar.h"
#else
#include "prims_vector.h"
#endif
#include "peaks.h"
#include "prims_slopes.h"
#include "train_rows.h"
#include "scan_rows.h"
#include "gw_kernels.inc"
#include "gw_train_kernels.inc"

#define GW_KIND(kind) &gw_kernel_##kind,
static const gw_kernel *const kernels[] = {
#include "gw_kinds.inc"
};
#undef GW_KIND

#define GW_TRAIN_KIND(kind) &gw_train_##kind,
static const gw_train_kernel *const train_kernels[] = {
#include "gw_train_kinds.inc"
    NULL};
#undef GW_TRAIN_KIND

#define GW_STRING_(text) #text
#define GW_STRING(name)  GW_STRING_(name)
#define GW_JOIN_(a, b)   a##b
#define GW_JOIN(a, b)    GW_JOIN_(a, b)

extern const gw_isa GW_JOIN(gw_isa_, GW_ISA);
const gw_isa GW_JOIN(gw_isa_, GW_ISA) = {
    .name = GW_STRING(GW_ISA),
    .kernels = kernels,
    .kernel_count = (int)(sizeof kernels / sizeof kernels[0]),
    .train_kernels = train_kernels,
    .scan = {gw_scan_forward, gw_scan_backward},
    .read_bandwidth = gw_read_bandwidth,
    .fma_peak = gw_fma_peak,
};
