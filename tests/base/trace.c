/* trace.c - the trace file: well-formed, one event per attempt, errors of the disk reported. */
#include "trace/trace.h"
#include "test.h"
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

static void record(int attempts)
{
    snprintf(path, sizeof path, "/tmp/yoke-trace-%d.json", (int)getpid());
    CHECK_INT(yoke_trace_open(path), 0);
    CHECK(yk_tracing);
    CHECK_INT(yoke_trace_open(path), -EBUSY);
    int64_t now = yoke_now();
    for (int i = 0; i < attempts; i++)
        yk_trace_attempt(i % 2 ? "threads:2" : "processes", (uint32_t)i % 3, "task", (uint64_t)i, 1, now + i, now + i + 1500,
                         i % 5 ? NULL : "it said \"no\"\n\\");
    CHECK_INT(yoke_trace_close(), 0);
    CHECK(!yk_tracing);
    CHECK_INT(yoke_trace_close(), -EBADF);
}

TEST_LIMIT(is_json_with_every_attempt, 300)
{
    record(5000);
    char command[400];
    snprintf(command, sizeof command,
             "python3 -c 'import json,sys; e=json.load(open(sys.argv[1]))[\"traceEvents\"]; "
             "x=[v for v in e if v[\"ph\"]==\"X\"]; "
             "n=[v for v in e if v[\"ph\"]==\"M\"]; sys.exit(not (len(x)==5000 and len(n)==8 and all(v[\"dur\"]==1.5 for v in x) "
             "and x[0][\"args\"][\"error\"]==\"it said \\\"no\\\"\\n\\\\\"))' %s",
             path);
    CHECK_INT(system(command), 0);
    unlink(path);
}

TEST(full_disk)
{
    CHECK_INT(yoke_trace_open("/dev/full"), 0);
    yk_trace_attempt("inline", 0, "t", 1, 1, yoke_now(), yoke_now(), NULL);
    CHECK_INT(yoke_trace_close(), -ENOSPC);
    CHECK_INT(yoke_trace_open("/proc/nonexistent/x"), -ENOENT);
    CHECK_INT(yoke_trace_open(NULL), -EINVAL);
}
