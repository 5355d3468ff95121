/* distance: how far apart two CPUs are.
 *
 * The nearest thing that two CPUs share decides what it costs when one takes over what the other has just written: about 10 ns
 * within a core, 20 to 50 within a cache of the third level, 100 and more between packages. hwloc knows how to find that out on
 * every machine, and is asked first. It is opened at run time, so that one binary runs with and without it; and it is asked
 * for its XML, which is made to be read by others (hwloc2.dtd), so that no layout of its structs is built in here, and its
 * headers are not needed. Where it is not installed, the kernel's own files say nearly as much: sysfs-devices-system-cpu and
 * cputopology.rst. What neither knows is shared by nobody.
 *
 * A set of CPUs is known by its first: two CPUs share a cache if the sets of their caches begin with the same CPU. */
#include "topo/distance.h"
#include "topo/topo.h"
#include <dlfcn.h>
#include <stdlib.h>

enum { PATH_LEN = 512, LIST_LEN = 4096 };

/* Of several such sets around one CPU, as of NUMA nodes whose memory is nearer and farther, the innermost counts, which does
 * not begin before the others. */
static void put_first(yk_places *places, unsigned distance, long cpu, long first)
{
    if (cpu < 0 || cpu >= YK_CPUS_MAX || first < 0 || first >= YK_CPUS_MAX)
        return;
    uint16_t *there = &places->first[distance][cpu];
    *there = (uint16_t)YK_MAX(*there, first + 1);
}

/* ---- /sys ---- */

bool yk_cpu_list_next(const char **list, long *from, long *to)
{
    char *end;
    *from = *to = strtol(*list, &end, 10);
    if (end == *list || *from < 0)
        return false;
    if (*end == '-')
        *to = strtol(end + 1, &end, 10);
    *list = *end == ',' ? end + 1 : end;
    return *to >= *from;
}

/* The CPU shares something with those in that file's list. */
static void put_list_of(yk_places *places, unsigned distance, long cpu, const char *path)
{
    char list[LIST_LEN];
    const char *at = list;
    long from, to;
    if (yk_read_text(path, list, sizeof list) && yk_cpu_list_next(&at, &from, &to))
        put_first(places, distance, cpu, from);
}

static void read_caches(yk_places *places, const char *dir, long cpu)
{
    char path[PATH_LEN], text[64];
    for (int i = 0; i < 16; i++) {
        snprintf(path, sizeof path, "%s/cache/index%d/level", dir, i);
        if (!yk_read_text(path, text, sizeof text))
            return;
        long level = strtol(text, NULL, 10);
        snprintf(path, sizeof path, "%s/cache/index%d/shared_cpu_list", dir, i);
        if (level == 2 || level == 3)
            put_list_of(places, level == 2 ? YK_DISTANCE_L2 : YK_DISTANCE_L3, cpu, path);
    }
}

/* Kernels before 5.2 have the older names only. */
static void read_cpu(yk_places *places, const char *sys, long cpu)
{
    static const struct {
        const char *name;
        unsigned distance;
    } files[] = {{"core_cpus_list", YK_DISTANCE_CORE},
                 {"thread_siblings_list", YK_DISTANCE_CORE},
                 {"package_cpus_list", YK_DISTANCE_PACKAGE},
                 {"core_siblings_list", YK_DISTANCE_PACKAGE}};
    char dir[PATH_LEN - 64], path[PATH_LEN];
    snprintf(dir, sizeof dir, "%s/cpu/cpu%ld", sys, cpu);
    for (size_t i = 0; i < YK_COUNT_OF(files); i += 2) {
        snprintf(path, sizeof path, "%s/topology/%s", dir, files[i].name);
        put_list_of(places, files[i].distance, cpu, path);
        if (places->first[files[i].distance][cpu] > 0)
            continue;
        snprintf(path, sizeof path, "%s/topology/%s", dir, files[i + 1].name);
        put_list_of(places, files[i].distance, cpu, path);
    }
    read_caches(places, dir, cpu);
    put_first(places, YK_DISTANCE_SELF, cpu, cpu);
}

static void read_node(yk_places *places, const char *sys, long node)
{
    char path[PATH_LEN], list[LIST_LEN];
    const char *at = list;
    long from, to, first = -1;
    snprintf(path, sizeof path, "%s/node/node%ld/cpulist", sys, node);
    if (!yk_read_text(path, list, sizeof list))
        return;
    while (yk_cpu_list_next(&at, &from, &to)) {
        first = first < 0 ? from : first;
        for (; from <= to && from < YK_CPUS_MAX; from++)
            put_first(places, YK_DISTANCE_NODE, from, first);
    }
}

static void read_nodes(yk_places *places, const char *sys)
{
    char path[PATH_LEN], nodes[LIST_LEN];
    const char *at = nodes;
    long from, to;
    snprintf(path, sizeof path, "%s/node/online", sys);
    if (!yk_read_text(path, nodes, sizeof nodes))
        return;
    while (yk_cpu_list_next(&at, &from, &to))
        for (; from <= to && from < YK_CPUS_MAX; from++)
            read_node(places, sys, from);
}

int yk_places_read_sys(yk_places *places, const char *root)
{
    char sys[PATH_LEN - 128], path[PATH_LEN], list[LIST_LEN];
    const char *at = list;
    long from, to;
    bool any = false;
    snprintf(sys, sizeof sys, "%s/sys/devices/system", root);
    snprintf(path, sizeof path, "%s/cpu/online", sys);
    if (!yk_read_text(path, list, sizeof list))
        return -ENOENT;
    while (yk_cpu_list_next(&at, &from, &to))
        for (; from <= to && from < YK_CPUS_MAX; from++) {
            read_cpu(places, sys, from);
            any |= places->first[YK_DISTANCE_CORE][from] > 0;
        }
    read_nodes(places, sys);
    return any ? 0 : -ENOENT;
}

/* ---- hwloc ---- */

/* The set "0x000000ff,,0xffffffff": words of 32 bits, the highest first; an empty one is zero. Puts each of its CPUs. */
static void put_set(yk_places *places, unsigned distance, const char *set, size_t len)
{
    long first = -1, base = 0;
    for (const char *end = set + len; end > set; base += 32) {
        const char *word = end;
        while (word > set && word[-1] != ',')
            word--;
        uint32_t bits = end > word ? (uint32_t)strtoul(word, NULL, 16) : 0;
        for (; bits != 0; bits &= bits - 1) {
            long cpu = base + __builtin_ctz(bits);
            first = first < 0 ? cpu : first;
            put_first(places, distance, cpu, first);
        }
        end = word > set ? word - 1 : set;
    }
}

static unsigned distance_of_type(const char *type)
{
    static const char *const types[YK_DISTANCE_MACHINE] = {
        [YK_DISTANCE_SELF] = "PU\"",       [YK_DISTANCE_CORE] = "Core\"",     [YK_DISTANCE_L2] = "L2Cache\"",
        [YK_DISTANCE_L3] = "L3Cache\"",    [YK_DISTANCE_NODE] = "NUMANode\"", [YK_DISTANCE_PACKAGE] = "Package\""};
    for (unsigned d = 0; d < YK_DISTANCE_MACHINE; d++)
        if (strncmp(type, types[d], strlen(types[d])) == 0)
            return d;
    return YK_DISTANCE_MACHINE;
}

int yk_places_read_xml(yk_places *places, const char *text)
{
    static const char object[] = "<object type=\"", cpuset[] = " cpuset=\"";
    bool any = false;
    while ((text = strstr(text, object))) {
        text += sizeof object - 1;
        unsigned distance = distance_of_type(text);
        const char *set = strstr(text, cpuset), *end = text + strcspn(text, "<>");
        if (distance == YK_DISTANCE_MACHINE || !set || set >= end)
            continue;
        set += sizeof cpuset - 1;
        put_set(places, distance, set, strcspn(set, "\"<>"));
        any = true;
    }
    return any ? 0 : -EINVAL;
}

/* The part of the library that we use. */
typedef struct hwloc_topology hwloc_topology;
typedef struct hwloc_calls {
    int (*topology_init)(hwloc_topology **ret);
    int (*topology_set_flags)(hwloc_topology *t, unsigned long flags);
    int (*topology_set_components)(hwloc_topology *t, unsigned long flags, const char *name);
    int (*topology_load)(hwloc_topology *t);
    int (*topology_export_xmlbuffer)(hwloc_topology *t, char **ret, int *len, unsigned long flags);
    void (*free_xmlbuffer)(hwloc_topology *t, char *xml);
    void (*topology_destroy)(hwloc_topology *t);
} hwloc_calls;

static bool find_calls(void *library, hwloc_calls *h)
{
    static const char *const names[] = {
        "hwloc_topology_init",          "hwloc_topology_set_flags", "hwloc_topology_set_components", "hwloc_topology_load",
        "hwloc_topology_export_xmlbuffer", "hwloc_free_xmlbuffer",  "hwloc_topology_destroy"};
    _Static_assert(sizeof(hwloc_calls) == YK_COUNT_OF(names) * sizeof(void *), "one name for each call, in their order");
    void *found[YK_COUNT_OF(names)];
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        if (!(found[i] = dlsym(library, names[i])))
            return false;
    memcpy(h, found, sizeof found);
    return true;
}

/* The version of the library is in the text, too. */
static void name_source(yk_places *places, const char *xml)
{
    static const char name[] = "<info name=\"hwlocVersion\" value=\"";
    const char *version = strstr(xml, name);
    version = version ? version + sizeof name - 1 : "2";
    snprintf(places->source, sizeof places->source, "hwloc %.*s", (int)YK_MIN(strcspn(version, "\"<"), (size_t)20), version);
}

/* Also the CPUs that we may not use at present are described: that may change, and they do no harm. The component x86 would
 * move this thread to each CPU in turn; the kernel's files, which the others read, say the same. */
static int read_topology(yk_places *places, const hwloc_calls *h)
{
    enum { INCLUDE_DISALLOWED = 1, BLACKLIST = 1 };
    hwloc_topology *t;
    char *xml = NULL;
    int len, err = -EIO;
    if (h->topology_init(&t) != 0)
        return -EIO;
    h->topology_set_components(t, BLACKLIST, "x86");
    if (h->topology_set_flags(t, INCLUDE_DISALLOWED) == 0 && h->topology_load(t) == 0 &&
        h->topology_export_xmlbuffer(t, &xml, &len, 0) == 0) {
        err = yk_places_read_xml(places, xml) == 0 ? 0 : -EIO;
        name_source(places, xml);
        h->free_xmlbuffer(t, xml);
    }
    h->topology_destroy(t);
    return err;
}

int yk_places_read_hwloc(yk_places *places)
{
    void *library = yk_sys.dlopen("libhwloc.so.15", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return -ELIBACC;
    hwloc_calls h;
    int err = find_calls(library, &h) ? read_topology(places, &h) : -EIO;
    dlclose(library);
    return err;
}

/* ---- Both ---- */

void yk_places_read(yk_places *places)
{
    int err = yk_places_read_hwloc(places);
    if (err == 0)
        return;
    memset(places, 0, sizeof *places);
    const char *why = err == -ELIBACC ? "libhwloc.so.15 is not there" : "libhwloc.so.15 does not work";
    if (yk_places_read_sys(places, "") == 0) {
        snprintf(places->source, sizeof places->source, "/sys (%s)", why);
    } else {
        memset(places, 0, sizeof *places);
        snprintf(places->source, sizeof places->source, "unknown (%s, and /sys does not say)", why);
    }
}

unsigned yk_places_distance(const yk_places *places, int a, int b)
{
    if (a == b)
        return YK_DISTANCE_SELF;
    if (a < 0 || b < 0 || a >= YK_CPUS_MAX || b >= YK_CPUS_MAX)
        return YK_DISTANCE_MACHINE;
    for (unsigned d = YK_DISTANCE_CORE; d < YK_DISTANCE_MACHINE; d++)
        if (places->first[d][a] != 0 && places->first[d][a] == places->first[d][b])
            return d;
    return YK_DISTANCE_MACHINE;
}

void yk_places_describe(const yk_places *places, yk_buf *out)
{
    static const struct {
        const char *one, *many;
        unsigned distance;
    } kinds[] = {{"package", "packages", YK_DISTANCE_PACKAGE}, {"NUMA node", "NUMA nodes", YK_DISTANCE_NODE},
                 {"L3 cache", "L3 caches", YK_DISTANCE_L3},    {"L2 cache", "L2 caches", YK_DISTANCE_L2},
                 {"core", "cores", YK_DISTANCE_CORE},          {"thread", "threads", YK_DISTANCE_SELF}};
    yk_buf_text(out, places->source);
    const char *between = ": ";
    for (size_t k = 0; k < YK_COUNT_OF(kinds); k++) {
        unsigned count = 0;
        for (unsigned cpu = 0; cpu < YK_CPUS_MAX; cpu++)
            count += places->first[kinds[k].distance][cpu] == cpu + 1;
        if (count > 0) {
            yk_buf_printf(out, "%s%u %s", between, count, count == 1 ? kinds[k].one : kinds[k].many);
            between = ", ";
        }
    }
}

/* ---- This machine ---- */

/* In a child made by fork() while another thread was reading, nothing is known, nor asked again: a lock of hwloc or of the
 * loader may be held for ever there. */
_Atomic(const yk_places *) yk_this_machine;

void yk_this_machine_learn(void)
{
    static yk_places places; /* most of its pages are never touched */
    static atomic_bool begun;
    if (atomic_load_explicit(&begun, memory_order_relaxed) || atomic_exchange_explicit(&begun, true, memory_order_relaxed))
        return;
    yk_places_read(&places);
    /* Release pairs with the acquire of those who look: all of it is there. */
    atomic_store_explicit(&yk_this_machine, &places, memory_order_release);
}

unsigned yk_cpu_distance(int a, int b)
{
    const yk_places *places = atomic_load_explicit(&yk_this_machine, memory_order_acquire);
    return places ? yk_places_distance(places, a, b) : YK_DISTANCE_MACHINE;
}
