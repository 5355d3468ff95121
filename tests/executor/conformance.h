/* conformance.h - what the files of the conformance suite share: the executor, named by YOKE_TEST_EXECUTOR, and the errors that
 * nobody looked at. */
#ifndef TEST_CONFORMANCE_H
#define TEST_CONFORMANCE_H
#include "exec/exec.h"
#include "tasks.h"
#include "test.h"

static inline const char *uri(void)
{
    const char *name = getenv("YOKE_TEST_EXECUTOR");
    return name ? name : "inline";
}

static inline yoke_executor *open_it(void)
{
    yoke_executor *ex = yoke_open(uri());
    if (yoke_executor_status(ex) != 0)
        test_fail(__FILE__, __LINE__, "%s: %s", uri(), yoke_executor_error(ex));
    return ex;
}

static int lost_count;
static char lost_text[300];

static inline void count_lost(const char *text, void *arg)
{
    lost_count++;
    snprintf(lost_text, sizeof lost_text, "%s", text);
}
#endif
