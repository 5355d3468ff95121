/* trees [SEED]: runs the programs of trees_lang.py in coroutines, on the virtual clock, and writes the same log as trees_trio.py.
 *
 * Reads `tree NAME`, a program's lines, `end`, again and again from the standard input; writes `tree NAME` and the log of each.
 * With a seed what can go on at once does so in an order of that seed's.
 *
 * A statement is a function that returns 0, -ECANCELED, or the negative code of an error, as code in coroutines does. */
#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <yoke/async.h>
#include <yoke/testing.h>

typedef struct node node;
typedef struct task task;
typedef int statement(task *t, const node *n);

struct node {
    statement *run;
    int64_t a, b, c;
    node *next, *block, *then;
};

/* What has an id: a scope, or a group and its scope, while it is open; a task, its log and the code that it runs. */
struct task {
    int id;
    const node *code;
    yk_buf log;
    yoke_scope *scope;
    yoke_group *group;
};

enum { IDS = 1000, MOST = 100 };
static task *things; /* one for each id of the program */
static int64_t zero;

static void note(task *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(task *t, const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    yk_buf_printf(&t->log, "%d %lld %s\n", t->id, (long long)(yoke_now() - zero), line);
}

static bool error(int code)
{
    return code < 0 && code != -ECANCELED;
}

/* A code as the log has it. */
static const char *outcome(int code)
{
    static char text[16];
    snprintf(text, sizeof text, "%d", -code);
    return code == -ECANCELED ? "cancelled" : text;
}

static int run(task *t, const node *block)
{
    int e = 0;
    for (; block && !e; block = block->next)
        e = block->run(t, block);
    return e;
}

/* ---- Statements ---- */

static int waited(task *t, const char *what, int e)
{
    note(t, "%s %s", what, outcome(e));
    return e;
}

static int do_sleep(task *t, const node *n)
{
    return waited(t, "sleep", yoke_sleep(n->a));
}

static int do_yield(task *t, const node *n)
{
    return waited(t, "yield", yoke_yield());
}

static int do_check(task *t, const node *n)
{
    return waited(t, "check", yoke_checkpoint());
}

static int do_fail(task *t, const node *n)
{
    return -(int)n->a;
}

static int do_ask(task *t, const node *n)
{
    int64_t deadline = yoke_effective_deadline();
    if (deadline <= yoke_now())
        note(t, "ask -inf");
    else if (deadline == YOKE_FOREVER)
        note(t, "ask inf");
    else
        note(t, "ask %lld", (long long)(deadline - zero));
    return 0;
}

static int do_cancel(task *t, const node *n)
{
    task *of = &things[n->a];
    note(t, "cancel %d %d", of->id, of->scope != NULL);
    if (of->group)
        yoke_group_cancel(of->group);
    else if (of->scope)
        yoke_scope_cancel(of->scope);
    return 0;
}

static int do_shield(task *t, const node *n)
{
    task *of = &things[n->a];
    note(t, "shield %d %d", of->id, of->scope != NULL);
    if (of->scope)
        yoke_scope_set_shield(of->scope, n->b != 0);
    return 0;
}

static int do_deadline(task *t, const node *n)
{
    task *of = &things[n->a];
    note(t, "deadline %d %d", of->id, of->scope != NULL);
    if (of->scope)
        yoke_scope_set_deadline(of->scope, n->b == YOKE_FOREVER ? YOKE_FOREVER : yoke_now() + n->b);
    return 0;
}

static int do_swallow(task *t, const node *n)
{
    int e = run(t, n->block);
    if (e != -ECANCELED)
        return e;
    note(t, "swallow");
    return 0;
}

static int do_catch(task *t, const node *n)
{
    int e = run(t, n->block);
    if (!error(e))
        return e;
    note(t, "catch %s", outcome(e));
    return 0;
}

static int do_finally(task *t, const node *n)
{
    int first = run(t, n->block);
    note(t, "then");
    int second = run(t, n->then);
    return error(first) || (!error(second) && first) ? first : second;
}

static void begin(yoke_scope *s, int64_t ns, bool shield)
{
    if (ns != YOKE_FOREVER && shield)
        yoke_shield_begin_timed(s, ns);
    else if (ns != YOKE_FOREVER)
        yoke_scope_begin_timed(s, ns);
    else
        yoke_scope_begin(s);
    if (ns == YOKE_FOREVER && shield)
        yoke_scope_set_shield(s, true);
}

static int do_scope(task *t, const node *n)
{
    yoke_scope s;
    task *of = &things[n->a];
    note(t, "enter %d", of->id);
    begin(&s, n->b, n->c != 0);
    of->scope = &s;
    int e = run(t, n->block);
    of->scope = NULL;
    bool called = yoke_scope_cancelled(&s);
    int caught = yoke_scope_end(&s);
    note(t, "leave %d %d %s", of->id, called, caught == -ETIMEDOUT ? "timeout" : outcome(caught));
    return e == -ECANCELED && caught ? 0 : e;
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The codes of a group's errors, sorted, and the smallest. */
static int failures(int *codes, int n, int end, yk_buf *text)
{
    bool there = n == 0;
    for (int i = 0; i < n; i++) {
        codes[i] = -codes[i];
        there |= codes[i] == -end;
    }
    qsort(codes, (size_t)n, sizeof *codes, ascending);
    for (int i = 0; i < n; i++)
        yk_buf_printf(text, "%s%d", i ? "," : "", codes[i]);
    if (n == 0)
        yk_buf_text(text, "0");
    if (!there || (n == 0 && error(end)))
        yk_buf_printf(text, " but the end gave %d", end);
    return n ? -codes[0] : 0;
}

static int do_group(task *t, const node *n)
{
    yoke_group g;
    int codes[MOST];
    yk_buf text = {0};
    task *of = &things[n->a];
    note(t, "group %d", of->id);
    yoke_group_begin(&g);
    yoke_group_collect(&g, codes, MOST);
    of->group = &g;
    of->scope = &g.scope;
    int e = run(t, n->block);
    if (error(e))
        yoke_group_fail(&g, e);
    e = yoke_group_end(&g);
    of->group = NULL;
    of->scope = NULL;
    int worst = failures(codes, (int)yoke_group_failures(&g), e, &text);
    note(t, "join %d %s %s", of->id, yk_buf_str(&text), e == -ECANCELED ? "cancelled" : "0");
    yk_buf_done(&text);
    return worst ? worst : e;
}

static int child(void *arg)
{
    task *t = arg;
    note(t, "begin");
    int e = run(t, t->code);
    note(t, "end %s", outcome(e));
    return e;
}

static int do_go(task *t, const node *n)
{
    task *of = &things[n->b];
    yoke_group *g = things[n->a].group;
    of->code = n->block;
    int e = g ? yoke_go(g, child, of) : -EINVAL;
    note(t, "go %d %d", of->id, e == 0);
    return 0;
}

static int do_start(task *t, const node *n)
{
    task *of = &things[n->b];
    yoke_group *g = things[n->a].group;
    bool open = g && !g->closed;
    note(t, "start %d %d", of->id, open);
    if (!open)
        return 0;
    of->code = n->block;
    int e = yoke_start(g, child, of, NULL);
    note(t, "wait %d %s", of->id, outcome(e));
    return e;
}

static int do_started(task *t, const node *n)
{
    note(t, "started %d", yoke_started(NULL) == 0);
    return 0;
}

/* ---- Programs ---- */

static const struct {
    const char *name;
    statement *run;
    bool block;
} statements[] = {
    {"sleep", do_sleep, false}, {"yield", do_yield, false}, {"check", do_check, false}, {"fail", do_fail, false},
    {"ask", do_ask, false}, {"cancel", do_cancel, false}, {"shield", do_shield, false}, {"deadline", do_deadline, false},
    {"started", do_started, false}, {"swallow", do_swallow, true}, {"catch", do_catch, true},
    {"finally", do_finally, true}, {"scope", do_scope, true},
    {"group", do_group, true}, {"go", do_go, true}, {"start", do_start, true},
};

static char line[200], word[4][40];

/* The next line's words, up to four; false at the end of a block or of everything. */
static bool next_line(void)
{
    memset(word, 0, sizeof word);
    if (!fgets(line, sizeof line, stdin))
        return false;
    sscanf(line, "%39s %39s %39s %39s", word[0], word[1], word[2], word[3]);
    return strcmp(word[0], "}") != 0 && strcmp(word[0], "then") != 0 && strcmp(word[0], "end") != 0;
}

static int64_t number(const char *text)
{
    int64_t n = strcmp(text, "inf") == 0 ? YOKE_FOREVER : strtoll(text, NULL, 10);
    return n;
}

static node *read_block(void)
{
    node *first = NULL, **last = &first;
    while (next_line()) {
        size_t i = 0;
        while (i < YK_COUNT_OF(statements) && strcmp(statements[i].name, word[0]) != 0)
            i++;
        node *n = *last = i < YK_COUNT_OF(statements) ? calloc(1, sizeof *n) : NULL;
        if (!n)
            abort(); /* not a statement */
        *n = (node){statements[i].run, number(word[1]), number(word[2]), number(word[3]), NULL, NULL, NULL};
        last = &n->next;
        n->block = statements[i].block ? read_block() : NULL;
        n->then = n->run == do_finally && strcmp(word[0], "then") == 0 ? read_block() : NULL;
    }
    return first;
}

static void free_block(node *n)
{
    while (n) {
        node *next = n->next;
        free_block(n->block);
        free_block(n->then);
        free(n);
        n = next;
    }
}

static int root(void *arg)
{
    zero = yoke_now();
    return child(arg);
}

static void run_loop(uint64_t seed)
{
    char text[4000];
    yoke_test_opts opts = {.seed = seed, .text = text, .text_size = sizeof text};
    yoke_test_run(&opts, root, &things[0]);
    if (!*text)
        return;
    fputs(text, stderr);
    exit(1);
}

/* Runs the program and writes the log: by tasks, as nothing else is in an order. */
static void run_tree(const char *name, node *program, uint64_t seed)
{
    things = calloc(IDS, sizeof *things);
    for (int i = 0; i < IDS; i++)
        things[i].id = i;
    things[0].code = program;
    run_loop(seed);
    printf("tree %s\n", name);
    for (int i = 0; i < IDS; i++) {
        fputs(yk_buf_str(&things[i].log), stdout);
        yk_buf_done(&things[i].log);
    }
    fflush(stdout); /* what there is, should the next one end the process */
    free(things);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    while (next_line()) {
        char name[40];
        snprintf(name, sizeof name, "%s", word[1]);
        node *program = read_block();
        run_tree(name, program, seed);
        free_block(program);
    }
    return 0;
}
