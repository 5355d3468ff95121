/* budget.c - the number of workers that run follows the affinity mask and the cgroup's quota, which change here while the pool
 * works: the quota in a file tree of the test's own. No job is lost on the way. */
#include "fib.h"
#include "test.h"
#include "threads/pool.h"
#include "topo/topo.h"
#include <dirent.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, identity, (long, v))
{
    return v;
}

/* ---- The tree ---- */

static char root[64];

static void put(const char *path, const char *text)
{
    char full[400], next[420];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(full, 0700);
            *p = '/';
        }
    snprintf(next, sizeof next, "%s.next", full); /* a reader sees the old text or the new */
    FILE *f = fopen(next, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
    CHECK_INT(rename(next, full), 0);
}

static void allow(double cpus)
{
    char text[64];
    snprintf(text, sizeof text, "%d 100000\n", (int)(cpus * 100000));
    put("/sys/fs/cgroup/cpu.max", text);
}

static unsigned cpus_here(void)
{
    cpu_set_t set;
    CHECK_INT(sched_getaffinity(0, sizeof set, &set), 0);
    return (unsigned)CPU_COUNT(&set);
}

static void begin(void)
{
    if (cpus_here() < 2)
        SKIP("one CPU: nothing to take away");
    snprintf(root, sizeof root, "/tmp/yoke-budget-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    yk_cpus_root = root;
    yk_pool_look_every = YOKE_MS;
}

static void end(void)
{
    char command[100];
    yk_cpus_root = "";
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_INT(system(command), 0);
}

/* ---- Work until the pool has noticed ---- */

static void some_jobs(yoke_executor *ex)
{
    enum { N = 200 };
    yoke_future *f[N];
    for (int i = 0; i < N; i++)
        f[i] = yoke_submit(ex, identity, i);
    for (int i = 0; i < N; i++) {
        CHECK_INT(yoke_await(f[i], long), i);
        yoke_release(f[i]);
    }
}

static int32_t active(yoke_executor *ex)
{
    return atomic_load(&yk_pool_of(ex)->active);
}

static void work_until_places_are(yoke_executor *ex, unsigned places)
{
    while (yoke_pool_places(ex) != places)
        some_jobs(ex);
}

/* A worker that sleeps keeps its place until it is woken. */
static void work_until_active_are(yoke_executor *ex, unsigned count)
{
    work_until_places_are(ex, count);
    while (active(ex) != (int32_t)count) {
        some_jobs(ex);
        CHECK_INT(yoke_run(ex, fib, 16), 987);
    }
}

TEST(places_follow_the_quota)
{
    begin();
    unsigned cpus = cpus_here();
    yoke_executor *ex = yoke_open("threads");
    CHECK_INT(yoke_executor_width(ex), cpus);
    CHECK_INT(yoke_pool_places(ex), cpus);
    for (int round = 0; round < 3; round++) {
        allow(1);
        work_until_active_are(ex, 1);
        allow(1.5);
        work_until_active_are(ex, 2);
        allow(0.1);
        work_until_active_are(ex, 1);
        put("/sys/fs/cgroup/cpu.max", "max 100000\n");
        work_until_active_are(ex, cpus);
    }
    CHECK_INT(yoke_close(ex), 0);
    end();
}

TEST(more_than_at_the_start)
{
    begin();
    allow(1);
    yoke_executor *ex = yoke_open("threads");
    CHECK_INT(yoke_pool_places(ex), 1);
    allow(2);
    work_until_active_are(ex, 2);
    CHECK(yoke_pool_workers(ex) >= 2);
    CHECK_INT(yoke_close(ex), 0);
    end();
}

TEST(more_when_no_thread_can_be_started)
{
    begin();
    allow(1);
    yoke_executor *ex = yoke_open("threads");
    yk_sys_fail("pthread_create", 1, EAGAIN);
    allow(2);
    work_until_places_are(ex, 2);
    some_jobs(ex);
    yk_sys_fail("pthread_create", 0, 0);
    CHECK_INT(yoke_close(ex), 0);
    end();
}

TEST(a_number_that_was_asked_for_stays)
{
    begin();
    allow(1);
    yoke_executor *ex = yoke_open("threads:3");
    yk_pool *p = yk_pool_of(ex);
    CHECK(!yk_pool_may_spin(p));
    int64_t opened = atomic_load(&p->looked_at);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    while (atomic_load(&p->looked_at) < opened + 5 * YOKE_MS)
        some_jobs(ex);
    CHECK_INT(yoke_pool_places(ex), 3);
    CHECK_INT(active(ex), 3);
    CHECK(yk_pool_may_spin(p) == (cpus_here() >= 3));
    CHECK_INT(yoke_close(ex), 0);
    end();
}

TEST(whether_to_spin)
{
    begin();
    yk_pool p = {.places_max = 100, .active = 100};
    const struct {
        unsigned affinity;
        double quota;
        unsigned places;
        bool spin;
    } cases[] = {{1, 0, 1, false}, {2, 0, 2, true}, {8, 0, 8, true}, {8, 1, 1, false}, {8, 2, 2, true}, {8, 2.5, 3, false},
                 {4, 8, 4, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yk_cpus cpus = {.affinity = cases[i].affinity, .quota = cases[i].quota, .budget = cases[i].places};
        yk_pool_budget(&p, &cpus);
        CHECK_INT(p.places, cases[i].places);
        CHECK(p.may_spin == cases[i].spin);
    }
    end();
}

/* What taskset(1) -a does. */
static void confine_all_threads(const cpu_set_t *set)
{
    DIR *d = opendir("/proc/self/task");
    CHECK(d != NULL);
    for (struct dirent *entry; (entry = readdir(d));)
        if (entry->d_name[0] != '.')
            sched_setaffinity((pid_t)strtol(entry->d_name, NULL, 10), sizeof *set, set);
    closedir(d);
}

TEST(places_follow_the_affinity)
{
    begin();
    cpu_set_t all, one;
    CHECK_INT(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    yoke_executor *ex = yoke_open("threads");
    CHECK_INT(yoke_pool_places(ex), CPU_COUNT(&all));
    for (int round = 0; round < 3; round++) {
        /* Again and again: a waker may be about to give a thread the mask back that it had. */
        while (yoke_pool_places(ex) != 1 || active(ex) != 1) {
            confine_all_threads(&one);
            some_jobs(ex);
            CHECK_INT(yoke_run(ex, fib, 16), 987);
        }
        while (yoke_pool_places(ex) != (unsigned)CPU_COUNT(&all)) {
            confine_all_threads(&all);
            some_jobs(ex);
        }
    }
    CHECK_INT(yoke_close(ex), 0);
    end();
}

/* One job at a time, so that everybody sleeps in between, while places come and go. */
TEST_LIMIT(no_wake_up_is_lost_to_one_who_parks, 300)
{
    begin();
    yoke_executor *ex = yoke_open("threads");
    for (int i = 0; i < 400; i++) {
        if (i % 20 == 0)
            allow(i / 20 % 2 ? 1 : 4);
        usleep((unsigned)(test_random() % 150));
        yoke_future *f = yoke_submit(ex, identity, i);
        CHECK_INT(yoke_await(f, long), i);
        yoke_release(f);
        if (i % 50 == 0)
            CHECK_INT(yoke_run(ex, fib, 18), 2584);
    }
    CHECK_INT(yoke_close(ex), 0);
    end();
}

TEST(an_idle_pool_does_not_look)
{
    begin();
    yoke_executor *ex = yoke_open("threads");
    some_jobs(ex);
    yk_pool *p = yk_pool_of(ex);
    while (atomic_load(&p->sleepers.count) < yoke_executor_width(ex))
        usleep(1000);
    int64_t looked = atomic_load(&p->looked_at);
    usleep(20000);
    CHECK(atomic_load(&p->looked_at) == looked);
    CHECK_INT(yoke_close(ex), 0);
    end();
}
