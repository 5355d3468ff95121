/* past_cache.c - what caches hold, by file trees as kernels show them, and copies past them, of every length and place. */
#include "topo/past_cache.h"
#include "tree.h"

enum { CPUS = 8 };

static void put_cache(int cpu, int index, const char *level, const char *size, const char *list)
{
    char path[200];
    const char *const files[][2] = {{"level", level}, {"size", size}, {"shared_cpu_list", list}};
    for (size_t i = 0; i < YK_COUNT_OF(files); i++) {
        snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%d/cache/index%d/%s", cpu, index, files[i][0]);
        grow(path, files[i][1]);
    }
}

static size_t held(unsigned cpus, unsigned most)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t cpu = 0; cpu < CPUS; cpu++)
        if (cpus >> cpu & 1)
            CPU_SET(cpu, &set);
    return yk_caches_read(root, &set, sizeof set, most);
}

TEST(a_cache_that_is_shared_counts_once)
{
    begin();
    for (int cpu = 0; cpu < CPUS; cpu++) {
        put_cache(cpu, 0, "1\n", "48K\n", "0\n");
        put_cache(cpu, 1, "1\n", "32K\n", "0\n");
        put_cache(cpu, 2, "2\n", "1024K\n", "0\n");
        put_cache(cpu, 3, "3\n", cpu < 4 ? "32768K\n" : "96M\n", cpu < 4 ? "0-3\n" : "4,5-7\n");
    }
    CHECK_INT(held(0xff, 8), 128 << 20);
    CHECK_INT(held(0x0f, 8), 32 << 20);
    CHECK_INT(held(0x81, 8), 128 << 20);
    CHECK_INT(held(0xff, 1), 32 << 20); /* one CPU's time: one cache */
    CHECK_INT(held(0, 8), 0);
    end();
}

/* The last level is what counts, wherever it stands, and each CPU may have its own. */
TEST(caches_of_the_second_level)
{
    begin();
    for (int cpu = 0; cpu < 4; cpu++) {
        char own[8];
        snprintf(own, sizeof own, "%d\n", cpu);
        put_cache(cpu, 0, "2\n", "512K\n", own);
        put_cache(cpu, 1, "1\n", "64K\n", own);
    }
    CHECK_INT(held(0x0f, 4), 4 * (512 << 10));
    CHECK_INT(held(0x0f, 3), 3 * (512 << 10));
    end();
}

TEST(trees_that_say_little)
{
    begin();
    CHECK_INT(held(0xff, 8), 0);
    put_cache(0, 0, "3\n", "", "0-7\n"); /* no size */
    CHECK_INT(held(0xff, 8), 0);
    put_cache(0, 0, "3\n", "32768K\n", "what\n"); /* nobody shares it */
    CHECK_INT(held(0xff, 8), 32 << 20);
    put_cache(0, 0, "no\n", "32768K\n", "0\n");
    CHECK_INT(held(0xff, 8), 0);
    put_cache(0, 0, "3\n", "-\n", "0-99999999\n");
    CHECK_INT(held(0xff, 8), 0);
    end();
}

TEST(the_limit_of_this_machine)
{
    size_t limit = yk_past_cache_limit();
    CHECK(limit >= 256 << 10);
    CHECK(!yk_past_cache_pays(0));
    CHECK(!yk_past_cache_pays(limit));
    CHECK(yk_past_cache_pays(limit + 1) == (limit < SIZE_MAX && limit >= 1 << 20));
    yk_past_cache_test_limit = 100;
    CHECK(!yk_past_cache_pays(100));
    CHECK(yk_past_cache_pays(101) == (limit < SIZE_MAX));
    yk_past_cache_test_limit = 0;
    CHECK_INT(yk_past_cache_limit(), limit);
}

TEST(copies)
{
    enum { MOST = 300, ROOM = 512 };
    static uint8_t from[ROOM], to[ROOM], right[ROOM];
    for (size_t i = 0; i < ROOM; i++)
        from[i] = (uint8_t)(i * 7 + 1);
    for (size_t out = 64; out < 128; out++)
        for (size_t in = out; in < out + 40; in += 13)
            for (size_t bytes = 0; bytes < MOST; bytes++) {
                memset(to, 0, ROOM);
                memset(right, 0, ROOM);
                memcpy(right + out, from + in - 64, bytes);
                yk_past_cache_copy(to + out, from + in - 64, bytes);
                yk_past_cache_end();
                CHECK(memcmp(to, right, ROOM) == 0);
            }
}
