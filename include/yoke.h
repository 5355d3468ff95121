/* yoke.h - write a C function once, run it on every kind of parallel hardware. Includes every part; each part's header
 * is its manual and can be included alone. */
#ifndef YOKE_H
#define YOKE_H
#include <yoke/base.h>
#include <yoke/task.h>
#include <yoke/future.h>
#include <yoke/executor.h>
#include <yoke/fork.h>
#include <yoke/loop.h>
#include <yoke/thread.h>
#include <yoke/queues.h>
#include <yoke/async.h>
#include <yoke/channel.h>
#include <yoke/scan.h>
#include <yoke/sort.h>
#include <yoke/algorithm.h>
#include <yoke/pipeline.h>
#include <yoke/pool.h>
#include <yoke/sync.h>
#include <yoke/json.h>
#include <yoke/module.h>
#include <yoke/gpu.h>
#include <yoke/primitive.h>
#include <yoke/array.h>
#define YK_ALL_OF_YOKE
#include <yoke/kernel.h>
#include <yoke/program.h>
#include <yoke/scan_kernel.h>
#include <yoke/source.h>
#undef YK_ALL_OF_YOKE
#include <yoke/testing.h>
#include <yoke/tls.h>
#include <yoke/net.h>
#include <yoke/trace.h>
#endif
