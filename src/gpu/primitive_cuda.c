/* primitive_cuda: the primitives on CUDA devices: which text is built with which numbers, how much temporary
 * memory it needs, and how many blocks it is launched in. What is in the texts stands at their heads. Numbers
 * of threads and of elements for each of them were measured on an H200; they fit every device since
 * capability 7.5. */
#include "gpu/graph.h"
#include "gpu/primitive.h"

extern const char yk_text_common_cuda[], yk_text_look_back_cuda[], yk_text_reduce_cuda[], yk_text_scan_cuda[],
    yk_text_sort_cuda[], yk_text_select_cuda[], yk_text_histogram_cuda[], yk_text_segments_cuda[],
    yk_text_matmul_cuda[], yk_text_spmv_cuda[];

static const yk_program reduce_program = {.name = "reduce",
                                          .texts = {yk_text_common_cuda, yk_text_reduce_cuda},
                                          .names = {"common.cuda", "reduce.cuda"},
                                          .kernels = {"yk_reduce"}};
static const yk_program scan_program = {
    .name = "scan",
    .texts = {yk_text_common_cuda, yk_text_look_back_cuda, yk_text_scan_cuda},
    .names = {"common.cuda", "look_back.cuda", "scan.cuda"},
    .kernels = {"yk_scan"}};
enum { SORT_COUNT, SORT_BASES, SORT_PASS };
static const yk_program sort_program = {.name = "sort",
                                        .texts = {yk_text_common_cuda, yk_text_sort_cuda},
                                        .names = {"common.cuda", "sort.cuda"},
                                        .kernels = {"yk_sort_count", "yk_sort_bases", "yk_sort_pass"}};
static const yk_program select_program = {
    .name = "select",
    .texts = {yk_text_common_cuda, yk_text_look_back_cuda, yk_text_select_cuda},
    .names = {"common.cuda", "look_back.cuda", "select.cuda"},
    .kernels = {"yk_select"}};
static const yk_program histogram_program = {.name = "histogram",
                                             .texts = {yk_text_common_cuda, yk_text_histogram_cuda},
                                             .names = {"common.cuda", "histogram.cuda"},
                                             .kernels = {"yk_histogram"}};
enum { SEGMENTS_SHORT, SEGMENTS_PARTS, SEGMENTS_JOIN };
static const yk_program segments_program = {
    .name = "segments",
    .texts = {yk_text_common_cuda, yk_text_segments_cuda},
    .names = {"common.cuda", "segments.cuda"},
    .kernels = {"yk_segments", "yk_segments_parts", "yk_segments_join"}};
static const yk_program matmul_program = {.name = "matmul",
                                          .texts = {yk_text_common_cuda, yk_text_matmul_cuda},
                                          .names = {"common.cuda", "matmul.cuda"},
                                          .kernels = {"yk_matmul"}};
static const yk_program spmv_program = {.name = "spmv",
                                        .texts = {yk_text_common_cuda, yk_text_spmv_cuda},
                                        .names = {"common.cuda", "spmv.cuda"},
                                        .kernels = {"yk_spmv"}};

#define CPP "--std=c++17 "

/* As the texts call them. */
static const char *type_name(yk_number type)
{
    static const char *const names[] = {"int", "unsigned", "long", "yk_u64", "float", "double"};
    return names[type];
}

static size_t divide_up(size_t n, size_t by)
{
    return n / by + (n % by != 0);
}

/* ---- Reduce ---- */

enum { REDUCE_THREADS = 256, REDUCE_UNROLL = 4, REDUCE_BLOCKS = 4 };

/* Four bytes that are 0 whenever no reduction of this stream is under way, or of the graph that is recorded: it may be put in
 * other streams. */
static void *counter_of(yk_primitive_call *c)
{
    yoke_stream *s = c->s;
    void **const counter = s->recording ? &s->recording->counter : &s->counter;
    if (YK_LIKELY(*counter))
        return *counter;
    *counter = yk_memory_alloc(s->dev, NULL, 64);
    if (!*counter)
        yk_errorf(&c->e, ENOMEM, "%s: no memory of %s for a counter", c->name, s->dev->info.uri);
    else
        yk_call_clear(c, *counter, 64);
    if (*counter && c->e.code < 0) { /* it is not 0 */
        yk_memory_free(s->dev, NULL, *counter);
        *counter = NULL;
    }
    return *counter;
}

static int cuda_reduce(yk_primitive_call *c, yk_operator op, yk_number type, size_t n, const void *x,
                       void *out)
{
    const size_t size = yk_number_size(type), tile = REDUCE_THREADS * REDUCE_UNROLL * (16 / size);
    const size_t blocks =
        YK_MAX(YK_MIN(divide_up(n, tile), (size_t)c->s->dev->info.units * REDUCE_BLOCKS), (size_t)1);
    const yk_built *b = yk_program_build(
        c, &reduce_program, CPP "-DYK_T=%s -DYK_OP=%d -DYK_THREADS=%d -DYK_UNROLL=%d -DYK_BLOCKS=%d",
        type_name(type), op, REDUCE_THREADS, REDUCE_UNROLL, REDUCE_BLOCKS);
    void *const partials = b ? yk_call_temporary(c, blocks * size) : NULL, *const counter =
                                                                               partials ? counter_of(c)
                                                                                        : NULL;
    if (c->e.code < 0)
        return c->e.code;
    yk_call_memory(c, n > 0 ? x : out);
    yk_call_long(c, n);
    yk_call_memory(c, partials);
    yk_call_memory(c, counter);
    yk_call_memory(c, out);
    yk_call_launch(c, &b->kernels[0], blocks, REDUCE_THREADS, 0);
    return c->e.code;
}

/* ---- What looks back ---- */

/* Nanoseconds until what stands before a tile is looked for, and from one look to the next: looking is not free, and large tiles
 * take longer to come. */
#define LOOK_BACK(delay) " -DYK_DELAY=" delay " -DYK_BACK_OFF=200"

/* Words of tiles, groups and ranges of look_back.cuda; value_size as its yk_t. */
static void *look_back_words(yk_primitive_call *c, size_t tiles, size_t value_size)
{
    const size_t size = (32 + value_size / 4 * (tiles + tiles / 32 + tiles / 1024)) * sizeof(uint64_t);
    void *words = yk_call_temporary(c, size);
    if (words)
        yk_call_clear(c, words, size);
    return words;
}

static int too_many(yk_primitive_call *c)
{
    return yk_errorf(&c->e, E2BIG, "%s: too many elements", c->name);
}

static int cuda_scan(yk_primitive_call *c, yk_operator op, bool before, yk_number type, size_t n, const void *x,
                     void *out)
{
    const size_t size = yk_number_size(type);
    /* as large as four tiles fit into the shared memory of a multiprocessor */
    const unsigned threads = 128, resident = 4, bytes = c->s->dev->info.local_most >= 160 << 10 ? 108 : 48;
    const unsigned rows = bytes / (unsigned)size;
    const size_t tile = (size_t)threads * rows * 4, tiles = divide_up(n, tile);
    if (tiles > INT32_MAX)
        return too_many(c);
    const yk_built *b = yk_program_build(
        c, &scan_program, CPP "-DYK_T=%s -DYK_OP=%d -DYK_THREADS=%u -DYK_ROWS=%u -DYK_BLOCKS=%u" LOOK_BACK("3000"),
        type_name(type), op, threads, rows, resident);
    void *const words = b ? look_back_words(c, tiles, size) : NULL;
    if (!words)
        return c->e.code;
    yk_call_memory(c, x);
    yk_call_memory(c, out);
    yk_call_long(c, n);
    yk_call_word(c, before);
    yk_call_memory(c, words);
    yk_call_word(c, (uint32_t)tiles);
    yk_call_launch(c, &b->kernels[0], tiles, threads, tile * size);
    return c->e.code;
}

static int cuda_select(yk_primitive_call *c, const yk_selecting *a)
{
    const unsigned threads = 256, items = (a->flags ? 28 : 24) / (a->size / 4);
    const size_t tiles = divide_up(a->n, (size_t)threads * items);
    const bool few = a->n <= UINT32_MAX;
    if (tiles > INT32_MAX)
        return too_many(c);
    const yk_built *b =
        yk_program_build(c, &select_program,
                         CPP "-DYK_E=%s -DYK_T=%s -DYK_UNIQUE=%d -DYK_THREADS=%u -DYK_ITEMS=%u -DYK_BLOCKS=3" LOOK_BACK("2000"),
                         !a->flags      ? type_name(a->type)
                         : a->size == 4 ? "yk_u32"
                                        : "yk_u64",
                         few ? "yk_u32" : "yk_u64", !a->flags, threads, items);
    void *const words = b ? look_back_words(c, tiles, few ? 4 : 8) : NULL;
    if (!words)
        return c->e.code;
    yk_call_memory(c, a->x);
    if (a->flags)
        yk_call_memory(c, a->flags);
    yk_call_memory(c, a->out);
    yk_call_long(c, a->n);
    yk_call_memory(c, a->kept);
    yk_call_memory(c, words);
    yk_call_word(c, (uint32_t)tiles);
    yk_call_launch(c, &b->kernels[0], tiles, threads, 0);
    return c->e.code;
}

/* ---- Sort ---- */

enum { DIGITS = 256, COUNT_THREADS = 256, COUNT_BLOCKS = 4, PORTION_MOST = 1 << 29 };

/* How a sort is cut, and where things are in its words (of 4 bytes): the sums of all places, a row of bases,
 * a ticket for each launch, and two tables of what tiles have told. */
typedef struct sort_plan {
    unsigned threads, items, resident, parts, places;
    size_t tile, portion, portions, launches, rows, shared;
    size_t bases_at, tickets_at, told_at[2], words;
    const yk_built *built;
    uint32_t *memory;
    void *keys[2], *values[2];
} sort_plan;

/* Bytes of shared memory that a tile needs: tables of ranks and masks for each warp, later keys and values; and one word for
 * each digit, and one more. */
static size_t shared_for(unsigned threads, size_t tile, size_t item)
{
    const size_t tables = threads / 32 * DIGITS * 2 * sizeof(uint32_t);
    return (YK_MAX(tile * item, tables) + (DIGITS + 1) * sizeof(uint32_t) + 15) / 16 * 16;
}

/* As much of the keys in a tile as there are registers and shared memory for: digits have longer runs then. */
static void shape_sort(const yk_primitive_call *c, const yk_sorting *a, sort_plan *p)
{
    static const struct {
        unsigned item, threads, items, resident;
    } shapes[] = {{4, 512, 22, 2}, {8, 384, 23, 2}, {8, 256, 20, 3}, {16, 256, 12, 3}};
    const size_t size = yk_number_size(a->type), item = size + a->value_size, most = c->s->dev->info.local_most;
    const unsigned which = item == 4 ? 0 : item > 8 ? 3 : size == 4 ? 1 : 2;
    p->threads = shapes[which].threads;
    p->items = shapes[which].items;
    p->resident = shapes[which].resident;
    while (p->items > 4 && shared_for(p->threads, (size_t)p->threads * p->items, item) > most)
        p->items -= 2;
    p->tile = (size_t)p->threads * p->items;
    p->shared = shared_for(p->threads, p->tile, item);
}

size_t yk_sort_portion(size_t n, size_t tile)
{
    const size_t portions = divide_up(n, PORTION_MOST - tile);
    return divide_up(divide_up(n, portions), tile) * tile;
}

static void plan_sort(const yk_primitive_call *c, const yk_sorting *a, sort_plan *p)
{
    shape_sort(c, a, p);
    p->places = (unsigned)yk_number_size(a->type);
    p->parts = p->places == 4 ? 8 : 2;
    p->portion = yk_sort_portion(a->n, p->tile);
    p->portions = divide_up(a->n, p->portion);
    p->launches = p->portions * p->places;
    p->rows = p->portion / p->tile;
    p->bases_at = p->places * DIGITS;
    p->tickets_at = p->bases_at + DIGITS;
    p->told_at[0] = (p->tickets_at + p->launches + DIGITS - 1) / DIGITS * DIGITS;
    p->told_at[1] = p->told_at[0] + p->rows * DIGITS;
    p->words = p->told_at[1] + p->rows * DIGITS;
}

static bool build_sort(yk_primitive_call *c, const yk_sorting *a, sort_plan *p)
{
    static const char *const values[] = {"", "-DYK_VALUE=yk_u32 ", "-DYK_VALUE=yk_u64 "};
    p->built = yk_program_build(
        c, &sort_program,
        CPP "%s-DYK_KEY=%d -DYK_KEY_BITS=%zu -DYK_DESCENDING=%d -DYK_THREADS=%u -DYK_ITEMS=%u -DYK_BLOCKS=%u "
            "-DYK_PARTS=%u",
        values[a->value_size / 4], yk_number_is_float(a->type) ? 2 : a->type == YK_I32 || a->type == YK_I64,
        yk_number_size(a->type) * 8, a->down, p->threads, p->items, p->resident, p->parts);
    p->memory = p->built ? yk_call_temporary(c, p->words * sizeof(uint32_t)) : NULL;
    p->keys[0] = a->keys;
    p->values[0] = a->values;
    p->keys[1] = p->memory ? yk_call_temporary(c, a->n * yk_number_size(a->type)) : NULL;
    p->values[1] = a->value_size > 0 && p->keys[1] ? yk_call_temporary(c, a->n * a->value_size) : NULL;
    return c->e.code == 0;
}

/* How many tiles the launch-th launch has. */
static size_t tiles_of(const sort_plan *p, size_t n, size_t launch)
{
    const size_t begins = launch % p->portions * p->portion;
    return launch < p->launches ? divide_up(YK_MIN(n - begins, p->portion), p->tile) : 0;
}

static void launch_pass(yk_primitive_call *c, const yk_sorting *a, const sort_plan *p, size_t launch)
{
    const size_t place = launch / p->portions, portion = launch % p->portions, begins = portion * p->portion;
    const size_t size = yk_number_size(a->type), tiles = tiles_of(p, a->n, launch);
    uint32_t *const bases[2] = {p->memory + place * DIGITS, p->memory + p->bases_at};
    yk_call_memory(c, (char *)p->keys[place % 2] + begins * size);
    yk_call_memory(c, p->keys[(place + 1) % 2]);
    if (a->value_size > 0) {
        yk_call_memory(c, (char *)p->values[place % 2] + begins * a->value_size);
        yk_call_memory(c, p->values[(place + 1) % 2]);
    }
    yk_call_word(c, (uint32_t)YK_MIN(a->n - begins, p->portion));
    yk_call_word(c, (uint32_t)place * 8);
    yk_call_memory(c, bases[portion % 2]);
    yk_call_memory(c, bases[(portion + 1) % 2]);
    yk_call_memory(c, p->memory + p->told_at[launch % 2]);
    yk_call_memory(c, p->memory + p->told_at[(launch + 1) % 2]);
    yk_call_word(c, (uint32_t)tiles_of(p, a->n, launch + 1));
    yk_call_memory(c, p->memory + p->tickets_at + launch);
    yk_call_launch(c, &p->built->kernels[SORT_PASS], tiles, p->threads, p->shared);
}

static int cuda_sort(yk_primitive_call *c, const yk_sorting *a)
{
    sort_plan p = {0};
    if (a->n > UINT32_MAX)
        return too_many(c);
    plan_sort(c, a, &p);
    if (!build_sort(c, a, &p))
        return c->e.code;
    yk_call_clear(c, p.memory, p.told_at[1] * sizeof(uint32_t));
    yk_call_memory(c, a->keys);
    yk_call_word(c, (uint32_t)a->n);
    yk_call_memory(c, p.memory);
    yk_call_launch(c, &p.built->kernels[SORT_COUNT],
                   YK_MIN(divide_up(a->n, 4096), (size_t)c->s->dev->info.units * COUNT_BLOCKS), COUNT_THREADS,
                   0);
    yk_call_memory(c, p.memory);
    yk_call_launch(c, &p.built->kernels[SORT_BASES], p.places, DIGITS, 0);
    for (size_t launch = 0; launch < p.launches && c->e.code == 0; launch++)
        launch_pass(c, a, &p, launch);
    return c->e.code; /* an even number of places: the keys are where they were */
}

/* ---- The rest ---- */

enum { GROUP = 256, BINS_SHARED = 8192, TABLES_MOST = GROUP / 32, LONG_SEGMENT = 2048, PART_LEAST = 4096 };

static int cuda_histogram(yk_primitive_call *c, const yk_binning *a)
{
    const bool shared = a->bins <= BINS_SHARED;
    const size_t tables = YK_MIN(BINS_SHARED / YK_MAX(a->bins, (size_t)1), (size_t)TABLES_MOST);
    const yk_built *b =
        yk_program_build(c, &histogram_program, CPP "-DYK_T=%s -DYK_FLOAT=%d -DYK_BINS_SHARED=%d",
                         type_name(a->type), yk_number_is_float(a->type), BINS_SHARED);
    yk_call_clear(c, a->counts, a->bins * sizeof(uint64_t));
    if (!b || a->n == 0)
        return c->e.code;
    yk_call_memory(c, a->x);
    yk_call_long(c, a->n);
    yk_call_number(c, a->type, a->low);
    yk_call_number(c, a->type, a->high);
    yk_call_number(c, a->type, a->scale);
    yk_call_word(c, (uint32_t)a->bins);
    yk_call_memory(c, a->counts);
    const size_t most = (size_t)c->s->dev->info.units * (a->bins <= 1024 ? 8 : 4);
    yk_call_launch(c, &b->kernels[0], YK_MIN(divide_up(a->n, 4096), most), GROUP,
                   shared ? tables * a->bins * sizeof(uint32_t) : 0);
    return c->e.code;
}

/* Few and long ones: each in parts, which lie in `partials` until they are joined. */
static int long_segments(yk_primitive_call *c, const yk_segmenting *a, const yk_built *b)
{
    const size_t most = YK_MAX(a->n / a->segments / PART_LEAST, (size_t)1);
    const size_t parts = YK_MAX(YK_MIN((size_t)c->s->dev->info.units * 4 / a->segments, most), (size_t)1);
    void *const partials =
        parts > 1 ? yk_call_temporary(c, a->segments * parts * yk_number_size(a->type)) : a->out;
    if (!partials)
        return c->e.code;
    yk_call_memory(c, a->x);
    yk_call_memory(c, a->offsets);
    yk_call_word(c, (uint32_t)parts);
    yk_call_memory(c, partials);
    yk_call_launch(c, &b->kernels[SEGMENTS_PARTS], a->segments * parts, GROUP, 0);
    if (parts > 1) {
        yk_call_memory(c, partials);
        yk_call_word(c, (uint32_t)parts);
        yk_call_long(c, a->segments);
        yk_call_memory(c, a->out);
        yk_call_launch(c, &b->kernels[SEGMENTS_JOIN], divide_up(a->segments, GROUP), GROUP, 0);
    }
    return c->e.code;
}

static int cuda_segments(yk_primitive_call *c, const yk_segmenting *a)
{
    const size_t mean = a->n / a->segments;
    unsigned lanes = 1;
    while (lanes < (mean <= 512 ? 8 : 32) && lanes * 8 < mean)
        lanes *= 2;
    const yk_built *b = yk_program_build(
        c, &segments_program, CPP "-DYK_T=%s -DYK_OP=%d -DYK_OFFSET=%s -DYK_LANES=%u -DYK_LONG=%d",
        type_name(a->type), a->op, a->offset_size == 4 ? "yk_u32" : "yk_u64", lanes, LONG_SEGMENT);
    if (!b)
        return c->e.code;
    if (mean > LONG_SEGMENT)
        return long_segments(c, a, b);
    yk_call_memory(c, a->x);
    yk_call_memory(c, a->offsets);
    yk_call_long(c, a->segments);
    yk_call_memory(c, a->out);
    yk_call_launch(c, &b->kernels[SEGMENTS_SHORT],
                   YK_MIN(divide_up(a->segments, GROUP / lanes), (size_t)c->s->dev->info.units * 32), GROUP,
                   0);
    return c->e.code;
}

/* As many rows at a time as a grid has tiles of `high` rows in its second dimension. */
static void multiply_rows(yk_primitive_call *c, const yk_function *f, const yk_multiplying *a, size_t high, size_t wide)
{
    const size_t size = yk_number_size(a->type), most = UINT16_MAX * high;
    for (size_t row = 0; row < a->m && c->e.code == 0; row += most) {
        yk_multiplying part = *a;
        part.m = YK_MIN(a->m - row, most);
        part.a = a->k > 0 ? (const char *)a->a + row * a->lda * size : NULL;
        part.c = (char *)a->c + row * a->ldc * size;
        c->count = 0; /* those of all */
        yk_call_matrices(c, &part);
        yk_call_launch_2d(c, f, divide_up(a->n, wide), divide_up(part.m, high), (unsigned)(high * wide / 64));
    }
}

static int cuda_matmul(yk_primitive_call *c, const yk_multiplying *a)
{
    const size_t high = 128, wide = a->type == YK_F32 ? 128 : 64, deep = 8;
    yk_call_matrices(c, a); /* which looks at the addresses */
    if (c->e.code == 0 && !c->s->recording && yk_cuda_multiply(c, a)) /* what cuBLAS does is no command */
        return c->e.code;
    const yk_built *b =
        yk_program_build(c, &matmul_program, CPP "-DYK_T=%s -DYK_BM=%zu -DYK_BN=%zu -DYK_BK=%zu",
                         type_name(a->type), high, wide, deep);
    if (!b)
        return c->e.code;
    multiply_rows(c, &b->kernels[0], a, high, wide);
    return c->e.code;
}

static int cuda_spmv(yk_primitive_call *c, const yk_sparse *a)
{
    unsigned lanes = 2;
    while (lanes < 32 && lanes * 4 < a->nonzeros / a->rows)
        lanes *= 2;
    const yk_built *b =
        yk_program_build(c, &spmv_program, CPP "-DYK_T=%s -DYK_OFFSET=%s -DYK_LANES=%u", type_name(a->type),
                         a->offset_size == 4 ? "yk_u32" : "yk_u64", lanes);
    if (!b)
        return c->e.code;
    yk_call_memory(c, a->offsets);
    yk_call_memory(c, a->nonzeros > 0 ? a->columns : a->offsets);
    yk_call_memory(c, a->nonzeros > 0 ? a->values : a->offsets);
    yk_call_memory(c, a->x);
    yk_call_memory(c, a->y);
    yk_call_long(c, a->rows);
    yk_call_launch(c, &b->kernels[0],
                   YK_MIN(divide_up(a->rows, GROUP / lanes), (size_t)c->s->dev->info.units * 32), GROUP, 0);
    return c->e.code;
}

const yk_primitives yk_primitives_cuda = {.reduce = cuda_reduce,
                                          .scan = cuda_scan,
                                          .sort = cuda_sort,
                                          .select = cuda_select,
                                          .histogram = cuda_histogram,
                                          .segments = cuda_segments,
                                          .matmul = cuda_matmul,
                                          .spmv = cuda_spmv};
