/* map: the command line of `yoke map FILE:TASK`: the table of its options, and what they mean together. */
#include "tools/map.h"
#include "tools/commands.h"
#include "tools/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Isolated by default: a record that crashes its task costs that record. */
#define DEFAULT_EXECUTOR "processes"

typedef struct map_values {
    const char *on, *jobs, *input, *joblog, *halt, *summary, *trace, *errors;
    int64_t retries, timeout, delay;
    yk_words files;
    bool null, unordered, resume, resume_failed, dry_run, progress, no_progress, nonfinite, base64, quiet, json;
} map_values;

#define AT(field) .offset = offsetof(map_values, field)
static const yk_option map_options[] = {
    {.name = "on", .kind = YK_OPT_TEXT, .metavar = "URI", .likely = YK_EXECUTORS, AT(on),
     .help = "inline, threads[:N], async, processes[:N][:DEV], cuda, opencl, gpu, cpu (default " DEFAULT_EXECUTOR ")"},
    {.name = "jobs", .letter = 'j', .kind = YK_OPT_TEXT, .metavar = "N", AT(jobs),
     .help = "how many at the same time, instead of the :N of the executor"},
    {.name = "arg-file", .letter = 'a', .kind = YK_OPT_LIST, .metavar = "FILE", .files = true, AT(files),
     .help = "read records from FILE; may be given again; - is stdin"},
    {.name = "input", .kind = YK_OPT_CHOICE, .choices = "auto|json|text", AT(input),
     .help = "what a record is; auto: text for a task of one string, else JSON"},
    {.name = "null", .letter = '0', .kind = YK_OPT_FLAG, AT(null), .help = "records end with NUL instead of a newline"},
    {.name = "unordered", .letter = 'u', .kind = YK_OPT_FLAG, AT(unordered),
     .help = "write results as they come, not in the order of the records"},
    {.name = "joblog", .kind = YK_OPT_TEXT, .metavar = "FILE", .files = true, AT(joblog),
     .help = "log every record that has ended, as GNU parallel does; without --resume FILE is overwritten"},
    {.name = "resume", .kind = YK_OPT_FLAG, AT(resume), .help = "skip the records that the job log has, and append to it"},
    {.name = "resume-failed", .kind = YK_OPT_FLAG, AT(resume_failed), .help = "skip only those that succeeded"},
    {.name = "retries", .kind = YK_OPT_NUMBER, .metavar = "N", AT(retries),
     .help = "try a failed record up to N times more (GNU parallel counts all tries)"},
    {.name = "timeout", .letter = 't', .kind = YK_OPT_DURATION, .metavar = "TIME", AT(timeout),
     .help = "longest time of one try: 500ms, 10s, 5m or seconds; 0: any; only on processes is it killed"},
    {.name = "delay", .kind = YK_OPT_DURATION, .metavar = "TIME", AT(delay),
     .help = "pause between two starts, as for --timeout"},
    {.name = "halt", .kind = YK_OPT_TEXT, .metavar = "WHEN", AT(halt),
     .likely = "soon,fail=1|now,fail=1|soon,success=1|now,success=1|soon,done=1|now,done=1|never",
     .help = "stop early: now|soon,fail|success|done=N or N% of the records; never: do not"},
    {.name = "dry-run", .letter = 'n', .kind = YK_OPT_FLAG, AT(dry_run),
     .help = "print the commands that would run the records one by one"},
    {.name = "progress", .kind = YK_OPT_FLAG, AT(progress), .help = "show progress even if stderr is not a terminal"},
    {.name = "no-progress", .kind = YK_OPT_FLAG, AT(no_progress), .help = "show none"},
    {.name = "summary", .kind = YK_OPT_TEXT, .metavar = "FILE", .optional = true, .files = true, AT(summary),
     .help = "at the end write counts and times as one JSON object, to stderr or FILE"},
    {.name = "trace", .kind = YK_OPT_TEXT, .metavar = "FILE", .files = true, AT(trace),
     .help = "write a timeline for Perfetto or chrome://tracing"},
    {.name = "errors", .kind = YK_OPT_CHOICE, .choices = "stderr|inline", AT(errors),
     .help = "failed records: a line on stderr, or an object in place of the result"},
    {.name = "nonfinite", .kind = YK_OPT_FLAG, AT(nonfinite), .help = YK_HELP_NONFINITE},
    {.name = "base64", .kind = YK_OPT_FLAG, AT(base64), .help = "write arrays as {\"shape\":...,\"base64\":...}"},
    {.name = "quiet", .letter = 'q', .kind = YK_OPT_FLAG, AT(quiet),
     .help = "no line for each failed record, only their number at the end"},
    {.name = "json", .kind = YK_OPT_FLAG, AT(json), .help = "error lines are JSON objects"},
    {.name = NULL}};

/* ---- What options mean together ---- */

/* How wide the executor can be; a scheme that does not exist is told when it is opened. */
static unsigned long most_jobs(const char *scheme, size_t len)
{
    for (const yk_executor_type *t = yk_executor_types(); t; t = t->next)
        if (strlen(t->scheme) == len && memcmp(t->scheme, scheme, len) == 0)
            return t->most;
    return 4096;
}

/* The executor's URI with the width of -j; freed by the caller. NULL after saying what is wrong. What stands in it behind the
 * width stays, as the device of "processes:2:cuda:0". */
static char *make_uri(const map_values *v)
{
    const char *on = v->on ? v->on : DEFAULT_EXECUTOR;
    size_t scheme = strcspn(on, ":"), len = strlen(on), digits = on[scheme] ? strspn(on + scheme + 1, "0123456789") : 0;
    const char *rest = on + scheme + (on[scheme] ? 1 + digits : 0);
    char *end = NULL;
    unsigned long width = v->jobs ? strtoul(v->jobs, &end, 10) : 0, most = most_jobs(on, scheme);
    if (v->jobs && (*v->jobs < '0' || *v->jobs > '9' || *end || width < 1 || width > most)) {
        if (most == 1)
            yk_complain(2, "--jobs: %.*s runs one record at a time, got \"%s\"", (int)scheme, on, v->jobs);
        else
            yk_complain(2, "--jobs: expected a number from 1 to %lu for %.*s, got \"%s\"", most, (int)scheme, on, v->jobs);
        return NULL;
    }
    char *uri = yk_sys.malloc(len + 32);
    if (!uri) {
        yk_complain(1, "out of memory");
        return NULL;
    }
    if (!v->jobs || most == 1)
        memcpy(uri, on, len + 1);
    else
        snprintf(uri, len + 32, "%.*s:%lu%s%s", (int)scheme, on, width, *rest && *rest != ':' ? ":" : "", rest);
    return uri;
}

static int set_modes(const map_values *v, yk_map_config *c)
{
    c->input = !v->input || strcmp(v->input, "auto") == 0 ? YK_INPUT_AUTO : strcmp(v->input, "json") == 0 ? YK_INPUT_JSON
                                                                                                          : YK_INPUT_TEXT;
    c->errors_inline = v->errors && strcmp(v->errors, "inline") == 0;
    c->resume = v->resume_failed ? YK_RESUME_FAILED : v->resume ? YK_RESUME_ALL : YK_RESUME_NOT;
    c->progress = v->no_progress ? 0 : v->progress ? 1 : -1;
    c->json_flags = (v->nonfinite ? YOKE_JSON_NONFINITE : 0u) | (v->base64 ? YOKE_JSON_BASE64 : 0u);
    c->opts = (yoke_opts){.retries = (uint32_t)YK_MIN(v->retries, (int64_t)UINT32_MAX), .timeout = v->timeout};
    c->summary = v->summary != NULL;
    c->summary_file = v->summary && *v->summary ? v->summary : NULL;
    yk_error e;
    if (v->halt && yk_halt_parse(&c->halt, v->halt, &e) < 0)
        return yk_complain(2, "%s (see yoke map --help)", e.text);
    if (c->halt.when != YK_HALT_NEVER && c->halt.why == YK_HALT_DONE && c->halt.count == 0 && !c->words)
        return yk_complain(2, "--halt %s: how many records there are is known only of those after :::; write done=N, not a "
                           "percentage, for records from stdin or -a FILE", v->halt);
    if ((v->resume || v->resume_failed) && !v->joblog)
        return yk_complain(2, "--resume needs --joblog FILE, the log to go on from");
    return 0;
}

/* FILE:TASK, and what follows ":::". */
static int set_operands(const map_values *v, const yk_words *operands, yk_map_config *c)
{
    c->target = operands->v[0];
    if (operands->n > 1 && strcmp(operands->v[1], ":::") != 0)
        return yk_complain(2, "unexpected \"%s\": records follow :::, or come from -a FILE or stdin", operands->v[1]);
    if (operands->n > 1) {
        c->words = operands->v + 2;
        c->nwords = operands->n - 2;
    }
    for (size_t i = 0; i < c->nwords; i++)
        if (strcmp(c->words[i], ":::") == 0)
            return yk_complain(2, "only one ::: is possible; for a task of several parameters write each record as a JSON array");
    if (c->words && v->files.n > 0)
        return yk_complain(2, "records come from -a FILE or after :::, not from both");
    return 0;
}

/* Nobody should wait for a command that waits for them. */
static void tell_terminal(const yk_map_config *c)
{
    bool reads = !c->words && c->npaths == 0;
    for (size_t i = 0; i < c->npaths; i++)
        reads |= strcmp(c->paths[i], "-") == 0;
    if (reads && !c->quiet && isatty(STDIN_FILENO))
        fputs("yoke: reading records from the terminal, one a line; Ctrl-D ends them\n", stderr);
}

/* Options come first; but others read them anywhere. */
static void tell_of_option(const yk_map_config *c)
{
    size_t i = 0;
    while (i < c->nwords && !yk_option_is(&yk_command_map, c->words[i]))
        i++;
    if (i < c->nwords && !c->quiet)
        fprintf(stderr, "yoke: %.*s is a record, as all that follows :::; options go before it\n",
                (int)strcspn(c->words[i], "="), c->words[i]);
}

static int run_records(const yk_map_config *c)
{
    tell_terminal(c);
    tell_of_option(c);
    return yk_map_run(c);
}

static int run_map(void *values, const yk_words *operands)
{
    map_values *v = values;
    yk_map_config c = {.null = v->null, .unordered = v->unordered, .quiet = v->quiet, .json = v->json, .dry_run = v->dry_run,
                       .on = v->on,
                       .joblog = v->joblog, .trace = v->trace, .delay = v->delay, .paths = v->files.v, .npaths = v->files.n};
    int code = set_operands(v, operands, &c);
    if (code == 0)
        code = set_modes(v, &c);
    char *uri = code == 0 ? make_uri(v) : NULL;
    if (!uri)
        return code == 0 ? 2 : code;
    c.uri = uri;
    yk_target target = {0};
    code = yk_results_take();
    if (code < 0)
        code = yk_complain(3, "cannot keep standard output apart from what tasks print: %s", yoke_strerror(code));
    else
        code = yk_target_open(c.target, &target);
    if (code == 0 && target.task) {
        yk_error e;
        c.task = target.task;
        if (yk_json_callable(c.task, &e) < 0)
            code = yk_complain(2, "%s", e.text);
        else if (c.input == YK_INPUT_TEXT && !yk_map_takes_text(c.task))
            code = yk_complain(2, "--input text needs a task of one string, but %s is %s", c.task->name, yoke_signature(c.task));
        else
            code = run_records(&c);
        yk_target_close(&target);
    }
    free(uri);
    return code;
}

static const yk_example map_examples[] = {
    {"seq 10 | yoke map square.c:square", "each line is the one argument"},
    {"yoke map integrate.c:integrate ::: '[0, 1]' '{\"a\": 1, \"b\": 2}'",
     "records as words: JSON arrays by position, objects by name"},
    {"yoke map --joblog log --resume -a in.jsonl integrate.c:integrate > out.jsonl", "go on where an earlier run stopped"},
    {"find . -type f -print0 | yoke map -0 manifest.c:entry", "any file name is one record"},
    {NULL, NULL}};

const yk_command yk_command_map = {
    .name = "map",
    .summary = "run a task over records, in parallel, and write the results as JSON lines",
    .operands = "FILE:TASK [::: RECORD...]",
    .description =
        "Reads records from stdin, from the files of -a, or from the words after :::, and runs the task once for "
        "each, several at a "
        "time. All words after ::: are records, also those that look like options; a line on stderr tells of the first that "
        "does, unless -q is given. A line \"// yoke-flags: -lm\" in FILE adds flags for the compiler and the linker. "
        "Results are JSON, one line each, on stdout in the order of the records.\n\n"
        "A record is a line: a JSON array of arguments by position, a JSON object of arguments by name, any other "
        "JSON value for a task "
        "of one parameter, or plain text for a task of one string. For such a task a line is taken as text unless it "
        "is exactly an array "
        "of one string, or an object with the parameter's name as its one key, as a word of yoke run is; --input says "
        "otherwise. "
        "A struct has no JSON form: one with a default is left out, and a task with any other, or with a struct as its result, "
        "is refused before any record runs. "
        "When such JSON says what the task cannot be given, as a NUL for const char *, the record fails.\n\n" YK_ABOUT_ARRAYS
        "Stdout holds results and nothing else: what a task prints there (printf) goes to stderr, on every executor. So does "
        "/dev/stdout as the FILE of an option; --summary=- is the real one. "
        "A reader that closes it early, as head does, ends the run with a line on stderr and status 1, since records may have "
        "been left out.\n\n"
        "A record that fails is one line on stderr with its number, and the rest go on. On inline and threads a task that "
        "crashes "
        "or calls exit() or _exit() ends the whole command, with a line that names it and never with status 0, once what has "
        "ended is written; on processes it costs its record. Memory stays bounded whatever "
        "the input's length. "
        "The first interrupt (SIGINT, SIGHUP) finishes what runs and writes the job log, the second stops at once, as the first "
        "SIGTERM does; results of what has ended are written all the same. With --halt no more records are under way than run at "
        "once, when the next may be the last: where records take microseconds, it is slower.\n\n"
        "--timeout ends what it can. On processes the worker is killed. On threads the record fails, and its thread goes on "
        "until the task returns, since nothing can end it: a task that may take long asks yoke_cancelled(). When all threads "
        "are held by such records, and others wait, for as long again (and for 1 s at least), the command ends with status 1 "
        "and says how many records were not run. On inline a timeout is noticed when the task returns or asks "
        "yoke_cancelled().\n\n"
        "--halt now,fail=1 stops all at the first failure, and soon lets what runs end; success counts what succeeds, done "
        "both. N% is of all records when these follow :::. Of records from stdin or -a FILE nobody knows how many there are: "
        "then it is of those that have ended, and not before 3 have ended, as one failure of one would be 100%; and done=N% "
        "is refused. never, the default, runs all.\n\n"
        "A TIME is a number with ns, us, ms, s, m, h or d after it, or a number of seconds; 0 as --timeout is no limit.\n\n"
        "--dry-run shows how each record would run: with the options that say what the record means, and those of its executor. "
        "The Command of a job log has only the former.\n\n"
        "The job log has the columns of GNU parallel's --joblog, which can resume from it, and the reverse. Starttime and "
        "JobRuntime are those of the last attempt, when there were --retries. A file that is there already is emptied unless "
        "--resume or --resume-failed is given. A row is on disk only after its "
        "result has been written, so --resume after a crash may run a record again but never leaves one out. "
        "Records are told by their number alone, as GNU parallel does: resume with the task and the input of the first run.",
    .examples = map_examples,
    .options = map_options,
    .exit_codes = "0 every record succeeded\n"
                  "1 some records failed, or something could not be written\n2 wrong usage, or input that cannot be read\n"
                  "3 the executor could not start\n130 interrupted\n",
    .least = 1,
    .most = SIZE_MAX,
    .stop = ":::",
    .size = sizeof(map_values),
    .run = run_map,
};
