/* cpus.c - the CPU budget, with file trees as they are found on real machines and in containers. */
#include "topo/topo.h"
#include "tree.h"
#include <sched.h>

#define V2_MOUNT "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

TEST(version_2_least_on_the_way_up)
{
    begin();
    grow("proc/self/cgroup", "0::/user.slice/app.scope\n");
    grow("proc/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/sda rw\n" V2_MOUNT);
    grow("sys/fs/cgroup/user.slice/app.scope/cpu.max", "max 100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 0, 0);
    grow("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 1.5, 1e-9);
    grow("sys/fs/cgroup/user.slice/app.scope/cpu.max", "50000 100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 0.5, 1e-9);
    grow("sys/fs/cgroup/user.slice/app.scope/cpu.max", "400000 100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 1.5, 1e-9);
    end();
}

TEST(version_2_in_a_container)
{
    begin();
    grow("proc/self/cgroup", "0::/\n");
    grow("proc/self/mountinfo", V2_MOUNT);
    grow("sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 2, 1e-9);
    end();
}

TEST(version_1_with_mount_root)
{
    begin();
    grow("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n");
    grow("proc/self/mountinfo", "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    grow("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    grow("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 0, 0);
    grow("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 2.5, 1e-9);
    end();
}

TEST(both_versions_mounted)
{
    begin();
    grow("proc/self/cgroup", "1:cpu:/a\n0::/\n");
    grow("proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
                                "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    grow("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000\n");
    grow("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    CHECK_NEAR(yk_cgroup_quota(root), 3, 1e-9);
    end();
}

TEST(strange_files)
{
    begin();
    CHECK_NEAR(yk_cgroup_quota(root), 0, 0);
    grow("proc/self/cgroup", "garbage\n::\n0::\n7:\n");
    grow("proc/self/mountinfo", "garbage\n - cgroup2\n1 2 3 4 - cgroup2 x y\n" V2_MOUNT "cut off - cgroup2");
    grow("sys/fs/cgroup/cpu.max", "lots of it\n");
    CHECK_NEAR(yk_cgroup_quota(root), 0, 0);
    grow("sys/fs/cgroup/cpu.max", "100 0\n");
    CHECK_NEAR(yk_cgroup_quota(root), 0, 0);
    end();
}

TEST(affinity_limits_the_budget)
{
    yk_cpus cpus;
    yk_cpus_read(&cpus);
    CHECK(cpus.budget >= 1 && cpus.budget <= cpus.affinity && cpus.affinity <= cpus.online);
    cpu_set_t one;
    CHECK_INT(sched_getaffinity(0, sizeof one, &one), 0);
    for (int cpu = CPU_SETSIZE - 1, kept = 0; cpu >= 0; cpu--)
        if (CPU_ISSET(cpu, &one) && kept++)
            CPU_CLR(cpu, &one);
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_INT(yk_cpu_budget(), 1);
}

TEST(leaving_a_cpu_keeps_the_mask)
{
    cpu_set_t before, after;
    CHECK_INT(sched_getaffinity(0, sizeof before, &before), 0);
    bool many = CPU_COUNT(&before) > 1, elsewhere = false;
    for (int i = 0; i < 100 && !elsewhere; i++) {
        int cpu = sched_getcpu();
        CHECK(yk_leave_cpu() == many);
        elsewhere = sched_getcpu() != cpu;
    }
    CHECK(elsewhere == many);
    CHECK_INT(sched_getaffinity(0, sizeof after, &after), 0);
    CHECK(CPU_EQUAL(&before, &after));
}

TEST(there_is_no_leaving_the_only_cpu)
{
    cpu_set_t one, after;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK(!yk_leave_cpu());
    CHECK_INT(sched_getaffinity(0, sizeof after, &after), 0);
    CHECK(CPU_EQUAL(&one, &after));
}
