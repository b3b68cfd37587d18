/* A test is a program: check() prints a line each, and main returns check_failures(). */
#ifndef GW_CHECK_H
#define GW_CHECK_H

#include <stdarg.h>
#include <stdio.h>

static int check_failed;

/* Counts and prints: "ok" or "FAILED", then the printf-like text. */
__attribute__((format(printf, 2, 3))) static inline void check(int holds, const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    fputs(holds ? "ok      " : "FAILED  ", stdout);
    vprintf(format, rest);
    putchar('\n');
    va_end(rest);
    if (!holds) check_failed++;
}

static inline int check_failures(void) {
    if (check_failed) printf("%d checks failed\n", check_failed);
    return check_failed != 0;
}

#endif
