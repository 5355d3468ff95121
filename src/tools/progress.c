/* progress: one line on a terminal that says how far `yoke map` is.
 *
 * Redrawn in place at most ten times a second, by the main loop, between its other work; there is no thread. When it was
 * asked for and stderr is no terminal, it is a whole line every five seconds instead. */
#include "tools/progress.h"
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_EVERY (5 * YOKE_S)
#define RATE_EVERY (500 * YOKE_MS)
#define BAR 24

void yk_progress_open(yk_progress *p, int fd, int when, bool quiet)
{
    *p = (yk_progress){.fd = fd, .began = yoke_now()};
    p->terminal = isatty(fd) == 1;
    p->on = when > 0 || (when < 0 && p->terminal && !quiet);
    p->rate_time = p->began;
}

static double share_of(const yk_progress_state *s)
{
    double share = s->total > 0 ? (double)s->done / (double)s->total : s->share;
    return share > 1 ? 1 : share;
}

static void put_duration(yk_buf *out, double seconds)
{
    if (seconds < 100)
        yk_buf_printf(out, "%.0fs", seconds);
    else if (seconds < 6000)
        yk_buf_printf(out, "%dm%02ds", (int)seconds / 60, (int)seconds % 60);
    else if (seconds < 360000)
        yk_buf_printf(out, "%dh%02dm", (int)(seconds / 3600), (int)(seconds / 60) % 60);
    else
        yk_buf_printf(out, "%.0fd", seconds / 86400);
}

static void put_rate(yk_buf *out, double rate)
{
    if (rate >= 1e6)
        yk_buf_printf(out, "%.2f M/s", rate / 1e6);
    else if (rate >= 1e3)
        yk_buf_printf(out, "%.1f k/s", rate / 1e3);
    else
        yk_buf_printf(out, "%.1f/s", rate);
}

static void put_bar(yk_buf *out, double share)
{
    int full = (int)(share * BAR + 0.5);
    yk_buf_char(out, '[');
    for (int i = 0; i < BAR; i++)
        yk_buf_char(out, i < full ? '#' : '-');
    yk_buf_printf(out, "] %3d%%  ", (int)(share * 100 + 1e-9)); /* 0.29 * 100 is less than 29 */
}

void yk_progress_line(const yk_progress *p, const yk_progress_state *s, int64_t now, int columns, yk_buf *out)
{
    double share = share_of(s), seconds = (double)(now - p->began) / 1e9;
    size_t start = out->len;
    if (share >= 0)
        put_bar(out, share);
    if (s->total > 0)
        yk_buf_printf(out, "%llu of %llu", (unsigned long long)s->done, (unsigned long long)s->total);
    else
        yk_buf_printf(out, "%llu record%s", (unsigned long long)s->done, s->done == 1 ? "" : "s");
    yk_buf_text(out, "  ");
    put_rate(out, p->rate > 0 ? p->rate : seconds > 0 ? (double)s->done / seconds : 0);
    bool foresee = share > 0 && share < 1 && s->done > 0; /* nothing done foretells nothing */
    yk_buf_text(out, foresee ? "  left " : "  took ");
    put_duration(out, foresee ? seconds * (1 - share) / share : seconds);
    if (s->running > 0)
        yk_buf_printf(out, "  waiting %llu", (unsigned long long)s->running);
    if (s->failed > 0)
        yk_buf_printf(out, "  failed %llu", (unsigned long long)s->failed);
    if (columns > 0 && out->len - start >= (size_t)columns)
        out->len = start + (size_t)columns - 1;
}

static void update_rate(yk_progress *p, const yk_progress_state *s, int64_t now)
{
    if (now - p->rate_time < RATE_EVERY)
        return;
    double rate = (double)(s->done - p->rate_records) / ((double)(now - p->rate_time) / 1e9);
    p->rate = p->rate > 0 ? 0.6 * p->rate + 0.4 * rate : rate;
    p->rate_records = s->done;
    p->rate_time = now;
}

static int columns_of(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Progress is worth no error: what cannot be written is left out. */
static void draw(yk_progress *p, const yk_progress_state *s, int64_t now, const char *end)
{
    yk_buf line = {0};
    if (p->terminal)
        yk_buf_text(&line, "\r");
    yk_progress_line(p, s, now, p->terminal ? columns_of(p->fd) : 0, &line);
    yk_buf_text(&line, p->terminal ? "\033[K" : "");
    yk_buf_text(&line, end);
    ssize_t n = line.failed ? 0 : yk_sys.write(p->fd, line.ptr, line.len);
    (void)n;
    yk_buf_done(&line);
    p->drawn = now;
    p->shown = p->terminal && *end == '\0';
}

void yk_progress_tick(yk_progress *p, const yk_progress_state *s, int64_t now)
{
    if (!p->on)
        return;
    update_rate(p, s, now);
    if (now - (p->drawn ? p->drawn : p->began) >= (p->terminal ? YK_PROGRESS_EVERY : LINE_EVERY))
        draw(p, s, now, p->terminal ? "" : "\n");
}

void yk_progress_clear(yk_progress *p)
{
    if (!p->shown)
        return;
    ssize_t n = yk_sys.write(p->fd, "\r\033[K", 4);
    (void)n;
    p->shown = false;
    p->drawn = yoke_now();
}

void yk_progress_close(yk_progress *p, const yk_progress_state *s, int64_t now)
{
    if (!p->on)
        return;
    p->rate = 0; /* the last line tells the mean of the whole run */
    draw(p, s, now, "\n");
    p->on = false;
}
