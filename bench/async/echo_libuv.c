/* echo_libuv.c - an echo server as one writes it with libuv, with the faster of its two ways to write: uv_try_write(). */
#include "echo.h"
#include <uv.h>

static char buffer[65536]; /* one for all: what was read is answered before the next read */

static void lend(uv_handle_t *h, size_t size, uv_buf_t *ret)
{
    (void)h, (void)size;
    *ret = uv_buf_init(buffer, sizeof buffer);
}

static void gone(uv_handle_t *h)
{
    free(h);
}

static void heard(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);
    if (n < 0 || (n > 0 && uv_try_write(s, &out, 1) != n))
        uv_close((uv_handle_t *)s, gone);
}

static void admit(uv_stream_t *listener, int status)
{
    uv_tcp_t *c = malloc(sizeof *c);
    echo_check(status == 0 && c && uv_tcp_init(listener->loop, c) == 0 && uv_accept(listener, (uv_stream_t *)c) == 0, "accept");
    uv_tcp_nodelay(c, 1);
    uv_read_start((uv_stream_t *)c, lend, heard);
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    struct sockaddr_in a;
    int size = sizeof a;
    uv_ip4_addr("127.0.0.1", 0, &a);
    echo_check(uv_tcp_init(loop, &listener) == 0 && uv_tcp_bind(&listener, (struct sockaddr *)&a, 0) == 0 &&
                   uv_listen((uv_stream_t *)&listener, 4096, admit) == 0 &&
                   uv_tcp_getsockname(&listener, (struct sockaddr *)&a, &size) == 0, "listen");
    echo_tell(ntohs(a.sin_port));
    return uv_run(loop, UV_RUN_DEFAULT);
}
