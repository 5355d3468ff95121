/* topology - fuzzes what is read of hwloc's XML: whatever the text says, numbers of CPUs stay within the table, distances are the
 * same both ways, and a description can be made. */
#include "fuzz.h"
#include "topo/distance.h"

static yk_places places;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    REQUIRE(text);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    memset(&places, 0, sizeof places);
    int err = yk_places_read_xml(&places, text);
    REQUIRE(err == 0 || err == -EINVAL);
    for (unsigned d = 0; d < YK_DISTANCE_MACHINE; d++)
        for (int cpu = 0; cpu < YK_CPUS_MAX; cpu++) {
            REQUIRE(places.first[d][cpu] <= cpu + 1); /* the first of a set is no later than any of it */
            REQUIRE(err == 0 || places.first[d][cpu] == 0);
        }
    for (int a = -1; a < 70; a++)
        for (int b = -1; b < 70; b++) {
            unsigned d = yk_places_distance(&places, a, b);
            REQUIRE(d < YK_DISTANCES && d == yk_places_distance(&places, b, a) && (d == 0) == (a == b));
        }
    yk_buf out = {0};
    yk_places_describe(&places, &out);
    yk_buf_done(&out);
    free(text);
    return 0;
}
