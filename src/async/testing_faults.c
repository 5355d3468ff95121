/* testing_faults: a function run again and again, each time with another of yoke's calls to the system failing. */
#include "async/testing.h"
#include <netdb.h>

enum { MOST_CALLS = 10000 };

/* Each with an error that it has in the field. */
const yoke_test_fault yk_test_all_faults[] = {
    {"malloc", ENOMEM}, {"calloc", ENOMEM}, {"realloc", ENOMEM}, {"posix_memalign", ENOMEM}, {"mmap", ENOMEM},
    {"mprotect", ENOMEM}, {"madvise", EAGAIN}, {"memfd_create", EMFILE}, {"ftruncate", ENOSPC}, {"fallocate", ENOSPC},
    {"openat", EMFILE}, {"read", EIO}, {"write", EIO}, {"fsync", EIO}, {"fork", EAGAIN}, {"pipe2", EMFILE},
    {"socketpair", EMFILE}, {"sendmsg", ENOBUFS}, {"recvmsg", ENOMEM}, {"pthread_create", EAGAIN}, {"pidfd_open", EMFILE},
    {"eventfd", EMFILE}, {"signalfd", EMFILE}, {"poll", ENOMEM}, {"epoll_create1", EMFILE}, {"epoll_ctl", ENOMEM},
    {"epoll_pwait2", EINTR}, {"epoll_wait", EINTR}, {"io_uring_setup", EPERM}, {"io_uring_enter", EINTR},
    {"io_uring_register", ENOMEM}, {"accept4", EMFILE}, {"connect", ECONNREFUSED}, {"recv", ECONNRESET}, {"send", EPIPE},
    {"preadv2", EIO}, {"pwritev2", ENOSPC}, {"statx", EACCES}, {"pidfd_send_signal", EPERM}, {"membarrier", ENOSYS},
    {"futex_waitv", ENOSYS}, {"waitid", ECHILD}, {"renameat", EXDEV}, {"clone", EAGAIN}, {"socket", EMFILE},
    {"bind", EADDRINUSE}, {"listen", EADDRINUSE}, {"setsockopt", ENOPROTOOPT}, {"getsockname", ENOBUFS},
    {"getaddrinfo", EAI_AGAIN}, {"dlopen", ENOENT},
    {NULL, 0}};

int yoke_test_fail(const char *name, int n, int error)
{
    int calls = name && n >= 0 ? yk_sys_fail(name, n, error) : -1;
    return calls < 0 ? -ENOENT : calls;
}

/* True: on to the next call. */
static bool fail_each(yk_tested *t, yoke_test_report *r, int (*fn)(void *arg), void *arg)
{
    for (t->fail_at = 1; t->fail_at <= MOST_CALLS; t->fail_at++) {
        int code = yk_test_checked(t, fn, arg);
        bool failed = t->fault_calls >= t->fail_at;
        r->points += failed;
        if (code < 0)
            yk_test_say(t->text, "- that was with call %d of %s() failing: %s\n", t->fail_at, t->fault->name,
                        yoke_strerror(-t->fault->error));
        if (!yk_test_note(r, r->points, code))
            return false;
        if (!failed)
            return true;
    }
    return true;
}

int yoke_test_faults(const yoke_test_opts *opts, const yoke_test_fault *faults, int (*fn)(void *arg), void *arg,
                     yoke_test_report *report)
{
    yoke_test_report r = {0};
    if (!fn)
        return -EINVAL;
    yk_test_text text = yk_test_text_of(opts);
    yk_tested t = {.opts = yk_test_defaults(opts), .text = &text};
    int code = yk_test_checked(&t, fn, arg);
    bool more = yk_test_note(&r, 0, code) && code == 0;
    for (const yoke_test_fault *f = faults ? faults : yk_test_all_faults; more && f->name; f++) {
        t.fault = f;
        if (yk_sys_fail(f->name, 0, 0) < 0) {
            yk_test_say(&text, "yoke calls no %s()\n", f->name);
            yk_test_note(&r, r.points, -ENOENT);
            break;
        }
        more = fail_each(&t, &r, fn, arg);
    }
    r.runs = t.runs;
    if (report)
        *report = r;
    return r.code;
}
