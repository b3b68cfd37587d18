/* The training kernels and the scan for double, with libm. */
#include "prims_double.h"
#include "prims_slopes.h"
#include "train_rows.h"
#include "scan_rows.h"
#include "gw_train_kernels.inc"

#define GW_TRAIN_KIND(kind) &gw_train_##kind,
const gw_train_kernel *const gw_train_kernels_double[] = {
#include "gw_train_kinds.inc"
    NULL};

const gw_scan_kernel gw_scan_double = {gw_scan_forward, gw_scan_backward};
