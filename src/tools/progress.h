/* progress: one line on a terminal that says how far `yoke map` is: bar, records, rate, time left, failures. */
#ifndef YK_PROGRESS_H
#define YK_PROGRESS_H
#include "base/base.h"

/* Between two drawings. */
#define YK_PROGRESS_EVERY (100 * YOKE_MS)

typedef struct yk_progress {
    bool on;
    bool terminal;   /* redraw in place; else a line every few seconds */
    int fd;
    int64_t began, drawn; /* drawn: when last; 0: never */
    uint64_t rate_records;
    int64_t rate_time;
    double rate;     /* records per second, smoothed */
    bool shown;      /* a line stands on the terminal */
} yk_progress;

/* What is known: done of total records, or when total is 0, share of the input (0 to 1), or neither (share < 0). */
typedef struct yk_progress_state {
    uint64_t done, total, failed, running;
    double share;
} yk_progress_state;

/* when: -1 only on a terminal, 0 never, 1 always. */
void yk_progress_open(yk_progress *p, int fd, int when, bool quiet);
/* Draws when it is time to. */
void yk_progress_tick(yk_progress *p, const yk_progress_state *s, int64_t now);
/* Takes the line away, so that something else can be written. */
void yk_progress_clear(yk_progress *p);
/* The last line, which stays. */
void yk_progress_close(yk_progress *p, const yk_progress_state *s, int64_t now);
/* The text of the line, for columns columns. */
void yk_progress_line(const yk_progress *p, const yk_progress_state *s, int64_t now, int columns, yk_buf *out);

#endif
