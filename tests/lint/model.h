/* model.h - what analyzers cannot see by themselves, given to them before each file: the code that yk_errorf() returns is
 * never 0. (Not for error.c, which defines it.) */
#include "base/base.h"
#define yk_errorf(...) ((void)yk_errorf(__VA_ARGS__), -1)
