/* array_text.c - the texts of kernels over arrays: each compiles for CUDA without a GPU, has a key of its own, and says the
 * same for both languages. ALL=1 in the environment compiles every operation for every type instead of one type for each. */
#include "gpu/array_ops.h"
#include "gpu/array_text.h"
#include "gpu/cuda.h"
#include "test.h"

static const yk_array_target cuda = {.is_cuda = true, .has_double = true, .group = 256};

static void compile(const char *name, yk_buf *text, unsigned capability)
{
    yk_binary b = {.is_ptx = false};
    yk_error e = {.text = ""};
    const yk_build_source source = {yk_buf_str(text), "--std=c++17 --fmad=false", name, capability};
    int err = yk_nvrtc_compile(&source, &b, &e);
    if (err == -ENOPKG)
        SKIP("%s", e.text);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%s for %u: %s\n%s\n%s", name, capability, e.text, yk_buf_str(&b.log), text->ptr);
    yk_buf_str(&b.numbers);
    if (strstr(b.numbers.ptr, "spill") && !strstr(b.numbers.ptr, "0 bytes spill stores"))
        test_fail(__FILE__, __LINE__, "%s for %u: %s", name, capability, b.numbers.ptr);
    yk_binary_done(&b);
    yk_buf_done(text);
}

/* A plan as array_device.c makes them: how: 0 words, 1 flat, 2 steps, 3 a number and an element. */
static yk_map_plan plan_of(const yk_op *op, unsigned type, unsigned how)
{
    yk_map_plan p = {.op = op, .type = type, .is_short = how % 2 == 0, .ndim = how == 2 ? 3 : 0};
    size_t most = 1;
    for (unsigned k = 0; k <= op->arity; k++) {
        p.types[k] = k == 0 && op->gives_bool ? YOKE_BOOL : k == 1 && op->is_where ? YOKE_I16 : type;
        if (k == 2)
            p.types[k] = YOKE_U8;
        p.seen[k] = how == 2 ? YK_SEEN_STEPS : how == 1 ? YK_SEEN_FLAT : YK_SEEN_WORDS;
        if (how == 3 && k > 0)
            p.seen[k] = k % 2 ? YK_SEEN_ONE : YK_SEEN_NUMBER;
        most = YK_MAX(most, yoke_array_type_size(p.types[k]));
    }
    p.items = how == 0 || how == 3 ? (unsigned)(16 / most) : 0;
    return p;
}

TEST_LIMIT(every_map_compiles_for_cuda, 600)
{
    unsigned first = (unsigned)test_random();
    for (unsigned id = 0; id < YK_OP_COUNT; id++) {
        yk_op op = yk_op_of(id);
        unsigned compiled = 0;
        for (unsigned i = 0; i < YOKE_F64; i++) {
            unsigned type = YOKE_BOOL + (first + i) % YOKE_F64;
            if (!yk_op_text(&op, type) || (compiled > 0 && !getenv("ALL")))
                continue;
            yk_map_plan p = plan_of(&op, type, (first + id + compiled++) % 4);
            yk_buf text = {0};
            yk_map_text(&p, &cuda, &text);
            compile(op.name, &text, id % 16 == 0 ? 75 : 90);
        }
        CHECK(compiled > 0);
    }
}

TEST_LIMIT(every_reduction_compiles_for_cuda, 600)
{
    unsigned first = (unsigned)test_random();
    for (unsigned id = 0; id < YK_FOLD_COUNT; id++) {
        unsigned compiled = 0;
        for (unsigned i = 0; i < YOKE_F64; i++) {
            unsigned type = YOKE_BOOL + (first + i) % YOKE_F64;
            const yk_fold *fold = &yk_folds[id][type];
            if (!fold->name || (compiled > 0 && !getenv("ALL")))
                continue;
            compiled++;
            yk_reduce_plan p = {.name = fold->name, .fold = fold, .type = type, .from = i % 2 ? type : YOKE_F32,
                                .to = fold->out,
                                .outer_ndim = i % 4, .inner_ndim = (i + 1) % 4};
            yk_buf text = {0};
            yk_reduce_text(&p, &cuda, &text);
            compile(fold->name, &text, 90);
        }
        CHECK(compiled > 0);
    }
}

TEST_LIMIT(all_other_texts_compile_for_cuda, 600)
{
    yk_buf text = {0};
    for (unsigned type = YOKE_BOOL; type <= YOKE_U64; type++) {
        yk_matmul_text(&type, &cuda, &text);
        compile("matmul", &text, 90);
    }
    for (unsigned size = 1; size <= 8; size *= 2) {
        yk_pick_plan p = {.size = size, .ndim = size % 4};
        yk_pick_text(&p, &cuda, &text);
        compile("take", &text, 75);
    }
    unsigned i = 0;
    for (const void *p; (p = yk_random_plan(i)); i++) {
        yk_random_text(p, &cuda, &text);
        compile("random", &text, i % 2 ? 90 : 75);
    }
    CHECK_INT(i, 5);
}

TEST(each_plan_has_a_key_of_its_own)
{
    char keys[300][64], key[64];
    unsigned n = 0;
    for (unsigned id = 0; id < 8; id++)
        for (unsigned type = YOKE_I32; type <= YOKE_I64; type++)
            for (unsigned how = 0; how < 4; how++) {
                yk_op op = yk_op_of(id);
                yk_map_plan p = plan_of(&op, type, how);
                yk_map_key(&p, keys[n]);
                for (unsigned k = 0; k < n; k++)
                    CHECK(strcmp(keys[k], keys[n]) != 0);
                n++;
            }
    yk_op where = yk_op_of(YK_OP_where);
    yk_map_plan longest = plan_of(&where, YOKE_F64, 2);
    longest.types[0] = longest.types[1] = longest.types[2] = YOKE_F64;
    yk_map_key(&longest, key);
    CHECK(strlen(key) < sizeof key - 8);
    yk_reduce_plan r = {.name = "argmin", .type = YOKE_F64, .from = YOKE_F64, .to = YOKE_F64, .outer_ndim = 4, .inner_ndim = 4};
    yk_reduce_key(&r, key);
    CHECK(strlen(key) < sizeof key - 8);
}

TEST(a_text_has_its_words_in_it)
{
    yk_op op = yk_op_of(YK_OP_add);
    yk_map_plan p = plan_of(&op, YOKE_F32, 0);
    p.types[2] = YOKE_F32;
    yk_buf text = {0};
    yk_map_text(&p, &(yk_array_target){.group = 64}, &text);
    yk_buf_str(&text);
    CHECK_HAS(text.ptr, "r = a + b;");
    CHECK_HAS(text.ptr, "#define GROUP 64");
    CHECK_HAS(text.ptr, "FP_CONTRACT OFF");
    CHECK(!strstr(text.ptr, "fp64")); /* a device that has none */
    CHECK_HAS(text.ptr, "aligned(16)");
    yk_buf_done(&text);
    yk_map_text(&p, &cuda, &text);
    yk_buf_str(&text);
    CHECK_HAS(text.ptr, "r = a + b;");
    CHECK(!strstr(text.ptr, "FP_CONTRACT"));
    yk_buf_done(&text);
}
