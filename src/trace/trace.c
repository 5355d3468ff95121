/* trace: one file in the Trace Event Format, filled from any thread.
 *
 * Events are formatted into one buffer under a lock and written in blocks, so memory stays bounded. Each executor is a
 * process of the timeline ("pid") and each worker a thread of it; their names are written once, when first seen. The array is
 * closed on yoke_trace_close(); the format allows a missing end, so a file cut off by a crash still opens. */
#include "trace/trace.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, TRACKS = 64 };

atomic_bool yk_tracing;

static struct {
    pthread_mutex_t lock; /* guards all that follows */
    int fd, error;
    yk_buf out;
    bool first;
    int64_t origin;
    struct {
        char name[32];
        uint32_t workers; /* whose names were written: 0 to workers - 1 */
    } tracks[TRACKS];
    unsigned track_count;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static void flush(void)
{
    size_t at = 0;
    while (at < trace.out.len && !trace.error) {
        ssize_t n = yk_sys.write(trace.fd, trace.out.ptr + at, trace.out.len - at);
        if (n < 0 && errno != EINTR)
            trace.error = -errno;
        else if (n > 0)
            at += (size_t)n;
    }
    trace.out.len = 0;
}

/* The string between quotes, as JSON: names of tasks and executors and error texts. */
static void put_text(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            yk_buf_printf(&trace.out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            yk_buf_printf(&trace.out, "\\u%04x", c);
        else
            yk_buf_char(&trace.out, (char)c);
    }
}

static void begin_event(void)
{
    yk_buf_text(&trace.out, trace.first ? "\n" : ",\n");
    trace.first = false;
}

static void put_name(const char *kind, unsigned track, uint32_t worker, const char *name)
{
    begin_event();
    yk_buf_printf(&trace.out, "{\"name\":\"%s\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":\"", kind, track + 1,
                  worker);
    put_text(name);
    yk_buf_text(&trace.out, "\"}}");
}

/* The track of an executor; names are announced on first use. Executors beyond the table share its last track. */
static unsigned track_of(const char *executor, uint32_t worker)
{
    unsigned i = 0;
    while (i < trace.track_count && strncmp(trace.tracks[i].name, executor, sizeof trace.tracks[i].name - 1) != 0)
        i++;
    if (i == trace.track_count && i < TRACKS) {
        snprintf(trace.tracks[i].name, sizeof trace.tracks[i].name, "%s", executor);
        trace.tracks[i].workers = 0;
        trace.track_count++;
        put_name("process_name", i, 0, executor);
    }
    i = YK_MIN(i, (unsigned)TRACKS - 1);
    for (; trace.tracks[i].workers <= worker; trace.tracks[i].workers++) {
        char name[32];
        snprintf(name, sizeof name, "worker %u", trace.tracks[i].workers);
        put_name("thread_name", i, trace.tracks[i].workers, name);
    }
    return i;
}

void yk_trace_attempt(const char *executor, uint32_t worker, const char *task, uint64_t job, uint32_t attempt, int64_t started,
                      int64_t ended, const char *error)
{
    pthread_mutex_lock(&trace.lock);
    if (trace.fd >= 0) {
        unsigned track = track_of(executor, worker);
        begin_event();
        yk_buf_text(&trace.out, "{\"name\":\"");
        put_text(task);
        int64_t since = started - trace.origin, took = YK_MAX(ended - started, (int64_t)0);
        yk_buf_printf(&trace.out,
                      "\",\"cat\":\"job\",\"ph\":\"X\",\"pid\":%u,\"tid\":%u,\"ts\":%lld.%03lld,\"dur\":%lld.%03lld,\"args\":{"
                      "\"job\":%llu,\"attempt\":%u",
                      track + 1, worker, (long long)(since / 1000), (long long)(since < 0 ? 0 : since % 1000),
                      (long long)(took / 1000), (long long)(took % 1000), (unsigned long long)job, attempt);
        if (error) {
            yk_buf_text(&trace.out, ",\"error\":\"");
            put_text(error);
            yk_buf_char(&trace.out, '"');
        }
        yk_buf_text(&trace.out, "}}");
        if (trace.out.len >= BLOCK)
            flush();
    }
    pthread_mutex_unlock(&trace.lock);
}

int yoke_trace_open(const char *path)
{
    if (!path)
        return -EINVAL;
    int err = 0;
    pthread_mutex_lock(&trace.lock);
    if (trace.fd >= 0) {
        err = -EBUSY;
        goto out;
    }
    int fd = yk_sys.openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        err = -errno;
        goto out;
    }
    trace.fd = fd;
    trace.error = 0;
    trace.first = true;
    trace.track_count = 0;
    trace.origin = yoke_now();
    yk_buf_text(&trace.out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    atomic_store(&yk_tracing, true);
out:
    pthread_mutex_unlock(&trace.lock);
    return err;
}

int yoke_trace_close(void)
{
    pthread_mutex_lock(&trace.lock);
    int err = -EBADF;
    if (trace.fd >= 0) {
        atomic_store(&yk_tracing, false);
        yk_buf_text(&trace.out, "\n]}\n");
        if (trace.out.failed && !trace.error)
            trace.error = -ENOMEM;
        flush();
        err = trace.error;
        if (close(trace.fd) != 0 && err == 0)
            err = -errno;
        trace.fd = -1;
        yk_buf_done(&trace.out);
    }
    pthread_mutex_unlock(&trace.lock);
    return err;
}
