/* kernel_oclgrind: kernels under Oclgrind, which runs OpenCL one instruction after the other and sees who leaves a
 * buffer, and two items that touch one place without waiting for each other. The process that compares kernels
 * (kernel_compare.c) runs under it, with little work, since each instruction takes some hundred nanoseconds; here
 * its messages become lines about kernels.
 *
 * Oclgrind puts itself before libOpenCL.so by LD_PRELOAD. yoke opens a library by name, so it is told that name. */
#include "tools/kernel_check.h"
#include "tools/option.h"
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* ---- Finding it ---- */

static bool find_on_path(const char *name, char ret[PATH_MAX])
{
    const char *path = getenv("PATH");
    struct stat st;
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");
        int len = snprintf(ret, PATH_MAX, "%.*s/%s", (int)n, p, name);
        if (n > 0 && len > 0 && len < PATH_MAX && stat(ret, &st) == 0 && S_ISREG(st.st_mode) && access(ret, X_OK) == 0)
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

/* This process's environment, with what leads to the simulator. To be freed; its last word is the caller's. */
static char **environment_for(char *word)
{
    size_t n = 0, at = 0;
    while (environ[n])
        n++;
    char **all = yk_sys.calloc(n + 2, sizeof *all);
    for (size_t i = 0; all && i < n; i++)
        if (strncmp(environ[i], "YOKE_OPENCL_DRIVER=", 19) != 0 && strncmp(environ[i], "YOKE_DEVICE=", 12) != 0)
            all[at++] = environ[i];
    if (all)
        all[at] = word;
    return all;
}

/* ---- Messages ---- */

/* One message: a headline, and lines behind it that begin with a tab:
 *
 *     Invalid write of size 4 at global memory address 0x1000000000010
 *         Kernel: kernel_far
 *         Entity: Global(4,0,0) Local(4,0,0) Group(0,0,0)
 *           store i32 ...
 *         At line 12 (column 33) of FILE:
 */
typedef struct message {
    char what[120];     /* the headline, up to the address */
    char kernel[400];   /* without kernel_, last_, write_ */
    char file[PATH_MAX];
    unsigned line, column; /* 0: not known */
    char item[60];      /* "Global(4,0,0)" */
} message;

typedef struct finding {
    message m;
    unsigned times;
} finding;

enum { FINDINGS_MOST = 200 };

typedef struct findings {
    finding *list;
    size_t n;
} findings;

/* Its text behind `label` in a line, up to one of `stop`. */
static bool copy_behind(const char *line, size_t len, const char *label, const char *stop, char *ret, size_t size)
{
    const char *p = memmem(line, len, label, strlen(label));
    if (!p)
        return false;
    p += strlen(label);
    p += strspn(p, " ");
    size_t left = (size_t)(line + len - p), n = YK_MIN(strcspn(p, stop), left);
    snprintf(ret, size, "%.*s", (int)n, p);
    return true;
}

static void read_kernel(const char *line, size_t len, message *m)
{
    static const char *const prefixes[] = {"kernel_", "last_", "write_"};
    char name[sizeof m->kernel];
    if (*m->kernel || !copy_behind(line, len, "Kernel:", "\n", name, sizeof name))
        return;
    const char *own = name;
    for (size_t i = 0; i < YK_COUNT_OF(prefixes) && own == name; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            own += strlen(prefixes[i]);
    snprintf(m->kernel, sizeof m->kernel, "%s", own);
}

/* The first place in a file of the user's. The simulator calls the text's own lines input.cl: of those only the dialect's, before
 * the first #line, have that name. */
static void read_place(const char *line, size_t len, message *m)
{
    char number[20], file[PATH_MAX];
    if (m->line > 0 || !copy_behind(line, len, "At line ", " \n", number, sizeof number)
        || !copy_behind(line, len, " of ", "\n", file, sizeof file))
        return;
    size_t n = strlen(file);
    if (n > 0 && file[n - 1] == ':')
        file[n - 1] = '\0';
    if (strcmp(file, "input.cl") == 0)
        return;
    snprintf(m->file, sizeof m->file, "%s", file);
    m->line = (unsigned)strtoul(number, NULL, 10);
    if (copy_behind(line, len, "(column ", ")", number, sizeof number))
        m->column = (unsigned)strtoul(number, NULL, 10);
}

/* yoke_atomic_addf() reads what another is just about to change, and tries again then: that is no race. Only atomic operations
 * of the dialect touch memory at all, and those do not race with each other. */
static bool is_within_dialect(const message *m)
{
    return m->line == 0 && strstr(m->what, "race");
}

/* Reads one message at p; returns where the next may be. What is no message has no kernel. */
static const char *read_message(const char *p, message *m)
{
    size_t len = strcspn(p, "\n"), what = len;
    *m = (message){.line = 0};
    const char *address = memmem(p, len, " address 0x", 11);
    if (address)
        what = (size_t)(address - p);
    snprintf(m->what, sizeof m->what, "%.*s", (int)YK_MIN(what, sizeof m->what - 1), p);
    for (p += len + (p[len] == '\n'); *p == '\t' || (*p == '\n' && p[1] == '\t'); p += len + (p[len] == '\n')) {
        len = strcspn(p, "\n");
        read_kernel(p, len, m);
        read_place(p, len, m);
        if (!*m->item)
            copy_behind(p, len, "ntity:", " \n", m->item, sizeof m->item);
    }
    return p;
}

static void note(findings *f, const message *m)
{
    for (size_t i = 0; i < f->n; i++) {
        const message *there = &f->list[i].m;
        if (there->line == m->line && there->column == m->column && strcmp(there->kernel, m->kernel) == 0
            && strcmp(there->what, m->what) == 0) {
            f->list[i].times++;
            return;
        }
    }
    if (f->n < FINDINGS_MOST)
        f->list[f->n++] = (finding){*m, 1};
}

static void read_messages(const char *text, findings *f)
{
    for (const char *p = text; *p;) {
        message m;
        if (*p == '\n') {
            p++;
            continue;
        }
        p = read_message(p, &m);
        if (*m.kernel && !is_within_dialect(&m))
            note(f, &m);
    }
}

/* ---- Lines ---- */

/* Whether a message's file is the kernel's: the compiler leaves out of a path what it has in common with the working folder. */
static bool is_file_of(const yoke_kernel *k, const char *file)
{
    size_t n = strlen(k->file), m = strlen(file);
    return m > 0 && m <= n && strcmp(k->file + n - m, file) == 0 && (m == n || k->file[n - m - 1] == '/');
}

/* Lines of the text that yoke has written itself are no lines of the user's file. */
static void put_finding(const yoke_kernel *k, const finding *f, yk_buf *out)
{
    bool known = f->m.line > 0 && is_file_of(k, f->m.file);
    unsigned line = !known ? k->line : f->m.line == k->line ? yk_place_find(k, f->m.column) : f->m.line;
    yk_buf_printf(out, "%s: oclgrind: %s:%u: %s", k->name, k->file, line, f->m.what);
    if (*f->m.item)
        yk_buf_printf(out, ", first by item %s", f->m.item);
    if (f->times > 1)
        yk_buf_printf(out, "; %u times", f->times);
    yk_buf_text(out, "\n");
}

static unsigned put_findings(const yoke_kernel *k, const findings *f, yk_buf *out)
{
    unsigned put = 0;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->list[i].m.kernel, k->name) == 0) {
            put_finding(k, &f->list[i], out);
            put++;
        }
    return put;
}

/* ---- Running it ---- */

/* well: it has been run to its end. */
typedef struct watched {
    yk_buf *out;
    bool well, failed;
} watched;

static void hear(void *arg, size_t kernel, char mark, const char *text)
{
    watched *w = arg;
    (void)kernel;
    w->well |= mark == '+';
    w->failed |= mark == '-';
    if (mark != '+')
        yk_buf_printf(w->out, "%s\n", text);
}

/* One kernel: the simulator has had enough after a number of messages, and another kernel's may be missing then. 0 or a negative
 * code with why. */
static int simulate(const yk_check *c, const yk_listener *l, const yoke_kernel *k, unsigned *failed, yk_buf *out, yk_buf *why)
{
    static finding list[FINDINGS_MOST]; /* of one thread: this command's */
    yk_check check = *c;
    yk_buf messages = {0};
    watched w = {.out = out};
    yk_listener listener = *l;
    findings f = {.list = list};
    check.name = k->name;
    listener.arg = &w;
    listener.messages = &messages;
    int err = yk_run_kernels(&check, 1, &listener, why);
    if (err == 0) {
        read_messages(yk_buf_str(&messages), &f);
        w.failed |= put_findings(k, &f, out) > 0;
        if (w.well && !w.failed)
            yk_buf_printf(out, "%s: oclgrind: no race, nothing out of bounds\n", k->name);
        *failed += w.failed;
    }
    yk_buf_done(&messages);
    return err;
}

void yk_simulate(const yk_check *c, yoke_kernel *const *list, size_t n, unsigned *failed, yk_buf *out)
{
    char program[PATH_MAX], driver[] = "YOKE_OPENCL_DRIVER=libOpenCL.so";
    if (!find_on_path("oclgrind", program)) {
        yk_buf_text(out, "oclgrind: not installed (apt-get install oclgrind): races and bounds not checked\n");
        return;
    }
    const char *const front[] = {program, "--data-races", "--max-errors", "200", NULL};
    char **environment = environment_for(driver);
    yk_listener l = {.front = front, .environment = environment, .verdict = hear};
    yk_check check = *c;
    yk_buf why = {0};
    check.simulated = true;
    check.devices = "opencl:0";
    check.timeout /= 4; /* it has most of its work done when that is over, or none */
    int err = environment ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && err == 0; i++)
        err = simulate(&check, &l, list[i], failed, out, &why);
    if (err < 0)
        yk_buf_printf(out, "oclgrind: %s cannot be used, races and bounds are not checked: %s\n", program,
                      why.len ? yk_buf_str(&why) : yoke_strerror(err));
    free(environment);
    yk_buf_done(&why);
}
