/* array_loops_whole: the loops of bools and integers. */
#include "gpu/array_loops.h"

#define ONLY_bools(...) YK_EACH_bools(__VA_ARGS__)
#define ONLY_ints(...) YK_EACH_ints(__VA_ARGS__)
#define ONLY_longs(...) YK_EACH_longs(__VA_ARGS__)
#define ONLY_whole(...) YK_EACH_whole(__VA_ARGS__)
#define ONLY_floats(...)
#define ONLY_all(...) YK_EACH_whole(__VA_ARGS__)

#define LOOP(shape, name, kind, ...) ONLY_##kind(LOOP_##shape, name, __VA_ARGS__)
YK_BODIES(LOOP)

#define ENTRY(shape, name, kind, ...) ONLY_##kind(LOOP_ENTRY, name)
yk_map_loop *const yk_loops_whole[YK_OP_COUNT][YK_TYPES] = {YK_BODIES(ENTRY)};
