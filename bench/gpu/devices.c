/* devices.c - the devices of this machine for gpu.py, one JSON object a line; only YOKE_DEVICE, if that is set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoke.h>

int main(void)
{
    yoke_device_info d;
    yoke_device *one = getenv("YOKE_DEVICE") ? yoke_device_open(NULL) : NULL;
    for (unsigned i = 0; yoke_device_at(i, &d) == 0; i++)
        if (!one || strcmp(d.uri, yoke_device_about(one)->uri) == 0)
            printf("{\"uri\":\"%s\",\"driver\":\"%s\",\"name\":\"%s\",\"is_gpu\":%s,\"bandwidth\":%.0f}\n", d.uri, d.driver,
                   d.name,
                   d.is_gpu ? "true" : "false", d.bandwidth);
    return yoke_device_close(one) < 0;
}
