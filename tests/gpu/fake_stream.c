/* fake_stream.c - memory, streams and events of the fake driver. Each stream is a thread with a list of what it has to
 * do. */
#include "fake_inside.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Memory ---- */

block *fake_block_at(const void *p, size_t size, bool pinned)
{
    for (block *b = fake.blocks; b; b = b->next)
        if (b->context && b->pinned == pinned && (const char *)p >= b->base &&
            (const char *)p + size <= b->base + b->size)
            return b;
    return NULL;
}

static int take(size_t size, bool pinned, void **ret)
{
    block *b = calloc(1, sizeof *b);
    if (size == 0 || size > (size_t)1 << 30 || !b || posix_memalign((void **)&b->base, 512, size) != 0) {
        free(b);
        return size == 0 ? YK_CUDA_INVALID_VALUE : YK_CUDA_OUT_OF_MEMORY;
    }
    memset(b->base, 0xa5, size);
    b->size = size;
    b->pinned = pinned;
    b->context = fake_current;
    b->next = fake.blocks;
    fake.blocks = b;
    pinned ? fake_count(fake_current, pinned, 1) : fake_count(fake_current, blocks, 1);
    *ret = b->base;
    return YK_CUDA_OK;
}

static int give(void *base, bool pinned, const char *function)
{
    fake_wait_idle(fake_current);
    for (block **at = &fake.blocks, *b; (b = *at); at = &b->next)
        if (b->base == base && b->pinned == pinned && b->context) {
            *at = b->next;
            pinned ? fake_count(b->context, pinned, -1) : fake_count(b->context, blocks, -1);
            free(b->base);
            free(b);
            return YK_CUDA_OK;
        }
    fake_complain("no such memory", function);
    return YK_CUDA_INVALID_VALUE;
}

int cuMemAlloc_v2(yk_cu_address *ret, size_t size)
{
    void *p = NULL;
    BEGIN_OR_RETURN(true);
    int result = take(size, false, &p);
    *ret = (uintptr_t)p;
    RETURN(result);
}

int cuMemFree_v2(yk_cu_address p)
{
    BEGIN(true);
    if (begun && !fake_is_lost(begun) && fake_current)
        give((void *)(uintptr_t)p, false, __func__);
    RETURN(begun ? begun : give((void *)(uintptr_t)p, false, __func__));
}

int cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total)
{
    BEGIN_OR_RETURN(true);
    *ret_total = (size_t)1 << 30;
    *ret_free = *ret_total - 12345;
    RETURN(YK_CUDA_OK);
}

int cuMemHostAlloc(void **ret, size_t size, unsigned flags)
{
    BEGIN_OR_RETURN(true);
    RETURN(flags == 1 ? take(size, true, ret) : YK_CUDA_INVALID_VALUE);
}

int cuMemFreeHost(void *p)
{
    BEGIN(true);
    if (begun && !fake_is_lost(begun) && fake_current)
        give(p, true, __func__);
    RETURN(begun ? begun : give(p, true, __func__));
}

/* ---- What fake.streams do ---- */

static void work(op *o)
{
    if (o->kind == COPY)
        memcpy(o->dst, o->src, o->size);
    for (size_t i = 0; o->kind == SET && i < o->count; i++)
        memcpy(o->dst + i * o->size, &o->value, o->size);
    if (o->kind == LAUNCH)
        o->fn(&o->launch);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void release(struct yk_cu_event *v)
{
    if (--v->references == 0)
        free(v);
}

void fake_end_event(struct yk_cu_event *v)
{
    struct yk_cu_event **at = &fake.events;
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    release(v);
}

void fake_free_op(op *o)
{
    if (o->event)
        release(o->event);
    free(o->values);
    free(o);
}

/* The fake.lock is fake.held, and not while it works. */
static void do_op(struct yk_cu_stream *s, op *o)
{
    while (o->kind == AFTER && o->event->completed < o->ticket && !s->context->sticky)
        pthread_cond_wait(&fake.changed, &fake.lock);
    if (o->kind == RECORD) {
        o->event->completed = YK_MAX(o->event->completed, o->ticket);
        o->event->ms = now_ms();
    } else if (o->kind != AFTER && !s->context->sticky) {
        int64_t ns = fake.slowness;
        pthread_mutex_unlock(&fake.lock);
        if (ns > 0)
            usleep((useconds_t)(ns / 1000));
        work(o);
        pthread_mutex_lock(&fake.lock);
    }
    fake_free_op(o);
}

static void *stream_thread(void *arg)
{
    struct yk_cu_stream *s = arg;
    fake_running = s;
    pthread_mutex_lock(&fake.lock);
    while (!s->closing || s->first) {
        op *o = s->first;
        if (!o || (fake.held && !s->closing)) {
            pthread_cond_wait(&fake.changed, &fake.lock);
            continue;
        }
        s->busy = true;
        s->first = o->next;
        s->last = s->first ? s->last : &s->first;
        do_op(s, o);
        s->busy = false;
        pthread_cond_broadcast(&fake.changed);
    }
    s->ended = true;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
    return NULL;
}

/* Those that have been closed leave the list here. */
void fake_end_streams(void)
{
    for (struct yk_cu_stream **at = &fake.streams, *s; (s = *at);) {
        if (!s->closing) {
            at = &s->next;
            continue;
        }
        while (!s->ended)
            pthread_cond_wait(&fake.changed, &fake.lock);
        pthread_join(s->thread, NULL);
        *at = s->next;
        free(s);
    }
}

int cuStreamCreate(struct yk_cu_stream **ret, unsigned flags)
{
    BEGIN_OR_RETURN(true);
    struct yk_cu_stream *s = calloc(1, sizeof *s);
    s->context = fake_current;
    s->last = &s->first;
    s->next = fake.streams;
    fake.streams = s;
    fake_count(fake_current, streams, 1);
    pthread_create(&s->thread, NULL, stream_thread, s);
    *ret = s;
    RETURN(flags == 1 ? YK_CUDA_OK : YK_CUDA_INVALID_VALUE);
}

/* One that is not known, or of another context than the fake_current one. */
bool fake_is_wrong(const struct yk_cu_stream *wanted, const char *function)
{
    for (struct yk_cu_stream *s = fake.streams; s; s = s->next)
        if (s == wanted && !s->closing && s->context == fake_current)
            return false;
    fake_complain("a stream that is not of this context", function);
    return true;
}

int cuStreamDestroy_v2(struct yk_cu_stream *s)
{
    BEGIN(true);
    if (fake_is_lost(begun) || fake_is_wrong(s, __func__))
        RETURN(begun ? begun : YK_CUDA_INVALID_HANDLE);
    s->closing = true;
    fake_count(s->context, streams, -1);
    pthread_cond_broadcast(&fake.changed);
    RETURN(begun);
}

int cuStreamQuery(struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    if (fake_is_wrong(s, __func__))
        RETURN(YK_CUDA_INVALID_HANDLE);
    if (s->capture)
        fake_complain("a stream that is captured", __func__);
    RETURN(s->busy || s->first ? YK_CUDA_NOT_READY : YK_CUDA_OK);
}

/* The fake.lock is fake.held. */
int fake_put(struct yk_cu_stream *s, op what, const char *function)
{
    if (fake_is_wrong(s, function) || (s->capture && (what.kind == RECORD || what.kind == AFTER))) {
        if (s->capture)
            fake_complain("an event in a capture", function);
        free(what.values);
        return YK_CUDA_INVALID_HANDLE;
    }
    op *o = malloc(sizeof *o);
    *o = what;
    if (o->event)
        o->event->references++;
    op ***end = s->capture ? &s->capture->last : &s->last;
    **end = o;
    *end = &o->next;
    pthread_cond_broadcast(&fake.changed);
    return YK_CUDA_OK;
}

static int copy(void *dst, bool to, const void *src, bool from, size_t size, struct yk_cu_stream *s, const char *function)
{
    if (!!fake_block_at(dst, size, false) != to || !!fake_block_at(src, size, false) != from) {
        fake_complain("an address that is not where the copy says", function);
        return YK_CUDA_INVALID_VALUE;
    }
    return fake_put(s, (op){.kind = COPY, .dst = dst, .src = src, .size = size}, function);
}

#define POINTER(address) ((void *)(uintptr_t)(address))

int cuMemcpyAsync(yk_cu_address dst, yk_cu_address src, size_t size, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    bool to = fake_block_at(POINTER(dst), size, false), from = fake_block_at(POINTER(src), size, false);
    RETURN(copy(POINTER(dst), to, POINTER(src), from, size, s, __func__));
}

int cuMemcpyHtoDAsync_v2(yk_cu_address dst, const void *src, size_t size, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    RETURN(copy(POINTER(dst), true, src, false, size, s, __func__));
}

int cuMemcpyDtoHAsync_v2(void *dst, yk_cu_address src, size_t size, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    RETURN(copy(dst, false, POINTER(src), true, size, s, __func__));
}

int cuMemcpyDtoDAsync_v2(yk_cu_address dst, yk_cu_address src, size_t size, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    RETURN(copy(POINTER(dst), true, POINTER(src), true, size, s, __func__));
}

static int set(yk_cu_address dst, unsigned value, size_t size, size_t count, struct yk_cu_stream *s, const char *function)
{
    if (dst % size || !fake_block_at(POINTER(dst), size * count, false)) {
        fake_complain("an address that is not the device's or not a multiple", function);
        return YK_CUDA_INVALID_VALUE;
    }
    return fake_put(s, (op){.kind = SET, .dst = POINTER(dst), .value = value, .size = size, .count = count}, function);
}

int cuMemsetD8Async(yk_cu_address dst, unsigned char value, size_t count, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    RETURN(set(dst, value, 1, count, s, __func__));
}

int cuMemsetD16Async(yk_cu_address dst, unsigned short value, size_t count, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    RETURN(set(dst, value, 2, count, s, __func__));
}

int cuMemsetD32Async(yk_cu_address dst, unsigned value, size_t count, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    RETURN(set(dst, value, 4, count, s, __func__));
}

/* ---- Events ---- */

int cuEventCreate(struct yk_cu_event **ret, unsigned flags)
{
    BEGIN_OR_RETURN(true);
    *ret = calloc(1, sizeof **ret);
    **ret = (struct yk_cu_event){.context = fake_current, .references = 1, .timed = !(flags & 2), .next = fake.events};
    fake.events = *ret;
    fake_count(fake_current, events, 1);
    RETURN(YK_CUDA_OK);
}

int cuEventDestroy_v2(struct yk_cu_event *v)
{
    BEGIN(true);
    if (!fake_is_lost(begun)) {
        fake_count(v->context, events, -1);
        fake_end_event(v);
    }
    RETURN(begun);
}

int cuEventRecord(struct yk_cu_event *v, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    int result = fake_put(s, (op){.kind = RECORD, .event = v, .ticket = v->recorded + 1}, __func__);
    v->recorded += result == YK_CUDA_OK;
    RETURN(result);
}

int cuStreamWaitEvent(struct yk_cu_stream *s, struct yk_cu_event *v, unsigned flags)
{
    BEGIN_OR_RETURN(true);
    RETURN(flags ? YK_CUDA_INVALID_VALUE : fake_put(s, (op){.kind = AFTER, .event = v, .ticket = v->recorded}, __func__));
}

int cuEventQuery(struct yk_cu_event *v)
{
    BEGIN_OR_RETURN(true);
    RETURN(v->completed < v->recorded ? YK_CUDA_NOT_READY : YK_CUDA_OK);
}

int cuEventSynchronize(struct yk_cu_event *v)
{
    BEGIN_OR_RETURN(true);
    for (uint64_t ticket = v->recorded; v->completed < ticket && !fake_current->sticky;)
        pthread_cond_wait(&fake.changed, &fake.lock);
    RETURN(fake_current->sticky);
}

int cuEventElapsedTime(float *ret, struct yk_cu_event *from, struct yk_cu_event *to)
{
    BEGIN_OR_RETURN(true);
    if (!from->timed || !to->timed || !from->recorded || !to->recorded)
        RETURN(YK_CUDA_INVALID_HANDLE);
    if (from->completed < from->recorded || to->completed < to->recorded)
        RETURN(YK_CUDA_NOT_READY);
    *ret = (float)(to->ms - from->ms);
    RETURN(YK_CUDA_OK);
}
