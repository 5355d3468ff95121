/* kernel_compare: the process in which kernels are run to be compared, which may die of any of them. It writes a
 * line for each step to stdout: first "@KERNEL DEVICE " (their numbers; "%" on the CPU) with what is about to be
 * done, then "+", "-" or "~" with a verdict: it gives the same, it fails, it is left out. At the end stands ".".
 * Whoever started it knows from the last line what it died of, and goes on behind that (kernel_child.c). */
#include "tools/commands.h"
#include "tools/kernel_check.h"
#include "tools/target.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum { DEVICES_MOST = 16 };

/* from_kernel, from_device: where to begin. */
typedef struct work {
    yk_check check;
    long from_kernel, from_device;
    char devices[400]; /* their names, cut at the commas */
    const char *names[DEVICES_MOST];
    size_t count;
} work;

/* One kernel on one device. */
typedef struct pairing {
    const work *w;
    yoke_kernel *k;
    size_t kernel, device;
    yoke_device *dev;
    yoke_stream *stream, *as_gpu;
    yk_habits habits;
    yk_buf sizes;   /* "1, 17" */
    yk_buf unfit;   /* why the last sort of values would not do */
    bool unchecked; /* no sort will: a simulator is to show where it goes wrong */
} pairing;

typedef enum verdict { SAME, UNFIT, SAID } verdict; /* UNFIT: another sort of values may do */

/* "with 17 elements", before what happens then. */
static void put_size(yk_buf *to, const yk_trial *t)
{
    yk_buf_printf(to, "with %ld %s%s", t->n, t->k->form == YK_GROUP_KERNEL ? "group" : "element", t->n == 1 ? "" : "s");
}

static bool say(yk_buf *line)
{
    yk_plain(line->ptr, line->len, true);
    yk_buf_char(line, '\n');
    return yk_write_out(line) == 0;
}

static verdict tell(const pairing *p, char mark, const char *where, const char *text)
{
    yk_buf line = {0};
    yk_buf_printf(&line, "%c%s: %s: %s", mark, p->k->name, where, text);
    if (!say(&line))
        yk_end_command(1); /* nobody listens */
    return SAID;
}

/* What concerns the kernel alone is told once, beside the first device, and not under a simulator, which comes
 * second. */
static verdict tell_once(const pairing *p, char mark, const char *where, const char *text)
{
    return p->device == 0 && !p->w->check.simulated ? tell(p, mark, where, text) : SAID;
}

static const char *where_of(const pairing *p)
{
    return p->w->check.simulated ? "oclgrind" : p->w->names[p->device];
}

/* What the next step is; t NULL: it is compiled. */
static void announce(const pairing *p, const char *where, const yk_trial *t)
{
    yk_buf line = {0};
    yk_buf_printf(&line, "%c%zu %zu %s: %s: ", strcmp(where, "cpu") == 0 ? '%' : '@', p->kernel, p->device, p->k->name, where);
    if (t)
        put_size(&line, t);
    else
        yk_buf_text(&line, "when it is compiled");
    if (!say(&line))
        yk_end_command(1);
}

/* ---- One trial ---- */

/* Whether what was in an `out` array shows through what the kernel has written. */
static bool shows_through(yk_trial *t, const yk_outcome *usual, yk_buf *why)
{
    const size_t len = why->len;
    bool found = false;
    if (!yk_trial_turn(t))
        return false;
    yk_outcome *other = yk_outcome_new(t);
    if (other && yk_run_on_cpu(t, YK_WHOLE, other, why) == 0)
        found = yk_shows_through(t, usual, other, why);
    why->len = found ? why->len : len;
    yk_outcome_free(other);
    yk_trial_turn(t);
    return found;
}

static verdict on_cpu(pairing *p, yk_trial *t, yk_outcome *ways[YK_WAYS])
{
    yk_buf why = {0};
    verdict v = SAME;
    announce(p, "cpu", t);
    put_size(&why, t);
    yk_buf_text(&why, " ");
    for (int way = 0; way < YK_WAYS && v == SAME; way++)
        if (yk_run_on_cpu(t, (yk_way)way, ways[way], &why) != 0)
            v = UNFIT;
    if (v == UNFIT) {
        p->unfit.len = 0;
        yk_buf_text(&p->unfit, yk_buf_str(&why));
    } else if (!p->habits.order && !p->w->check.simulated
               && (yk_differs_by_order(t, ways, &why) || shows_through(t, ways[YK_WHOLE], &why))) {
        v = tell_once(p, '-', "cpu", yk_buf_str(&why));
    }
    yk_buf_done(&why);
    return v;
}

static verdict on_stream(pairing *p, yk_trial *t, yk_outcome *ways[YK_WAYS], const char *name, yoke_stream *s)
{
    yk_error e = {0};
    yk_buf why = {0};
    verdict v = SAME;
    yk_outcome *there = yk_outcome_new(t);
    if (!there)
        return tell(p, '-', name, "no memory");
    announce(p, name, t);
    int err = yk_run_on_device(t, s, there, &e);
    if (err < 0) {
        v = tell(p, '-', name, e.text);
    } else if (!p->w->check.simulated) {
        put_size(&why, t);
        yk_buf_text(&why, " ");
        if (yk_differs(t, ways, there, &p->habits, p->w->check.ulp, &why))
            v = tell(p, '-', name, yk_buf_str(&why));
    }
    yk_outcome_free(there);
    yk_buf_done(&why);
    return v;
}

/* On a CPU a program's items are a loop there too, so that a variable of the group is one for all of them; on a GPU each has its
 * own. So the text for a GPU runs there as well, with its items as a driver has them. */
static verdict on_device(pairing *p, yk_trial *t, yk_outcome *ways[YK_WAYS])
{
    char name[60];
    verdict v = on_stream(p, t, ways, where_of(p), p->stream);
    if (v != SAME || !p->as_gpu || p->k->form != YK_GROUP_KERNEL || p->k->extra->group > p->dev->info.group_most)
        return v;
    snprintf(name, sizeof name, "%.40s as a GPU", where_of(p));
    return on_stream(p, t, ways, name, p->as_gpu);
}

static verdict try_it(pairing *p, yk_trial *t)
{
    yk_outcome *ways[YK_WAYS] = {NULL};
    yk_error e = {0};
    verdict v = SAME;
    if (yk_trial_make(t, &e) < 0)
        v = tell_once(p, '~', "not compared", e.text);
    for (int way = 0; way < YK_WAYS && v == SAME; way++) {
        ways[way] = yk_outcome_new(t);
        if (!ways[way])
            v = tell(p, '-', "cpu", "no memory");
    }
    if (v == SAME && !p->unchecked)
        v = on_cpu(p, t, ways);
    if (v == SAME)
        v = on_device(p, t, ways);
    for (int way = 0; way < YK_WAYS; way++)
        yk_outcome_free(ways[way]);
    yk_trial_done(t);
    return v;
}

/* ---- One kernel on one device ---- */

/* Odd ones, of which a vector leaves a rest; of more than one block of a GPU. */
static const long sizes[] = {1, 17, 1000, 4097}, group_sizes[] = {1, 3, 17}, small[] = {1, 17, 1100}, small_groups[] = {1, 3};

static const long *sizes_of(const pairing *p, size_t *count)
{
    const bool is_small = p->w->check.simulated, groups = p->k->form == YK_GROUP_KERNEL;
    *count = !groups ? (is_small ? YK_COUNT_OF(small) : YK_COUNT_OF(sizes))
                     : (is_small ? YK_COUNT_OF(small_groups) : YK_COUNT_OF(group_sizes));
    return !groups ? (is_small ? small : sizes) : (is_small ? small_groups : group_sizes);
}

static verdict try_sort(pairing *p, yk_sort sort)
{
    size_t count;
    const long *all = sizes_of(p, &count);
    verdict v = SAME;
    p->sizes.len = 0;
    for (size_t i = 0; i < count && v == SAME; i++) {
        yk_trial t = {.k = p->k, .n = all[i], .sort = sort, .seed = p->w->check.seed};
        yk_buf_printf(&p->sizes, "%s%ld", i ? ", " : "", all[i]);
        v = try_it(p, &t);
    }
    return v;
}

static const char *const about_sorts[] = {"", "numbers that may be indices", "zeros", "zeros, and ones as values"};

static void tell_same(pairing *p, yk_sort sort)
{
    yk_buf text = {0};
    yk_buf_printf(&text, "the same as on the CPU, with %s %s", yk_buf_str(&p->sizes),
                  p->k->form == YK_GROUP_KERNEL ? "groups" : "elements");
    if (sort != YK_ANY)
        yk_buf_printf(&text, ", of %s alone (of others: %s)", about_sorts[sort], yk_buf_str(&p->unfit));
    tell(p, '+', where_of(p), yk_buf_str(&text));
    yk_buf_done(&text);
}

/* With whatever values it fails: its own fault, unless it may expect of its arguments what nobody told. */
static void tell_unfit(pairing *p)
{
    yk_buf text = {0};
    yk_buf_text(&text, yk_buf_str(&p->unfit));
    if (p->k->form == YK_GROUP_KERNEL) {
        yk_buf_text(&text, ", with arguments that were made up for it");
        tell_once(p, '~', "not compared", yk_buf_str(&text));
    } else {
        tell_once(p, '-', "cpu", yk_buf_str(&text));
    }
    yk_buf_done(&text);
}

/* What cannot be known of it, or differs from device to device as it may; "" when nothing. */
static void put_reason(const pairing *p, yk_buf *to)
{
    const yoke_kernel *k = p->k;
    yk_layout result;
    if (k->form == YK_REDUCE_KERNEL && !yk_layout_find(k, k->extra->type, (unsigned)k->extra->size, &result))
        yk_buf_printf(to, "what is in %s, its type, is not known", k->extra->type);
    else if (p->habits.order && !p->w->check.simulated)
        yk_buf_printf(to, "what %.*s() does depends on the order of elements", (int)strcspn(p->habits.order, " ("),
                      p->habits.order);
    else if (p->habits.fast && !p->w->check.simulated)
        yk_buf_text(to, "yoke_fast_... is as exact as each device likes");
}

/* Whether there is such a reason, or no way to compile it, which has then been told. */
static bool is_left_out(pairing *p)
{
    yk_error e = {0};
    yk_buf text = {0};
    yk_habits_find(p->k, &p->habits);
    put_reason(p, &text);
    if (text.len > 0) {
        tell_once(p, '~', "not compared", yk_buf_str(&text));
    } else {
        announce(p, where_of(p), NULL);
        const yk_ready *ready = yk_kernel_ready(p->dev, p->k, &e);
        if (!ready || ready->status < 0)
            yk_buf_printf(&text, "%s: %s", p->w->check.simulated ? "it cannot run this kernel" : "not compared",
                          ready ? ready->error.text : e.text);
        if (text.len > 0) /* a text that does not compile has failed before, where it was compiled for this device */
            tell(p, ready || p->w->check.simulated ? '~' : '-', where_of(p), yk_buf_str(&text));
    }
    bool left_out = text.len > 0;
    yk_buf_done(&text);
    return left_out;
}

static void compare_pair(pairing *p)
{
    verdict v = UNFIT;
    if (is_left_out(p))
        return;
    for (int sort = YK_ANY; sort < YK_SORTS && v == UNFIT; sort++) {
        v = try_sort(p, (yk_sort)sort);
        if (v == SAME)
            tell_same(p, (yk_sort)sort);
    }
    if (v == UNFIT && p->w->check.simulated && p->k->form != YK_GROUP_KERNEL) {
        p->unchecked = true;
        if (try_sort(p, YK_PLACES) == SAME)
            tell_same(p, YK_PLACES);
    } else if (v == UNFIT) {
        tell_unfit(p);
    }
}

/* ---- All of them ---- */

static int open_device(const work *w, const char *name, yoke_device **dev, yoke_stream **stream)
{
    *dev = yoke_device_open(name);
    if (yoke_device_status(*dev) < 0)
        return yk_complain(3, "%s", yoke_device_error(*dev));
    if (w->check.simulated && !strstr((*dev)->info.platform, "Oclgrind"))
        return yk_complain(3, "the device under it is %s, and not its own", (*dev)->info.platform);
    (*dev)->info.is_gpu |= w->check.simulated; /* texts for GPUs alone have the items of a group at a time */
    *stream = yoke_stream_open(*dev);
    return *stream ? 0 : yk_complain(3, "%s", yoke_device_error(*dev));
}

/* The same device once more, for texts that are a GPU's; NULL: it is one, or knows no others. */
static yoke_stream *open_as_gpu(const work *w, const char *name)
{
    yoke_device *dev = yoke_device_open(name);
    if (!w->check.simulated && yoke_device_status(dev) == 0 && !dev->info.is_gpu && strcmp(dev->driver->name, "opencl") == 0) {
        dev->info.is_gpu = true;
        yoke_stream *s = yoke_stream_open(dev);
        if (s)
            return s;
    }
    yoke_device_close(dev);
    return NULL;
}

static void close_as_gpu(yoke_stream *s)
{
    yoke_device *dev = s ? s->dev : NULL;
    yoke_stream_close(s);
    yoke_device_close(dev);
}

static int compare_all(work *w, yoke_kernel *const *list, size_t n)
{
    yoke_device *devices[DEVICES_MOST] = {NULL};
    yoke_stream *streams[DEVICES_MOST] = {NULL}, *as_gpu[DEVICES_MOST] = {NULL};
    int code = 0;
    for (size_t d = 0; d < w->count && code == 0; d++) {
        code = open_device(w, w->names[d], &devices[d], &streams[d]);
        as_gpu[d] = code == 0 ? open_as_gpu(w, w->names[d]) : NULL;
    }
    for (size_t i = (size_t)w->from_kernel; i < n && code == 0; i++)
        for (size_t d = i == (size_t)w->from_kernel ? (size_t)w->from_device : 0; d < w->count && code == 0; d++) {
            pairing p = {.w = w, .k = list[i], .kernel = i, .device = d, .dev = devices[d], .stream = streams[d],
                         .as_gpu = as_gpu[d]};
            compare_pair(&p);
            yk_buf_done(&p.sizes);
            yk_buf_done(&p.unfit);
            if (yoke_device_status(devices[d]) < 0 || (as_gpu[d] && yoke_device_status(as_gpu[d]->dev) < 0))
                code = 4; /* lost: another process has to go on */
        }
    for (size_t d = 0; d < w->count; d++) {
        close_as_gpu(as_gpu[d]);
        yoke_stream_close(streams[d]);
        yoke_device_close(devices[d]);
    }
    return code;
}

static void cut_names(work *w, const char *devices)
{
    snprintf(w->devices, sizeof w->devices, "%s", devices);
    for (char *p = w->devices; *p && w->count < DEVICES_MOST;) {
        w->names[w->count++] = p;
        p += strcspn(p, ",");
        if (*p)
            *p++ = '\0';
    }
}

/* FILE KERNEL DEVICES SEED ULP SIMULATED FROM-KERNEL FROM-DEVICE */
int yk_compare_main(int argc, char **argv)
{
    yoke_module *m;
    size_t n = 0;
    if (argc != 8)
        return yk_complain(2, "--run-kernels is for yoke kernel check alone");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work w = {.check = {.path = argv[0], .name = *argv[1] ? argv[1] : NULL, .seed = strtoull(argv[3], NULL, 10),
                        .ulp = strtoull(argv[4], NULL, 10), .simulated = *argv[5] == '1'},
              .from_kernel = strtol(argv[6], NULL, 10), .from_device = strtol(argv[7], NULL, 10)};
    cut_names(&w, argv[2]);
    const yoke_kernel *before = yk_kernels();
    int code = yk_results_take() < 0 ? 1 : yk_target_open_any(w.check.path, &m);
    if (code != 0)
        return code;
    yoke_kernel **list = yk_kernels_since(before, w.check.name, &n);
    code = list ? compare_all(&w, list, n) : yk_complain(1, "out of memory");
    free(list);
    yoke_module_close(m);
    yk_buf end = {0};
    if (code == 0 && !say((yk_buf_text(&end, "."), &end)))
        code = 1;
    return code;
}
