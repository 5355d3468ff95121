/* forks.c BUILD - fork and join beside libgomp, libomp and oneTBB in the same run, each with one worker and with two: fib and n
 * queens (nothing but forks), quicksort, cilksort and matrix multiplication (forks above leaves of some microseconds), and two
 * unbalanced trees. Problems and answers: forks.h. */
#include "forks.h"
#include <unistd.h>
#include <yoke.h>

/* ---- The peers ---- */

typedef struct rival {
    const char *name;
    FILE *ask, *answer;
} rival;
enum { RIVALS = 3 };

static rival start_peer(const char *build, const char *name, int threads)
{
    char path[4096], count[16];
    int to[2], from[2];
    snprintf(path, sizeof path, "%s/bench/peer-%s", build, name);
    snprintf(count, sizeof count, "%d", threads);
    BENCH_CHECK(pipe(to) == 0 && pipe(from) == 0);
    pid_t pid = fork();
    BENCH_CHECK(pid >= 0);
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        for (int fd = 3; fd < 64; fd++) /* of the other peers: each ends when its own is closed */
            close(fd);
        setenv("OMP_STACKSIZE", "64M", 1);
        execl(path, path, count, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    return (rival){name, fdopen(to[1], "w"), fdopen(from[0], "r")};
}

static double ask(rival *r, int problem)
{
    double ns = 0;
    fprintf(r->ask, "%s\n", problem_names[problem]);
    fflush(r->ask);
    if (fscanf(r->answer, "%lf", &ns) != 1) {
        fprintf(stderr, "the peer %s failed at %s\n", r->name, problem_names[problem]);
        exit(1);
    }
    return ns;
}

/* ---- Measuring ---- */

static const int rounds[PROBLEMS] = {9, 15, 7, 7, 15, 3, 3};

static void show(int problem, int threads, samples *us, samples them[RIVALS], const rival *rivals)
{
    char name[100];
    double calls = problem == P_FIB ? FIB_ANSWER * 1.618034 : 1; /* forks in one run */
    double scale = problem == P_FIB ? 1 / calls : 1e-6;
    const char *unit = problem == P_FIB ? "ns a fork and join" : "ms";
    snprintf(name, sizeof name, "%s, yoke, %d", problem_names[problem], threads);
    row(name, us, scale, unit);
    for (int i = 0; i < RIVALS; i++) {
        snprintf(name, sizeof name, "%s, %s, %d", problem_names[problem], rivals[i].name, threads);
        row(name, &them[i], scale, unit);
    }
    for (int i = 0; i < RIVALS; i++) {
        snprintf(name, sizeof name, "  %s / yoke", rivals[i].name);
        ratio_row(name, &them[i], us, "above 1");
    }
}

int main(int argc, char **argv)
{
    static const char *const names[RIVALS] = {"libgomp", "libomp", "oneTBB"};
    static samples us[PROBLEMS][3], them[RIVALS];
    BENCH_CHECK(argc > 1);
    head("fork and join: 1 or 2 workers");
    rival rivals[3][RIVALS];
    yoke_executor *pools[3] = {NULL, yoke_open("threads:1"), yoke_open("threads:2")};
    for (int threads = 1; threads <= 2; threads++)
        for (int i = 0; i < RIVALS; i++)
            rivals[threads][i] = start_peer(argv[1], names[i], threads);
    for (int p = 0; p < PROBLEMS; p++) {
        for (int threads = 1; threads <= 2; threads++) {
            memset(them, 0, sizeof them);
            forks_pool = pools[threads];
            for (int round = 0; round < rounds[p]; round++) {
                bench_calm();
                sample(&us[p][threads], solve(p));
                for (int i = 0; i < RIVALS; i++) {
                    bench_calm();
                    sample(&them[i], ask(&rivals[threads][i], p));
                }
            }
            show(p, threads, &us[p][threads], them, rivals[threads]);
        }
        ratio_row("  yoke, 1 / 2 workers", &us[p][1], &us[p][2], "at least 1.9");
    }
    yoke_close(pools[1]);
    yoke_close(pools[2]);
    return 0;
}
