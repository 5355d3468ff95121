/* distance.c - how far apart CPUs are: by file trees as kernels show them, by hwloc's descriptions of the same machines, and by
 * text that is neither. */
#include "topo/distance.h"
#include "tree.h"
#include <limits.h>

/* Writes root/sys/devices/system/PATH. */
__attribute__((format(printf, 2, 3))) static void put(const char *text, const char *path, ...)
{
    char full[300];
    int n = snprintf(full, sizeof full, "sys/devices/system/");
    va_list args;
    va_start(args, path);
    vsnprintf(full + n, sizeof full - (size_t)n, path, args);
    va_end(args);
    grow(full, text);
}

static yk_places places, other;

static unsigned between(int a, int b)
{
    unsigned d = yk_places_distance(&places, a, b);
    CHECK_INT(yk_places_distance(&places, b, a), d);
    return d;
}

static void check_description(const yk_places *p, const char *expected)
{
    yk_buf out = {0};
    yk_places_describe(p, &out);
    CHECK_STR(yk_buf_str(&out), expected);
    yk_buf_done(&out);
}

/* ---- Regular machines ---- */

/* So many of each in one of the next larger; 0: there is no such level. Threads are numbered one after the other, or, as
 * firmware of Intel and AMD does it, the first of all cores before the second of all. */
typedef struct machine {
    int packages, nodes, l3s, l2s, cores, threads;
    bool threads_last, old_names;
    const char *synthetic; /* the same for hwloc */
} machine;

static int or1(int n)
{
    return n > 0 ? n : 1;
}

static int cpus_of(const machine *m)
{
    return or1(m->packages) * or1(m->nodes) * or1(m->l3s) * or1(m->l2s) * or1(m->cores) * or1(m->threads);
}

/* Writes the list of CPUs of that block of `size` consecutive threads, in the order of cores. */
static void list_of(const machine *m, int cpu_in_order, int size, char list[4096])
{
    int threads = or1(m->threads), cores = cpus_of(m) / threads, from = cpu_in_order / size * size, n = 0;
    if (!m->threads_last) {
        snprintf(list, 4096, size > 1 ? "%d-%d\n" : "%d\n", from, from + size - 1);
        return;
    }
    for (int t = 0; t < threads && t < size; t++) {
        int first = t * cores + from / threads, count = YK_MAX(size / threads, 1);
        n += snprintf(list + n, 4096 - (size_t)n, count > 1 ? "%s%d-%d" : "%s%d", t > 0 ? "," : "", first, first + count - 1);
    }
    snprintf(list + n, 4096 - (size_t)n, "\n");
}

static int cpu_of(const machine *m, int in_order)
{
    int threads = or1(m->threads), cores = cpus_of(m) / threads;
    return m->threads_last ? in_order % threads * cores + in_order / threads : in_order;
}

static void put_machine(const machine *m)
{
    char list[4096];
    int all = cpus_of(m), core = or1(m->threads), l2 = core * or1(m->cores), l3 = l2 * or1(m->l2s), node = l3 * or1(m->l3s),
        package = node * or1(m->nodes);
    snprintf(list, sizeof list, "0-%d\n", all - 1);
    put(list, "cpu/online");
    for (int i = 0; i < all; i++) {
        int cpu = cpu_of(m, i), index = 0;
        list_of(m, i, core, list);
        put(list, "cpu/cpu%d/topology/%s", cpu, m->old_names ? "thread_siblings_list" : "core_cpus_list");
        for (; index < 2; index++) { /* data and instructions of the first level */
            put("1\n", "cpu/cpu%d/cache/index%d/level", cpu, index);
            put(list, "cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, index);
        }
        list_of(m, i, package, list);
        put(list, "cpu/cpu%d/topology/%s", cpu, m->old_names ? "core_siblings_list" : "package_cpus_list");
        list_of(m, i, l2, list);
        put("2\n", "cpu/cpu%d/cache/index%d/level", cpu, m->l2s > 0 ? index : 9);
        put(list, "cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, m->l2s > 0 ? index++ : 9);
        list_of(m, i, l3, list);
        put("3\n", "cpu/cpu%d/cache/index%d/level", cpu, m->l3s > 0 ? index : 9);
        put(list, "cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, m->l3s > 0 ? index : 9);
    }
    int nodes = all / node;
    snprintf(list, sizeof list, nodes > 1 ? "0-%d\n" : "%d\n", nodes - 1);
    if (m->nodes > 0)
        put(list, "node/online");
    for (int n = 0; n < nodes && m->nodes > 0; n++) {
        list_of(m, n * node, node, list);
        put(list, "node/node%d/cpulist", n);
    }
}

/* By arithmetic. */
static unsigned expected(const machine *m, int a, int b)
{
    const int sizes[YK_DISTANCE_MACHINE] = {1, or1(m->threads), m->cores, m->l2s, m->l3s, or1(m->nodes)};
    const bool there[YK_DISTANCE_MACHINE] = {true, true, m->l2s > 0, m->l3s > 0, m->nodes > 0, true};
    int block = 1;
    for (unsigned d = YK_DISTANCE_SELF; d < YK_DISTANCE_MACHINE; d++) {
        block *= or1(sizes[d]);
        if (there[d] && a / block == b / block)
            return d;
    }
    return YK_DISTANCE_MACHINE;
}

/* Number, and not order, is what hwloc's synthetic machines give their CPUs too, unless they say otherwise. */
static const machine machines[] = {
    /* one socket, nothing shared but the package */
    {1, 1, 0, 0, 4, 1, false, false, "package:1 numa:1 core:4 pu:1"},
    /* two sockets with two threads a core, numbered as Intel does it */
    {2, 1, 1, 4, 1, 2, true, false, "package:2 numa:1 l3:1 l2:4 core:1 pu:2(indexes=0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15)"},
    /* two sockets of an old kernel, numbered in order */
    {2, 1, 1, 4, 1, 2, false, true, "package:2 numa:1 l3:1 l2:4 core:1 pu:2"},
    /* one socket, four NUMA nodes, two third-level caches in each */
    {1, 4, 2, 3, 1, 2, false, false, "package:1 numa:4 l3:2 l2:3 core:1 pu:2"},
    /* two sockets, two nodes each with split L3, L2 shared by four cores */
    {2, 2, 2, 2, 4, 1, false, false, "package:2 numa:2 l3:2 l2:2 core:4 pu:1"},
    /* more CPUs than fit into one or two words */
    {4, 2, 2, 4, 1, 2, false, false, "package:4 numa:2 l3:2 l2:4 core:1 pu:2"},
};

static void check_machine(const machine *m, const char *from)
{
    int wrong = 0, n = cpus_of(m);
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            if (between(cpu_of(m, a), cpu_of(m, b)) != expected(m, a, b) && wrong++ == 0)
                fprintf(stderr, "%s, machine %d: CPUs %d and %d: %u, not %u\n", from, (int)(m - machines), cpu_of(m, a),
                        cpu_of(m, b), between(cpu_of(m, a), cpu_of(m, b)), expected(m, a, b));
    CHECK_INT(wrong, 0);
    CHECK_INT(between(0, n), YK_DISTANCE_MACHINE);
}

TEST(machines_by_sys)
{
    for (size_t i = 0; i < YK_COUNT_OF(machines); i++) {
        begin();
        put_machine(&machines[i]);
        memset(&places, 0, sizeof places);
        CHECK_INT(yk_places_read_sys(&places, root), 0);
        check_machine(&machines[i], "/sys");
        end();
    }
}

static void need_hwloc(void)
{
    memset(&places, 0, sizeof places);
    if (yk_places_read_hwloc(&places) == -ELIBACC)
        SKIP("libhwloc.so.15 is not there");
}

TEST(machines_by_hwloc)
{
    need_hwloc();
    for (size_t i = 0; i < YK_COUNT_OF(machines); i++) {
        setenv("HWLOC_SYNTHETIC", machines[i].synthetic, 1);
        memset(&places, 0, sizeof places);
        CHECK_INT(yk_places_read_hwloc(&places), 0);
        check_machine(&machines[i], "hwloc");
    }
    unsetenv("HWLOC_SYNTHETIC");
}

TEST(what_is_said_of_a_machine)
{
    begin();
    put_machine(&machines[1]);
    CHECK_INT(yk_places_read_sys(&places, root), 0);
    snprintf(places.source, sizeof places.source, "/sys");
    check_description(&places, "/sys: 2 packages, 2 NUMA nodes, 2 L3 caches, 8 L2 caches, 8 cores, 16 threads");
    end();
    snprintf(other.source, sizeof other.source, "unknown");
    check_description(&other, "unknown");
    need_hwloc();
    setenv("HWLOC_SYNTHETIC", machines[0].synthetic, 1);
    yk_places_read(&other);
    CHECK(strncmp(other.source, "hwloc 2.", 8) == 0 && strlen(other.source) < 20);
    yk_buf out = {0};
    yk_places_describe(&other, &out);
    CHECK_HAS(yk_buf_str(&out), ": 1 package, 1 NUMA node, 4 cores, 4 threads");
    yk_buf_done(&out);
}

/* ---- Irregular ones ---- */

/* A big core with two threads, four small ones around one L2, one that is offline, and a node of memory alone. */
TEST(a_hybrid_with_holes)
{
    begin();
    static const char *const cores[] = {"0-1\n", "0-1\n", "2\n", "3\n", "4\n", "5\n"};
    for (int cpu = 0; cpu < 6; cpu++) {
        put(cores[cpu], "cpu/cpu%d/topology/core_cpus_list", cpu);
        put("0-4,6\n", "cpu/cpu%d/topology/package_cpus_list", cpu);
        put("2\n", "cpu/cpu%d/cache/index0/level", cpu);
        put(cpu < 2 ? "0-1\n" : "2-4\n", "cpu/cpu%d/cache/index0/shared_cpu_list", cpu);
    }
    put("0-4,6\n", "cpu/online"); /* nothing is said of 6 but its node */
    put("0,3,7\n", "node/online");
    put("0-4\n", "node/node0/cpulist");
    put("\n", "node/node3/cpulist");
    CHECK_INT(yk_places_read_sys(&places, root), 0);
    CHECK_INT(between(0, 1), YK_DISTANCE_CORE);
    CHECK_INT(between(2, 4), YK_DISTANCE_L2);
    CHECK_INT(between(1, 2), YK_DISTANCE_NODE);
    CHECK_INT(between(3, 6), YK_DISTANCE_MACHINE);
    CHECK_INT(between(3, 5), YK_DISTANCE_MACHINE);
    CHECK_INT(between(5, 5), YK_DISTANCE_SELF);
    end();
}

/* Memory that is near to one half only, in nodes inside a node. */
TEST(the_inner_of_two_nodes_counts)
{
    static const char xml[] = "<object type=\"NUMANode\" cpuset=\"0x0000000c\"/><object type=\"NUMANode\" cpuset=\"0x0000000f\">"
                              "</object><object type=\"NUMANode\" cpuset=\"0x0000000f\"/>";
    CHECK_INT(yk_places_read_xml(&places, xml), 0);
    CHECK_INT(between(0, 1), YK_DISTANCE_NODE);
    CHECK_INT(between(2, 3), YK_DISTANCE_NODE);
    CHECK_INT(between(1, 2), YK_DISTANCE_MACHINE);
}

TEST(cpus_out_of_range)
{
    begin();
    put("0,8191-100000000\n", "cpu/online");
    put("0\n", "cpu/cpu0/topology/core_cpus_list");
    put("8191-8192\n", "cpu/cpu8191/topology/core_cpus_list");
    put("99999-100000\n", "cpu/cpu0/topology/package_cpus_list");
    put("0-99999999\n", "node/online");
    put("8191,8192,9223372036854775807-9223372036854775807\n", "node/node1/cpulist");
    CHECK_INT(yk_places_read_sys(&places, root), 0);
    CHECK_INT(between(8191, 8192), YK_DISTANCE_MACHINE);
    CHECK_INT(between(-1, 0), YK_DISTANCE_MACHINE);
    CHECK_INT(between(INT_MIN, INT_MAX), YK_DISTANCE_MACHINE);
    CHECK_INT(between(-1, -1), YK_DISTANCE_SELF);
    CHECK_INT(places.first[YK_DISTANCE_CORE][8191], 8192);
    end();
}

TEST(trees_that_say_nothing)
{
    static const char *const lists[] = {"", "\n", "x\n", "-1\n", "3-1\n", "0-\n", ",0\n", "99999999999999999999999\n"};
    begin();
    CHECK_INT(yk_places_read_sys(&places, root), -ENOENT);
    for (size_t i = 0; i < YK_COUNT_OF(lists); i++) {
        put(lists[i], "cpu/online");
        put(lists[i], "node/online");
        CHECK_INT(yk_places_read_sys(&places, root), -ENOENT);
    }
    put("0-1\n", "cpu/online");
    for (size_t i = 0; i < YK_COUNT_OF(lists); i++) {
        put(lists[i], "cpu/cpu0/topology/package_cpus_list");
        put(lists[i], "cpu/cpu0/cache/index0/level");
        put(lists[i], "cpu/cpu1/cache/index0/shared_cpu_list");
        CHECK_INT(yk_places_read_sys(&places, root), -ENOENT);
        CHECK_INT(between(0, 1), YK_DISTANCE_MACHINE);
    }
    end();
}

/* ---- XML ---- */

TEST(xml_of_any_content)
{
    static const char *const bad[] = {"", "<object type=\"", "<object type=\"Core", "<object type=\"Core\" cpuset=\"",
                                      "<object type=\"Core\"> cpuset=\"0x3\"", "<object type=\"Core\"/><x cpuset=\"0x3\"/>",
                                      "<object type=\"Die\" cpuset=\"0x3\"/>", "<object type=\"Core\" complete_cpuset=\"0x3\"/>",
                                      "<info value=\"&lt;object type=&quot;Core&quot; cpuset=&quot;0x3&quot;\"/>"};
    for (size_t i = 0; i < YK_COUNT_OF(bad); i++) {
        yk_places_read_xml(&places, bad[i]);
        CHECK_INT(between(0, 1), YK_DISTANCE_MACHINE);
    }
    CHECK_INT(yk_places_read_xml(&places, bad[0]), -EINVAL);
    CHECK_INT(yk_places_read_xml(&places, "<object type=\"L3Cache\" cpuset=\"0x1,,0x80000000\"/>"), 0);
    CHECK_INT(between(31, 64), YK_DISTANCE_L3);
    CHECK_INT(between(63, 64), YK_DISTANCE_MACHINE);
    yk_places_read_xml(&places, "<object type=\"L2Cache\" cpuset=\",,,zz,-1,0xfffffffffffffffffff,\"/>");
}

/* A real text, cut off anywhere and damaged anywhere: whatever it says, it is read within its bounds. */
TEST(xml_damaged)
{
    static const char whole[] = "<topology><object type=\"Package\" os_index=\"0\" cpuset=\"0x0000000f,0xffffffff\" x=\"1\">"
                                "<object type=\"Core\" os_index=\"0\" cpuset=\"0x00000003\"/></object></topology>";
    for (size_t len = 0; len < sizeof whole; len++) {
        char *copy = malloc(len + 1);
        memcpy(copy, whole, len);
        copy[len] = '\0';
        yk_places_read_xml(&places, copy);
        for (int i = 0; i < 20 && len > 0; i++) {
            copy[test_random() % len] = "\"<>,0xf \0"[test_random() % 9];
            yk_places_read_xml(&places, copy);
        }
        free(copy);
    }
    for (unsigned d = 0; d < YK_DISTANCE_MACHINE; d++)
        for (int cpu = 0; cpu < YK_CPUS_MAX; cpu++)
            CHECK(places.first[d][cpu] <= YK_CPUS_MAX);
}

/* ---- What is used ---- */

static void *no_library(const char *path, int flags)
{
    CHECK_STR(path, "libhwloc.so.15");
    return NULL;
}

TEST(without_hwloc_it_is_sys)
{
    yk_sys_fail("dlopen", 1, ENOENT);
    yk_places_read(&places);
    CHECK_HAS(places.source, "(libhwloc.so.15 is not there");
    CHECK(places.source[0] == '/' || strncmp(places.source, "unknown", 7) == 0);
    yk_sys_fail("dlopen", 1, ENOENT);
    CHECK_INT(yk_places_read_hwloc(&other), -ELIBACC);
    yk_sys_fail("dlopen", 0, 0);
}

TEST(with_neither_all_are_equally_far)
{
    for (int n = 1; n < 1000; n++) { /* each file of /sys in turn cannot be read */
        yk_sys_fail("openat", n, EMFILE);
        yk_sys.dlopen = no_library;
        memset(&places, 0, sizeof places);
        yk_places_read(&places);
        CHECK(places.source[0] != '\0');
        if (n == 1) {
            CHECK_HAS(places.source, "unknown");
            CHECK_INT(between(0, 1), YK_DISTANCE_MACHINE);
        }
        if (yk_sys_fail("openat", 0, 0) < n)
            break;
    }
}

TEST(hwloc_that_does_not_load)
{
    need_hwloc();
    setenv("HWLOC_XMLFILE", "/nonexistent/yoke.xml", 1);
    setenv("HWLOC_COMPONENTS", "xml,stop", 1);
    memset(&places, 0, sizeof places);
    int err = yk_places_read_hwloc(&places);
    CHECK(err == 0 || err == -EIO);
    yk_places_read(&places);
    CHECK(places.source[0] != '\0');
}

TEST(both_say_the_same_of_this_machine)
{
    need_hwloc();
    if (yk_places_read_sys(&other, "") < 0)
        SKIP("/sys does not say");
    for (int a = 0; a < 64; a++)
        for (int b = 0; b < 64; b++)
            if (places.first[0][a] && places.first[0][b] && other.first[0][a] && other.first[0][b])
                CHECK_INT(yk_places_distance(&places, a, b), yk_places_distance(&other, a, b));
}

TEST(this_machine)
{
    CHECK(atomic_load(&yk_this_machine) == NULL);
    CHECK_INT(yk_cpu_distance(0, 1), YK_DISTANCE_MACHINE);
    CHECK_INT(yk_cpu_distance(0, 0), YK_DISTANCE_MACHINE);
    yk_this_machine_learn();
    const yk_places *known = atomic_load(&yk_this_machine);
    CHECK(known != NULL);
    CHECK_INT(yk_cpu_distance(0, 0), YK_DISTANCE_SELF);
    CHECK_INT(yk_cpu_distance(0, 1), yk_places_distance(known, 0, 1));
    yk_this_machine_learn(); /* once */
    CHECK(atomic_load(&yk_this_machine) == known);
}
