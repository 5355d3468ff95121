/* leave: go to another CPU.
 *
 * Two threads that answer each other and both stay awake can end up on one CPU, taking turns by sched_yield(), while another
 * CPU is idle: the kernel balances only at its next tick, and to a tick both look busy. The one that notices leaves. An
 * affinity mask without this CPU moves the thread at once; the mask it had is set again directly afterwards, so the thread
 * is free to be moved, and merely starts elsewhere. */
#include "topo/topo.h"
#include <sched.h>

bool yk_leave_cpu(void)
{
    cpu_set_t had, others;
    int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof had, &had) < 0)
        return false; /* a machine with more CPUs than CPU_SETSIZE is not short of an idle one */
    others = had;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) < 0)
        return false;
    return sched_setaffinity(0, sizeof had, &had) == 0;
}
