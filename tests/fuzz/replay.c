/* replay.c - gives every file of a corpus to a fuzzer's entry point, without libFuzzer.
 *
 * Linked with each fuzzer in place of libFuzzer's main, so that inputs which once broke something are tried in every
 * ordinary test run. CORPUS names the folder. Each input is copied into memory of exactly its length, so that reading
 * one byte too far is seen by AddressSanitizer.
 */
#include "test.h"
#include <dirent.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a file whole into memory of its own; the caller frees it. */
static uint8_t *slurp(const char *path, size_t *size)
{
    struct stat st;
    FILE *in = fopen(path, "rb");
    CHECK(in && fstat(fileno(in), &st) == 0);
    *size = (size_t)st.st_size;
    uint8_t *data = malloc(*size ? *size : 1);
    CHECK(data && fread(data, 1, *size, in) == *size);
    fclose(in);
    return data;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* One byte more or less than the author meant is what parsers get wrong: each input is also tried cut short. */
static void give(const uint8_t *data, size_t size)
{
    LLVMFuzzerTestOneInput(data, size);
    for (size_t cut = size > 64 ? size - 64 : 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1);
        CHECK(copy);
        memcpy(copy, data, cut);
        LLVMFuzzerTestOneInput(copy, cut);
        free(copy);
    }
}

TEST_LIMIT(corpus_replays, 300)
{
    const char *folder = getenv("CORPUS");
    CHECK(folder);
    struct dirent **entries;
    int count = scandir(folder, &entries, is_input, alphasort);
    CHECK(count > 0);
    for (int i = 0; i < count; i++) {
        char path[4096];
        size_t size;
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        printf("# %s\n", entries[i]->d_name);
        uint8_t *data = slurp(path, &size);
        give(data, size);
        free(data);
        free(entries[i]);
    }
    free(entries);
}

TEST(empty_input)
{
    uint8_t *nothing = calloc(1, 1);
    LLVMFuzzerTestOneInput(nothing, 0);
    free(nothing);
}

TEST_LIMIT(random_bytes, 300)
{
    for (int round = 0; round < 2000; round++) {
        size_t size = test_random() % 200;
        uint8_t *data = malloc(size ? size : 1);
        CHECK(data);
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)test_random();
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
}
