/* The clock for measurements of speed. Host only. */
#ifndef GW_CLOCK_H
#define GW_CLOCK_H

#include <time.h>

/* Seconds since an arbitrary moment. */
static inline double gw_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
