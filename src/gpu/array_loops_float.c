/* array_loops_float: the loops of f32 and f64. */
#include "gpu/array_loops.h"
#include <yoke/dialect.h> /* vector versions of mathematical functions */

#define ONLY_bools(...)
#define ONLY_ints(...)
#define ONLY_longs(...)
#define ONLY_whole(...)
#define ONLY_floats(...) YK_EACH_floats(__VA_ARGS__)
#define ONLY_all(...) YK_EACH_floats(__VA_ARGS__)

#define LOOP(shape, name, kind, ...) ONLY_##kind(LOOP_##shape, name, __VA_ARGS__)
YK_BODIES(LOOP)

#define ENTRY(shape, name, kind, ...) ONLY_##kind(LOOP_ENTRY, name)
yk_map_loop *const yk_loops_float[YK_OP_COUNT][YK_TYPES] = {YK_BODIES(ENTRY)};
