/* forks_peer.c THREADS - yoke as a program that solves what stdin names, as its peers do: for crowd.py. */
#include "forks.h"
#include <yoke.h>

int main(int argc, char **argv)
{
    char uri[32];
    snprintf(uri, sizeof uri, "threads:%s", argc > 1 ? argv[1] : "1");
    forks_pool = yoke_open(uri);
    BENCH_CHECK(forks_pool);
    int status = peer_main();
    return yoke_close(forks_pool) < 0 ? 1 : status;
}
