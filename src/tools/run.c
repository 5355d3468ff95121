/* run: one call of one task, its arguments from the command line, its result as JSON. */
#include "tools/commands.h"
#include "tools/map.h"
#include "tools/target.h"
#include "exec/exec.h"
#include <stdio.h>
#include <unistd.h>

/* A worker process takes well under a millisecond to start, and turns a crash of the task into a line that names it. */
#define DEFAULT_EXECUTOR "processes:1"

typedef struct run_values {
    const char *on;
    int64_t timeout, retries;
    bool raw, nonfinite, base64;
} run_values;

/* ---- Arguments ---- */

/* The parameters that may be meant: those that have no argument yet. */
typedef struct free_params {
    const yoke_task *task;
    const bool *given;
} free_params;

static const char *param_name_at(void *ctx, size_t i)
{
    const free_params *f = ctx;
    return i == f->task->nparams ? NULL : f->given[i] ? "" : f->task->params[i].name;
}

static int param_index(const yoke_task *t, const char *name, size_t len)
{
    for (unsigned i = 0; i < t->nparams; i++)
        if (strlen(t->params[i].name) == len && memcmp(t->params[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

/* A word like nett=5 that is no argument by name. */
static int no_such_name(const yoke_task *t, const char *word, const bool *given, yk_error *e)
{
    char name[64] = "";
    size_t len = strcspn(word, "=");
    memcpy(name, word, YK_MIN(len, sizeof name - 1));
    free_params names = {t, given};
    const char *near = yk_nearest(name, param_name_at, &names);
    if (near)
        return yk_errorf(e, EINVAL, "%s has no argument \"%s\"; did you mean \"%s\"?", t->name, name, near);
    return yk_errorf(e, EINVAL, "%s has no argument \"%s\" (it is %s)", t->name, name, yoke_signature(t));
}

static bool is_name_first(const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t len = strspn(word, letters);
    return len > 0 && word[len] == '=' && !(*word >= '0' && *word <= '9');
}

static int missing(const yoke_task *t, unsigned i, yk_error *e)
{
    const yoke_param *p = &t->params[i];
    return yk_errorf(e, EINVAL, "argument %u \"%s\" (%s) of %s is missing", i + 1, p->name, yk_code_name(p->code), t->name);
}

static int fill_words(const yoke_task *t, yk_job *job, const char *const *words, size_t n, unsigned flags, yk_error *e)
{
    bool given[16] = {false};
    size_t position = 0;
    if (t->defaults)
        t->defaults(job->args);
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(words[i], '='), *text = words[i];
        int index = equals ? param_index(t, words[i], (size_t)(equals - words[i])) : -1;
        if (index >= 0) {
            text = equals + 1;
        } else {
            while (position < t->nparams && given[position])
                position++;
            if (position == t->nparams && is_name_first(words[i]))
                return no_such_name(t, words[i], given, e);
            if (position == t->nparams)
                return yk_errorf(e, EINVAL, "%s takes %u argument%s; \"%s\" is too many", t->name, t->nparams,
                                 t->nparams == 1 ? "" : "s", words[i]);
            index = (int)position;
        }
        if (given[index])
            return yk_errorf(e, EINVAL, "argument \"%s\" of %s is given twice", t->params[index].name, t->name);
        int err = yk_json_word(t, (unsigned)index, text, strlen(text), flags, &job->region, job->args, e);
        if (err < 0)
            return text == words[i] && is_name_first(text) ? no_such_name(t, text, given, e) : err;
        given[index] = true;
    }
    for (unsigned i = 0; i < t->nparams; i++)
        if (!given[i] && !t->params[i].has_default)
            return missing(t, i, e);
    return 0;
}

static int read_stdin(yk_buf *text)
{
    for (;;) {
        char *room = yk_buf_room(text, 65536);
        ssize_t n = room ? yk_sys.read(STDIN_FILENO, room, 65536) : 0;
        if (!room)
            return -ENOMEM;
        if (text->len > YOKE_JSON_MAX)
            return -EFBIG;
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        text->len += n > 0 ? (size_t)n : 0;
    }
}

/* True when the one word is a whole argument list, and not text that looks like one. */
static bool is_list(const yoke_task *t, const char *word)
{
    word += strspn(word, " \t\n\r");
    return (*word == '[' || *word == '{') && !yk_map_takes_text(t);
}

/* Arguments given at once: as one JSON word; the rule for a task of one string is that of `yoke map`. */
static int read_whole(const yoke_task *t, yk_job *job, const char *word, unsigned flags, yk_error *e)
{
    return yk_map_takes_text(t) ? yk_map_json_text(t, word, strlen(word), flags, &job->region, job->args, e) : 0;
}

static int fill(const yoke_task *t, yk_job *job, const char *const *words, size_t n, unsigned flags, yk_error *e)
{
    if (n == 1 && strcmp(words[0], "-") == 0) {
        yk_buf text = {0};
        int err = read_stdin(&text);
        if (err < 0)
            yk_errorf(e, err, "cannot read stdin: %s", yoke_strerror(err));
        else
            err = yk_json_args(t, text.ptr ? text.ptr : "", text.len, flags, &job->region, job->args, e);
        yk_buf_done(&text);
        return err;
    }
    int whole = n == 1 ? read_whole(t, job, words[0], flags, e) : 0;
    if (whole != 0)
        return YK_MIN(whole, 0);
    if (n == 1 && is_list(t, words[0]))
        return yk_json_args(t, words[0], strlen(words[0]), flags, &job->region, job->args, e);
    return fill_words(t, job, words, n, flags, e);
}

/* ---- The result ---- */

static int print_result(yk_job *job, const run_values *v, unsigned flags)
{
    yk_buf out = {0};
    yk_error e;
    unsigned code = job->task->ret_code;
    if (v->raw && code == YOKE_CSTR) {
        yk_buf_text(&out, *(const char *const *)job->ret);
    } else if (v->raw && (code == YOKE_STR || code == YOKE_BYTES || code == YOKE_JSON)) {
        const yoke_str *s = job->ret;
        yk_buf_put(&out, s->ptr, s->len);
    } else if (yk_json_result(job->task, job->args, job->ret, flags, &out, &e) < 0) {
        yk_buf_done(&out);
        return yk_complain(1, "%s", e.text);
    }
    if (!(v->raw && code == YOKE_BYTES))
        yk_buf_char(&out, '\n');
    return yk_write_out(&out);
}

static int await(yk_job *job, const run_values *v, unsigned flags)
{
    int err = yoke_wait(job);
    if (err == 0)
        return print_result(job, v, flags);
    return yk_complain(err == -ETIMEDOUT ? 124 : 1, "%s", yoke_error(job));
}

static int run_run(void *values, const yk_words *operands)
{
    run_values *v = values;
    yk_target target;
    yk_error e;
    if (yk_results_closed())
        return yk_complain(1, "cannot write the result: standard output is closed");
    int code = yk_results_take();
    if (code < 0)
        return yk_complain(3, "cannot keep standard output apart from what the task prints: %s", yoke_strerror(code));
    code = yk_target_open(operands->v[0], &target);
    if (code != 0)
        return code;
    if (yk_json_callable(target.task, &e) < 0) {
        yk_target_close(&target);
        return yk_complain(2, "%s", e.text);
    }
    const char *uri = v->on ? v->on : DEFAULT_EXECUTOR;
    unsigned flags = (v->nonfinite ? YOKE_JSON_NONFINITE : 0u) | (v->base64 ? YOKE_JSON_BASE64 : 0u);
    yk_prepare_crashes();
    yoke_executor *ex = yoke_open(uri);
    yk_job *job = yoke_executor_status(ex) == 0 ? yk_job_new(ex, target.task) : NULL;
    if (yoke_executor_status(ex) < 0) {
        code = yk_complain(yoke_executor_status(ex) == -EINVAL ? 2 : 3, "%s", yoke_executor_error(ex));
    } else if (!job) {
        code = yk_complain(1, "out of memory");
    } else if (fill(target.task, job, operands->v + 1, operands->n - 1, flags, &e) < 0) {
        code = yk_complain(2, "%s", e.text);
        atomic_store(&job->seen, true);
        yk_job_refuse(job, e.code, e.text);
    } else {
        if (!(ex->type->capabilities & YK_ISOLATED))
            yk_watch_crashes();
        yoke_opts opts = {.timeout = v->timeout, .retries = (uint32_t)YK_MIN(v->retries, (int64_t)UINT32_MAX)};
        yk_job_submit(job, &opts);
        code = await(job, v, flags);
    }
    yoke_release(job);
    if (code == 124 && !(ex->type->capabilities & YK_CAN_KILL))
        _exit(code); /* a thread that cannot be interrupted may be running yet; everything has been written */
    yoke_close(ex);
    yk_target_close(&target);
    return code;
}

static const yk_option run_options[] = {
    {.name = "on",
     .kind = YK_OPT_TEXT,
     .metavar = "URI",
     .likely = YK_EXECUTORS,
     .help = "inline, threads, async, processes[:N][:DEV], cuda, opencl, gpu, cpu (default " DEFAULT_EXECUTOR ")",
     .offset = offsetof(run_values, on)},
    {.name = "timeout",
     .letter = 't',
     .kind = YK_OPT_DURATION,
     .metavar = "TIME",
     .help = "give up after this long: 200ms, 10s, 2m, or seconds; 0: never",
     .offset = offsetof(run_values, timeout)},
    {.name = "retries",
     .kind = YK_OPT_NUMBER,
     .metavar = "N",
     .help = "try again up to N times when the task fails",
     .offset = offsetof(run_values, retries)},
    {.name = "raw",
     .letter = 'r',
     .kind = YK_OPT_FLAG,
     .help = "print a text or bytes result as it is, not as JSON",
     .offset = offsetof(run_values, raw)},
    {.name = "nonfinite",
     .kind = YK_OPT_FLAG,
     .help = YK_HELP_NONFINITE,
     .offset = offsetof(run_values, nonfinite)},
    {.name = "base64",
     .kind = YK_OPT_FLAG,
     .help = "print arrays as {\"shape\":...,\"base64\":...}",
     .offset = offsetof(run_values, base64)},
    {.name = NULL}};

static const yk_example run_examples[] = {
    {"yoke run integrate.c:integrate 0 1 1000", "arguments in order; what is left out takes its default"},
    {"yoke run integrate.c:integrate a=0 b=1", "arguments by name"},
    {"yoke run integrate.c:integrate '[0, 1, 1000]'", "all arguments as one JSON array or object"},
    {"yoke run squares.c:squares '[1,2,3]' 3", "an array that is only written (out) is given by its shape"},
    {"echo '{\"a\":0,\"b\":1}' | yoke run integrate.c:integrate -", "the same from stdin"},
    {"yoke run --on inline integrate.c:integrate 0 1", "in this very process, for a debugger"},
    {NULL, NULL}};

const yk_command yk_command_run = {
    .name = "run",
    .summary = "run one task and print its result as JSON",
    .operands = "FILE:TASK [ARG...]",
    .description =
        "FILE is a .c, compiled first if it has changed, or a .so. :TASK may be left out when the file has one task. A line "
        "\"// yoke-flags: -lm\" in a .c adds flags for the compiler and the linker.\n\n"
        "A text parameter takes its word as it is, byte for byte; every other type reads it as JSON. NAME=VALUE gives "
        "a parameter by name, to text too: s=abc is the text abc if there is a parameter s, and s=s=abc is the text s=abc. "
        "One word that is a JSON array or object gives all arguments; a single - reads it from stdin. For a task of one "
        "array, [1,2,3] is the array, as [[1,2,3]] is. For a task "
        "of one string a word is taken as text unless it is exactly an array of one string, or an object with the "
        "parameter's name as its one "
        "key; NAME=VALUE makes any word text; yoke map reads its records in the same way. What a single - reads is always JSON. "
        "A struct has no JSON form: one with a default is left out; a task with any other, or with a struct as its result, can "
        "be called from C only. "
        "A word that begins with - and is no option goes after --.\n\n" YK_ABOUT_ARRAYS
        "Stdout holds the result and nothing else: what a task prints there (printf) goes to stderr, as if the command had been "
        "run with 1>&2, on every executor.\n\n"
        "The task runs in a process of its own unless --on says otherwise, so that a crash, a call of exit() or a timeout ends "
        "in one "
        "line that says what happened.",
    .examples = run_examples,
    .options = run_options,
    .exit_codes = "0 done\n1 the task failed\n2 wrong usage or arguments\n3 the executor could not start\n124 timed out\n130 "
                  "interrupted\n",
    .least = 1,
    .most = SIZE_MAX,
    .size = sizeof(run_values),
    .run = run_run,
};
