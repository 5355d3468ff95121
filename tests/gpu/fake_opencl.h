/* fake_opencl.h - what a test tells the library of fake_opencl.c. */
#ifndef YK_TESTS_FAKE_OPENCL_H
#define YK_TESTS_FAKE_OPENCL_H
#include <stdint.h>

enum { FAKE_GPU = 1, FAKE_SHARES = 2, FAKE_BUSY = 4, FAKE_PCI = 8, FAKE_STRANGER = 16, FAKE_MANY = 32 };

/* From now on the k-th call (counted from 1) of clNAME, or of any for NULL, fails with this code; k = 0: none does.
 * Returns how many calls there were since the last fake_opencl_fail(). */
int fake_opencl_fail(const char *name, int k, int32_t code);
/* The k-th copy between host and device from now on (counted from 1) is taken into the queue well, and then fails with this
 * code, which its event alone tells; or for 0, is done some ms after clFinish() has said that all is. k = 0: none, and waits
 * until the late one is done. */
void fake_opencl_late(int k, int32_t code);
/* How many objects have been made and not been released. */
int fake_opencl_live(void);
/* Before the first call of OpenCL. Programs that know nothing of this have FAKE_OPENCL, a number, in their environment. */
void fake_opencl_pretend(unsigned what);

#endif
