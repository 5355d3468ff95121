/* past_cache: what the caches hold, and so from which size on results are written past them.
 *
 * The last caches of all CPUs that we may use count, since a call's threads share its data; one that several CPUs share counts
 * once (sysfs-devices-system-cpu). sysconf() is not asked first: on some virtual machines it tells what the host has. */
#include "topo/past_cache.h"
#include "topo/distance.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_LEN = 512, LIST_LEN = 4096, SMALL = 1 << 20, USUAL = 32 << 20 };

size_t yk_past_cache_test_limit;

/* "32768K", "1M". */
static size_t size_of(const char *text)
{
    char *end;
    size_t size = strtoull(text, &end, 10);
    return *end == 'K' ? size << 10 : *end == 'M' ? size << 20 : *end == 'G' ? size << 30 : size;
}

/* The last cache of that CPU: its size, or 0, and in list who shares it. */
static size_t last_cache(const char *root, size_t cpu, char list[LIST_LEN])
{
    char dir[PATH_LEN - 64], path[PATH_LEN], text[64];
    long last = 0, index = -1;
    *list = '\0';
    snprintf(dir, sizeof dir, "%s/sys/devices/system/cpu/cpu%zu/cache", root, cpu);
    for (long i = 0; i < 16; i++) {
        snprintf(path, sizeof path, "%s/index%ld/level", dir, i);
        if (!yk_read_text(path, text, sizeof text))
            break;
        long level = strtol(text, NULL, 10);
        index = level > last ? i : index;
        last = YK_MAX(level, last);
    }
    snprintf(path, sizeof path, "%s/index%ld/shared_cpu_list", dir, index);
    if (index < 0 || !yk_read_text(path, list, LIST_LEN))
        return 0;
    snprintf(path, sizeof path, "%s/index%ld/size", dir, index);
    return yk_read_text(path, text, sizeof text) ? size_of(text) : 0;
}

size_t yk_caches_read(const char *root, const cpu_set_t *set, size_t size, unsigned most)
{
    char list[LIST_LEN];
    uint8_t counted[YK_CPUS_MAX / 8] = {0};
    size_t total = 0;
    for (size_t cpu = 0; cpu < YK_MIN(size * 8, (size_t)YK_CPUS_MAX) && most > 0; cpu++) {
        long from, to;
        if (!CPU_ISSET_S(cpu, size, set) || counted[cpu / 8] & 1 << cpu % 8)
            continue;
        total += last_cache(root, cpu, list);
        most--;
        for (const char *at = list; yk_cpu_list_next(&at, &from, &to);)
            for (; from <= to && from < YK_CPUS_MAX; from++)
                counted[from / 8] |= (uint8_t)(1 << from % 8);
    }
    return total;
}

#if defined(__SSE2__)
static size_t read_caches(void)
{
    size_t size, total;
    yk_cpus cpus;
    yk_cpus_read(&cpus);
    cpu_set_t *set = yk_affinity(&size);
    total = set ? yk_caches_read("", set, size, cpus.budget) : 0;
    CPU_FREE(set);
    long l3 = total == 0 ? sysconf(_SC_LEVEL3_CACHE_SIZE) : 0;
    return total > 0 ? total : l3 > 0 ? (size_t)l3 : USUAL;
}

size_t yk_past_cache_limit(void)
{
    static _Atomic size_t known; /* two that ask at once read the same */
    size_t limit = yk_past_cache_test_limit > 0 ? yk_past_cache_test_limit : atomic_load_explicit(&known, memory_order_relaxed);
    if (limit == 0) {
        limit = read_caches();
        atomic_store_explicit(&known, limit, memory_order_relaxed);
    }
    return limit;
}
#else
size_t yk_past_cache_limit(void)
{
    return SIZE_MAX;
}
#endif

bool yk_past_cache_pays(size_t bytes)
{
    return (bytes > SMALL || yk_past_cache_test_limit > 0) && bytes > yk_past_cache_limit();
}
