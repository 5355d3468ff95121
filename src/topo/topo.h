/* topo: what this machine lets us use. Floor 0. */
#ifndef YK_TOPO_H
#define YK_TOPO_H
#include "base/base.h"
#include <sched.h>

/* How many CPUs we may use, and what said so. */
typedef struct yk_cpus {
    unsigned online;   /* of the machine */
    unsigned affinity; /* of this process (sched_getaffinity) */
    double quota;      /* CPUs that the cgroups allow, the least on the way to the root; 0: no limit */
    unsigned budget;   /* max(1, min(affinity, ceil(quota))) */
} yk_cpus;

void yk_cpus_read(yk_cpus *ret);
/* Where yk_cpus_read() looks for the files of cgroups, normally ""; for tests. */
extern const char *yk_cpus_root;
/* The budget alone. */
unsigned yk_cpu_budget(void);
/* The CPUs that this process may run on, in *size bytes; CPU_FREE() takes it back. NULL: not known. */
cpu_set_t *yk_affinity(size_t *size);
/* True when spinning is worth while on this machine: more than one CPU, and the quota is not smaller. */
bool yk_cpus_to_spare(void);
/* The least quota of the cgroup files under `root` (normally ""), for tests with captured trees: root/proc/self/cgroup and
 * root/proc/self/mountinfo name them. 0: none. */
double yk_cgroup_quota(const char *root);

/* Reads a small file of /proc or /sys, as text of less than `size` bytes. False when there is none, or nothing in it. */
bool yk_read_text(const char *path, char *text, size_t size);

/* The next range of a list like "0-3,8,10-11", as such files have them; false at its end, or at what is none. */
bool yk_cpu_list_next(const char **list, long *from, long *to);

/* Moves the calling thread to another CPU of its affinity mask, which stays as it was. False when there is no other. Costs
 * some 10 us: for threads that find that they share a CPU with whom they work with, once in a while. */
bool yk_leave_cpu(void);
#endif
