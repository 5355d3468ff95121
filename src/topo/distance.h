/* distance.h: how far apart two CPUs are: what is the nearest thing that they share. */
#ifndef YK_TOPO_DISTANCE_H
#define YK_TOPO_DISTANCE_H
#include "base/base.h"
#include <stdatomic.h>

/* What two CPUs share at the least; the fewer, the nearer. */
enum {
    YK_DISTANCE_SELF,    /* they are one */
    YK_DISTANCE_CORE,    /* two hardware threads of one core */
    YK_DISTANCE_L2,      /* a second-level cache */
    YK_DISTANCE_L3,      /* a third-level cache */
    YK_DISTANCE_NODE,    /* a NUMA node */
    YK_DISTANCE_PACKAGE, /* a package */
    YK_DISTANCE_MACHINE, /* nothing that we know of */
    YK_DISTANCES
};

enum { YK_CPUS_MAX = 8192 /* the most that Linux can be built for; further ones are strangers to all */ };

/* Of each CPU and each distance up to PACKAGE the number, plus 1, of the first CPU among those with which it shares that; 0: not
 * known. Two CPUs share what has the same number. All zero: nothing is known. */
typedef struct yk_places {
    uint16_t first[YK_DISTANCE_MACHINE][YK_CPUS_MAX];
    char source[80]; /* where it comes from, for people */
} yk_places;

/* Each of these adds to *places, which begins as all zero, and gives 0 or a negative code, and then *places may hold a part. */

/* From root/sys (root is normally ""): -ENOENT when no CPU is described there. */
int yk_places_read_sys(yk_places *places, const char *root);
/* From libhwloc.so.15, opened here and closed again: -ELIBACC when it is not there, -EIO when it does not do its work. It is
 * told of other machines by its own environment variables, such as HWLOC_SYNTHETIC. Some milliseconds. */
int yk_places_read_hwloc(yk_places *places);
/* From the XML of hwloc 2, `text` of any content: -EINVAL when no CPU is described there. */
int yk_places_read_xml(yk_places *places, const char *text);
/* From the first of hwloc and /sys that works; else *places is all zero but for its source. */
void yk_places_read(yk_places *places);

unsigned yk_places_distance(const yk_places *places, int a, int b);
/* "hwloc 2.9: 1 package, 1 NUMA node, 2 cores, 2 threads". */
void yk_places_describe(const yk_places *places, yk_buf *out);

/* What is known of this machine, or NULL, as at first: then all CPUs are equally far. Tests may put something else there. */
extern _Atomic(const yk_places *) yk_this_machine;
/* Reads it, once in this process: who comes while another thread is at it does not wait. Makes no yoke allocation. */
void yk_this_machine_learn(void);
/* The distance on this machine: MACHINE for all while nothing is known. No system call. */
unsigned yk_cpu_distance(int a, int b);
#endif
