/* tree.h - a folder of a test's own that stands for the root of a file system. */
#ifndef YK_TEST_TREE_H
#define YK_TEST_TREE_H
#include "test.h"
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static inline void begin(void)
{
    snprintf(root, sizeof root, "/tmp/yoke-tree-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
}

static inline void end(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_INT(system(command), 0);
}

/* Writes root/path, making its folders. */
static inline void grow(const char *path, const char *text)
{
    char full[400];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(full, 0700);
            *p = '/';
        }
    FILE *f = fopen(full, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

#endif
