/* queues_tbb.cpp - oneTBB's concurrent_bounded_queue behind C functions, for queues.c. */
#include <cstddef>
#include <cstdint>
#include <tbb/concurrent_queue.h>

typedef tbb::concurrent_bounded_queue<uint64_t> queue;

extern "C" {
void *tbb_open(size_t capacity);
void tbb_close(void *tbb);
void tbb_put(void *tbb, uint64_t item);
uint64_t tbb_get(void *tbb);
bool tbb_try_put(void *tbb, uint64_t item);
bool tbb_try_get(void *tbb, uint64_t *ret);

void *tbb_open(size_t capacity)
{
    queue *q = new queue;
    q->set_capacity(static_cast<std::ptrdiff_t>(capacity));
    return q;
}

void tbb_close(void *tbb)
{
    delete static_cast<queue *>(tbb);
}

void tbb_put(void *tbb, uint64_t item)
{
    static_cast<queue *>(tbb)->push(item);
}

uint64_t tbb_get(void *tbb)
{
    uint64_t item;
    static_cast<queue *>(tbb)->pop(item);
    return item;
}

bool tbb_try_put(void *tbb, uint64_t item)
{
    return static_cast<queue *>(tbb)->try_push(item);
}

bool tbb_try_get(void *tbb, uint64_t *ret)
{
    return static_cast<queue *>(tbb)->try_pop(*ret);
}
}
