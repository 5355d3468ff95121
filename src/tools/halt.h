/* halt: when `yoke map` stops before its input ends, as GNU parallel's --halt says: "now,fail=1", "soon,success=10%". */
#ifndef YK_HALT_H
#define YK_HALT_H
#include "base/base.h"

enum yk_halt_when { YK_HALT_NEVER, YK_HALT_SOON, YK_HALT_NOW };
enum yk_halt_why { YK_HALT_FAIL, YK_HALT_SUCCESS, YK_HALT_DONE };

typedef struct yk_halt {
    enum yk_halt_when when;
    enum yk_halt_why why;
    uint64_t count;  /* that many; 0: percent counts */
    double percent;  /* of the records that have ended, once there are at least three */
} yk_halt;

/* Reads "never" or "soon|now,fail|success|done=N|N%". */
int yk_halt_parse(yk_halt *h, const char *text, yk_error *e);
/* What to do now that so many records have failed and succeeded. total is the number of records, or 0 when unknown. */
enum yk_halt_when yk_halt_decide(const yk_halt *h, uint64_t failed, uint64_t succeeded, uint64_t total);

#endif
