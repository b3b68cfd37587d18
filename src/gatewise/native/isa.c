/* The instruction sets of this build that the processor supports. */
#include "isa.h"

#include <string.h>

extern const gw_isa gw_isa_base;
#if defined(__x86_64__)
extern const gw_isa gw_isa_avx2, gw_isa_avx512;
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#elif defined(__aarch64__)
extern const gw_isa gw_isa_neon;
#endif

/* The i-th instruction set that processor and operating system support, the fastest first. */
static const gw_isa *isa_at(int i) {
#if defined(__x86_64__)
    if (has_avx512() && i-- == 0) return &gw_isa_avx512;
    if (has_avx2() && i-- == 0) return &gw_isa_avx2;
#elif defined(__aarch64__)
    if (i-- == 0) return &gw_isa_neon;
#endif
    return i == 0 ? &gw_isa_base : NULL;
}

const char *gw_cpu(int i) {
    const gw_isa *isa = isa_at(i);
    return isa ? isa->name : NULL;
}

const gw_isa *gw_find_isa(const char *name) {
    const gw_isa *isa;
    for (int i = 0; (isa = isa_at(i)); i++)
        if (!name || !strcmp(isa->name, name)) return isa;
    return NULL;
}
