/* doctor: what this machine offers to each executor, and what is missing and why. */
#include "tools/commands.h"
#include "exec/exec.h"
#include "task/module.h"
#include "topo/distance.h"
#include "topo/topo.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>

typedef struct doctor_values {
    bool json;
    const char *color;
} doctor_values;

/* One finding: a heading, whether it is well, and lines of detail, each begun by two blanks. What is optional may be missing. */
typedef struct finding {
    const char *name;
    bool ok, optional;
    yk_buf text;
} finding;

static void look_at_machine(finding *f)
{
    struct utsname u;
    yk_cpus cpus;
    f->ok = uname(&u) == 0;
    yk_cpus_read(&cpus);
    yk_buf_printf(&f->text, "  %s %s on %s\n  CPUs: %u online, %u by affinity, ", u.sysname, u.release, u.machine, cpus.online,
                  cpus.affinity);
    if (cpus.quota > 0)
        yk_buf_printf(&f->text, "%.2f by cgroup quota; %u used\n", cpus.quota, cpus.budget);
    else
        yk_buf_printf(&f->text, "no cgroup quota; %u used\n", cpus.budget);
    yk_places *places = yk_sys.calloc(1, sizeof *places);
    if (!places)
        return;
    yk_places_read(places);
    yk_buf_text(&f->text, "  topology: ");
    yk_places_describe(places, &f->text);
    yk_buf_text(&f->text, "\n");
    free(places);
}

static void put_limit(yk_buf *out, const char *name, int resource)
{
    struct rlimit r;
    if (getrlimit(resource, &r) < 0)
        return;
    if (r.rlim_cur == RLIM_INFINITY)
        yk_buf_printf(out, "  %s: unlimited\n", name);
    else
        yk_buf_printf(out, "  %s: %llu\n", name, (unsigned long long)r.rlim_cur);
}

static void look_at_limits(finding *f)
{
    f->ok = true;
    put_limit(&f->text, "processes (ulimit -u)", RLIMIT_NPROC);
    put_limit(&f->text, "open files (ulimit -n)", RLIMIT_NOFILE);
    put_limit(&f->text, "address space (ulimit -v)", RLIMIT_AS);
}

/* The first line of what `COMPILER --version` prints. */
static void put_version(yk_buf *out, const char *compiler)
{
    char command[PATH_MAX + 40], line[200] = "";
    if (strpbrk(compiler, "'\\\n"))
        return;
    snprintf(command, sizeof command, "'%s' --version 2>&1", compiler);
    FILE *p = popen(command, "r");
    if (p && fgets(line, sizeof line, p))
        yk_buf_printf(out, "  version: %.*s\n", (int)strcspn(line, "\n"), line);
    if (p)
        pclose(p);
}

static void look_at_modules(finding *f)
{
    yk_recipe r;
    yk_buf why = {0};
    char folder[PATH_MAX];
    f->ok = yk_recipe_make(&r, "x.c", "", 0, &why) == 0;
    if (f->ok) {
        yk_buf_printf(&f->text, "  compiler: %s\n", r.compiler);
        put_version(&f->text, r.compiler);
        yk_buf_printf(&f->text, "  headers: %s\n", r.include);
    } else {
        yk_buf_printf(&f->text, "  %s\n", yk_buf_str(&why));
    }
    switch (yk_cache_folder(folder)) {
    case YK_CACHE_WRITABLE: yk_buf_printf(&f->text, "  cache: %s\n", folder); break;
    case YK_CACHE_FOREIGN:
        yk_buf_printf(&f->text, "  cache: none: %s belongs to another user, or others can write to it (set YOKE_CACHE)\n",
                      folder);
        break;
    default: yk_buf_text(&f->text, "  cache: none can be written, so each run compiles again (set YOKE_CACHE)\n"); break;
    }
    yk_recipe_done(&r);
    yk_buf_done(&why);
}

static void look_at_executor(finding *f, yk_executor_type *t)
{
    yk_error e = {.text = ""};
    yk_buf detail = {0};
    f->optional = t->optional;
    yk_buf_printf(&f->text, "  %s\n", t->about);
    f->ok = t->doctor(&detail, &e) == 0;
    if (detail.len > 0)
        yk_buf_put(&f->text, detail.ptr, detail.len);
    if (!f->ok)
        yk_buf_printf(&f->text, "  %s\n", e.text);
    yk_buf_done(&detail);
}

static void put_finding(yk_buf *out, const finding *f, bool color)
{
    const char *mark = f->ok         ? (color ? "\033[32mok\033[0m" : "ok")
                       : f->optional ? "not here"
                                     : (color ? "\033[31mmissing\033[0m" : "missing");
    yk_buf_printf(out, "%s: %s\n", f->name, mark);
    yk_buf_put(out, f->text.ptr, f->text.len);
}

static void put_json(yk_buf *out, const finding *f, bool first)
{
    yk_buf_text(out, first ? "" : ",\n ");
    yk_buf_text(out, "{\"name\":");
    yk_json_quote(out, f->name, strlen(f->name));
    yk_buf_printf(out, ",\"ok\":%s,\"optional\":%s,\"details\":[", f->ok ? "true" : "false", f->optional ? "true" : "false");
    const char *line = f->text.ptr, *end = line + f->text.len;
    for (bool one = true; line < end; one = false) {
        size_t n = strcspn(line, "\n"), blank = YK_MIN(strspn(line, " "), n);
        yk_buf_text(out, one ? "" : ",");
        yk_json_quote(out, line + blank, n - blank);
        line += n + 1;
    }
    yk_buf_text(out, "]}");
}

static int run_doctor(void *values, const yk_words *operands)
{
    doctor_values *v = values;
    finding all[16] = {{.name = "machine"}, {.name = "limits"}, {.name = "modules"}};
    size_t n = 3;
    look_at_machine(&all[0]);
    look_at_limits(&all[1]);
    look_at_modules(&all[2]);
    for (yk_executor_type *t = yk_executor_types(); t && n < YK_COUNT_OF(all); t = t->next) {
        all[n].name = t->scheme;
        look_at_executor(&all[n++], t);
    }
    yk_buf out = {0};
    bool well = true, color = yk_use_color(v->color);
    if (!v->json)
        yk_buf_printf(&out, "yoke %s, ABI %u\n", YOKE_VERSION, YOKE_ABI);
    else
        yk_buf_printf(&out, "{\"version\":\"%s\",\"abi\":%u,\"findings\":[", YOKE_VERSION, YOKE_ABI);
    for (size_t i = 0; i < n; i++) {
        well &= all[i].ok || all[i].optional;
        yk_buf_str(&all[i].text);
        if (v->json)
            put_json(&out, &all[i], i == 0);
        else
            put_finding(&out, &all[i], color);
        yk_buf_done(&all[i].text);
    }
    if (v->json)
        yk_buf_text(&out, "]}\n");
    int code = yk_write_out(&out);
    return code != 0 ? code : well ? 0 : 1;
}

static const yk_option doctor_options[] = {{.name = "json",
                                            .kind = YK_OPT_FLAG,
                                            .help = "print one JSON object instead of text",
                                            .offset = offsetof(doctor_values, json)},
                                           {.name = "color",
                                            .kind = YK_OPT_CHOICE,
                                            .choices = "auto|always|never",
                                            .help = "colour the output",
                                            .offset = offsetof(doctor_values, color)},
                                           {.name = NULL}};

static const yk_example doctor_examples[] = {{"yoke doctor", "what works here, and what is missing and why"},
                                             {"yoke doctor --json", "the same for programs"},
                                             {NULL, NULL}};

const yk_command yk_command_doctor = {
    .name = "doctor",
    .summary = "tell what this machine offers to each executor",
    .operands = "",
    .description =
        "Looks at the machine, its limits, the compiler for modules and every executor, and says of each whether it works "
        "here, and if not, why.\n\nWith --json the output is an object with the keys version, abi and findings; each "
        "finding has name, ok, optional (that it is missing is nothing wrong) and details.",
    .examples = doctor_examples,
    .options = doctor_options,
    .exit_codes = "0 all is well\n1 something is missing that every machine should have\n2 wrong usage\n",
    .least = 0,
    .most = 0,
    .size = sizeof(doctor_values),
    .run = run_doctor,
};
