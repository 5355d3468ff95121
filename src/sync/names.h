/* names: which lock has which name, for reports. Beside the locks, so that these stay small and hold no pointers. */
#ifndef YK_SYNC_NAMES_H
#define YK_SYNC_NAMES_H

/* The name is borrowed until it is replaced; NULL takes it away. Without memory the lock goes without a name. */
void yk_name_set(const void *lock, const char *name);
/* NULL: it has none. */
const char *yk_name_of(const void *lock);
#endif
