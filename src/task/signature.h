/* signature.h: see signature.c; for the registry. */
#ifndef YK_TASK_SIGNATURE_H
#define YK_TASK_SIGNATURE_H
#include "task/task.h"

void yk_signature_write(const yoke_task *t, yk_buf *out);
uint64_t yk_fnv1a(const void *bytes, size_t n);
#endif
