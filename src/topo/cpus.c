/* cpus: how many CPUs this process may use.
 *
 * The affinity mask alone is not enough: a container is usually limited by a CPU quota of its cgroup, which neither nproc
 * nor sysconf() shows. A limit can stand at any level between our own cgroup and the root, so all of them are read and the
 * least counts. Both versions of cgroups may be mounted at once. Sources: cgroups(7), proc(5), the kernel's cgroup-v2.rst and
 * sched-bwc.rst. */
#include "topo/topo.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_LEN = 4096, TEXT_LEN = 65536 };

bool yk_read_text(const char *path, char *text, size_t size)
{
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = yk_sys.read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    return len > 0;
}

/* Not on the stack, which may be that of a coroutine. */
typedef struct texts {
    char cgroups[TEXT_LEN], mounts[TEXT_LEN];
    char inside[PATH_LEN], mount[PATH_LEN], ours[PATH_LEN], dir[PATH_LEN], file[PATH_LEN + 64];
} texts;

/* CPUs that the directory t->dir allows: cpu.max of version 2, cfs files of version 1. 0: no limit. */
static double directory_quota(texts *t)
{
    char text[256];
    double quota, period;
    snprintf(t->file, sizeof t->file, "%s/cpu.max", t->dir);
    if (yk_read_text(t->file, text, sizeof text))
        return sscanf(text, "%lf %lf", &quota, &period) == 2 && period > 0 ? quota / period : 0;
    snprintf(t->file, sizeof t->file, "%s/cpu.cfs_quota_us", t->dir);
    if (!yk_read_text(t->file, text, sizeof text) || (quota = strtod(text, NULL)) <= 0)
        return 0;
    snprintf(t->file, sizeof t->file, "%s/cpu.cfs_period_us", t->dir);
    if (!yk_read_text(t->file, text, sizeof text) || (period = strtod(text, NULL)) <= 0)
        return 0;
    return quota / period;
}

/* The least quota from mount/path up to the mount point itself. */
static double path_quota(texts *t, const char *root, const char *path)
{
    char *dir = t->dir;
    int n = snprintf(dir, sizeof t->dir, "%s%s%s", root, t->mount, strcmp(path, "/") == 0 ? "" : path);
    if (n < 0 || (size_t)n >= sizeof t->dir)
        return 0;
    size_t top = strlen(root) + strlen(t->mount);
    double least = 0;
    for (;;) {
        double quota = directory_quota(t);
        if (quota > 0 && (least == 0 || quota < least))
            least = quota;
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < top)
            return least;
        *slash = '\0';
    }
}

/* Our path in the hierarchy of version 2 (line "0::/path") or of version 1's cpu controller ("4:cpu,cpuacct:/path"). */
static bool own_path(const char *cgroups, bool version_2, char path[PATH_LEN])
{
    char controllers[256];
    for (const char *line = cgroups; *line;) {
        int id = -1, at = 0;
        controllers[0] = '\0';
        if (sscanf(line, "%d:%255[^:\n]:%n", &id, controllers, &at) < 2 || at == 0) {
            controllers[0] = '\0';
            at = 0;
            sscanf(line, "%d::%n", &id, &at);
        }
        char padded[260];
        snprintf(padded, sizeof padded, ",%s,", controllers);
        bool ours = version_2 ? id == 0 && controllers[0] == '\0' : strstr(padded, ",cpu,") != NULL;
        if (ours && at > 0 && sscanf(line + at, "%4095[^\n]", path) == 1)
            return true;
        const char *end = strchr(line, '\n');
        if (!end)
            break;
        line = end + 1;
    }
    return false;
}

/* The quota through one line of mountinfo: "36 35 98:0 ROOT MOUNT options ... - TYPE source superoptions". */
static double mount_quota(texts *t, const char *root, const char *line)
{
    char type[32], super[512];
    const char *dash = strstr(line, " - ");
    if (!dash || sscanf(line, "%*d %*d %*s %4095s %4095s", t->inside, t->mount) != 2 ||
        sscanf(dash, " - %31s %*s %511[^\n]", type, super) != 2)
        return 0;
    bool version_2 = strcmp(type, "cgroup2") == 0;
    char padded[520];
    snprintf(padded, sizeof padded, ",%s,", super);
    if (!version_2 && !(strcmp(type, "cgroup") == 0 && strstr(padded, ",cpu,")))
        return 0;
    if (!own_path(t->cgroups, version_2, t->ours))
        return 0;
    /* In a container the mount shows a part of the hierarchy: ROOT is its top, and paths are relative to it. */
    size_t skip = strcmp(t->inside, "/") == 0 ? 0 : strlen(t->inside);
    if (skip > 0 && strncmp(t->ours, t->inside, skip) != 0)
        skip = 0;
    return path_quota(t, root, t->ours[skip] ? t->ours + skip : "/");
}

double yk_cgroup_quota(const char *root)
{
    double least = 0;
    texts *t = yk_sys.malloc(sizeof *t);
    if (!t)
        return 0;
    snprintf(t->file, sizeof t->file, "%s/proc/self/cgroup", root);
    bool there = yk_read_text(t->file, t->cgroups, TEXT_LEN);
    snprintf(t->file, sizeof t->file, "%s/proc/self/mountinfo", root);
    there = there && yk_read_text(t->file, t->mounts, TEXT_LEN);
    for (char *line = t->mounts, *end; there && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        double quota = strstr(line, " - cgroup") ? mount_quota(t, root, line) : 0;
        if (quota > 0 && (least == 0 || quota < least))
            least = quota;
    }
    free(t);
    return least;
}

/* The mask may be wider than cpu_set_t: the kernel answers EINVAL until the buffer is large enough. */
cpu_set_t *yk_affinity(size_t *size)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        *size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set || sched_getaffinity(0, *size, set) == 0)
            return set;
        CPU_FREE(set);
        if (errno != EINVAL)
            return NULL;
    }
    return NULL;
}

static unsigned affinity_count(void)
{
    size_t size;
    cpu_set_t *set = yk_affinity(&size);
    int count = set ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    return count > 0 ? (unsigned)count : 1;
}

const char *yk_cpus_root = "";

void yk_cpus_read(yk_cpus *ret)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *ret = (yk_cpus){.online = online > 0 ? (unsigned)online : 1, .affinity = affinity_count()};
    ret->quota = yk_cgroup_quota(yk_cpus_root);
    ret->budget = ret->affinity;
    if (ret->quota > 0 && ret->quota < ret->affinity) {
        unsigned whole = (unsigned)ret->quota;
        ret->budget = YK_MAX(1u, whole + (whole < ret->quota));
    }
}

unsigned yk_cpu_budget(void)
{
    yk_cpus cpus;
    yk_cpus_read(&cpus);
    return cpus.budget;
}

/* Two threads that answer each other and both stay awake can end up on one CPU, taking turns by sched_yield(), while another
 * CPU is idle: the kernel balances only at its next tick, and to a tick both look busy. An affinity mask without this CPU
 * moves the thread at once; the mask it had is set again directly afterwards, so the thread is free to be moved, and merely
 * starts elsewhere. */
static bool pass_through(const cpu_set_t *there, const cpu_set_t *had)
{
    return sched_setaffinity(0, sizeof *there, there) == 0 && sched_setaffinity(0, sizeof *had, had) == 0;
}

bool yk_leave_cpu(void)
{
    cpu_set_t had, others;
    int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof had, &had) < 0)
        return false; /* a machine with more CPUs than CPU_SETSIZE is not short of an idle one */
    others = had;
    CPU_CLR(cpu, &others);
    return CPU_COUNT(&others) > 0 && pass_through(&others, &had);
}

bool yk_cpus_to_spare(void)
{
    static _Atomic int known; /* 0: not yet; 1: no; 2: yes */
    int k = atomic_load_explicit(&known, memory_order_relaxed);
    if (k == 0) {
        yk_cpus cpus;
        yk_cpus_read(&cpus);
        k = cpus.budget > 1 ? 2 : 1;
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k == 2;
}
