/* arena.c - the allocator of shared memory against a model, its limits, and calls it must refuse. */
#include "process/arena.h"
#include "test.h"
#include <sys/mman.h>

static char *range(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

typedef struct piece {
    unsigned char *at;
    size_t size;
    unsigned char mark;
} piece;

static void fill(const piece *b)
{
    memset(b->at, b->mark, YK_MIN(b->size, 4096u));
    b->at[b->size - 1] = b->mark;
}

static void check_filled(const piece *b)
{
    for (size_t i = 0; i < YK_MIN(b->size, 4096u); i++)
        CHECK_INT(b->at[i], b->mark);
    CHECK_INT(b->at[b->size - 1], b->mark);
}

static size_t random_size(void)
{
    unsigned bits = (unsigned)(test_random() % 17);
    return 1 + test_random() % ((size_t)1 << bits);
}

/* Takes and gives at random: no two blocks overlap, none moves, all lie in the range. */
TEST(model)
{
    enum { SIZE = 1 << 20, SLOTS = 200, STEPS = 40000 };
    char *base = range(SIZE);
    yk_arena a;
    CHECK_INT(yk_arena_open(&a, base, SIZE), 0);
    static piece pieces[SLOTS];
    size_t live = 0;
    int refused = 0;
    for (int step = 0; step < STEPS; step++) {
        piece *b = &pieces[test_random() % SLOTS];
        if (b->at) {
            check_filled(b);
            CHECK(yk_arena_size_of(&a, b->at) >= b->size);
            CHECK_INT(yk_arena_give(&a, b->at), 0);
            CHECK_INT(yk_arena_give(&a, b->at), -EINVAL);
            b->at = NULL;
            live--;
            continue;
        }
        b->size = random_size();
        b->at = yk_arena_take(&a, b->size);
        if (!b->at) {
            refused++;
            continue;
        }
        CHECK((uintptr_t)b->at % 64 == 0);
        CHECK((char *)b->at >= base && (char *)b->at + b->size <= base + SIZE);
        b->mark = (unsigned char)test_random();
        fill(b);
        live++;
        CHECK_INT(a.live, live);
    }
    CHECK(refused < STEPS / 2);
    for (int i = 0; i < SLOTS; i++)
        if (pieces[i].at) {
            check_filled(&pieces[i]);
            CHECK_INT(yk_arena_give(&a, pieces[i].at), 0);
        }
    CHECK_INT(a.live, 0);
    /* Everything merges again. */
    char *whole = yk_arena_take(&a, SIZE);
    CHECK(whole == base);
    CHECK(!yk_arena_take(&a, 1));
    CHECK_INT(yk_arena_give(&a, whole), 0);
    yk_arena_close(&a);
    munmap(base, SIZE);
}

TEST(fills_to_the_last_unit)
{
    enum { SIZE = 1 << 16 };
    char *base = range(SIZE);
    yk_arena a;
    CHECK_INT(yk_arena_open(&a, base, SIZE), 0);
    int n = 0;
    while (yk_arena_take(&a, 64))
        n++;
    CHECK_INT(n, SIZE / 64);
    for (int i = 0; i < n; i += 2)
        CHECK_INT(yk_arena_give(&a, base + i * 64), 0);
    CHECK(!yk_arena_take(&a, 65)); /* half is free, but no two neighbours */
    CHECK_INT(yk_arena_give(&a, base + 64), 0);
    CHECK(yk_arena_take(&a, 65) == base);
    yk_arena_close(&a);
    munmap(base, SIZE);
}

TEST(odd_range)
{
    size_t size = 3 * 4096 + 64 * 5 + 17;
    char *base = range(size);
    yk_arena a;
    CHECK_INT(yk_arena_open(&a, base, size), 0);
    CHECK(!yk_arena_take(&a, size + 1));
    CHECK(!yk_arena_take(&a, SIZE_MAX));
    char *large = yk_arena_take(&a, 8192);
    CHECK(large != NULL);
    CHECK(!yk_arena_take(&a, 8192));
    size_t total = 0;
    for (char *p; (p = yk_arena_take(&a, 1));) {
        CHECK(p + 64 <= base + size);
        total += 64;
    }
    CHECK_INT(total, size / 64 * 64 - 8192);
    yk_arena_close(&a);
    munmap(base, size);
}

TEST(refuses_what_is_not_a_block)
{
    enum { SIZE = 1 << 16 };
    char *base = range(SIZE), elsewhere[64];
    yk_arena a;
    CHECK_INT(yk_arena_open(&a, base, SIZE), 0);
    char *p = yk_arena_take(&a, 1000);
    CHECK_INT(yk_arena_size_of(&a, p), 1024);
    CHECK_INT(yk_arena_give(&a, p + 64), -EINVAL);
    CHECK_INT(yk_arena_give(&a, p + 1), -EINVAL);
    CHECK_INT(yk_arena_give(&a, base + SIZE), -EINVAL);
    CHECK_INT(yk_arena_give(&a, base - 64), -EINVAL);
    CHECK_INT(yk_arena_give(&a, elsewhere), -EINVAL);
    CHECK_INT(yk_arena_give(&a, NULL), -EINVAL);
    CHECK_INT(yk_arena_give(&a, base + 4096), -EINVAL); /* never given out */
    CHECK_INT(yk_arena_give(&a, p), 0);
    CHECK_INT(yk_arena_size_of(&a, p), 0);
    yk_arena_close(&a);
    munmap(base, SIZE);
}

/* What is scribbled into free blocks misleads nobody: the books lie elsewhere. */
TEST(scribbled)
{
    enum { SIZE = 1 << 16 };
    char *base = range(SIZE);
    yk_arena a;
    CHECK_INT(yk_arena_open(&a, base, SIZE), 0);
    for (int round = 0; round < 100; round++) {
        char *p[16];
        for (int i = 0; i < 16; i++)
            CHECK((p[i] = yk_arena_take(&a, 1 + test_random() % 2000)) != NULL);
        for (int i = 0; i < 16; i++)
            CHECK_INT(yk_arena_give(&a, p[i]), 0);
        for (size_t i = 0; i < SIZE; i++)
            base[i] = (char)test_random();
    }
    yk_arena_close(&a);
    munmap(base, SIZE);
}

TEST(no_memory_for_the_books)
{
    enum { SIZE = 1 << 16 };
    char *base = range(SIZE);
    for (int n = 1; n <= 2; n++) {
        yk_arena a;
        yk_sys_fail("mmap", n, ENOMEM);
        CHECK_INT(yk_arena_open(&a, base, SIZE), -ENOMEM);
        yk_sys_fail("mmap", 0, 0);
        CHECK(!yk_arena_take(&a, 1));
        yk_arena_close(&a);
    }
    munmap(base, SIZE);
}

/* Large blocks that are not in use give their pages back beyond a limit. */
TEST(pages_go_back)
{
    size_t size = (size_t)1 << 30, piece_size = (size_t)64 << 20;
    char *base = range(size), *p[8];
    yk_arena a;
    CHECK_INT(yk_arena_open(&a, base, size), 0);
    for (int i = 0; i < 8; i++)
        CHECK((p[i] = yk_arena_take(&a, piece_size)) != NULL);
    for (int i = 0; i < 8; i++) {
        p[i][0] = 1;
        CHECK_INT(yk_arena_give(&a, p[i]), 0);
    }
    int kept = 0;
    for (int i = 0; i < 8; i++)
        kept += p[i][0] == 1;
    CHECK_INT(kept, 4); /* 256 MiB */
    yk_arena_close(&a);
    munmap(base, size);
}
