#!/usr/bin/python3
"""peer.py cupy|pyopencl|numpy LOG2N - the same as yoke.c by CuPy, PyOpenCL or NumPy: reads what to do from stdin, a word a
line, and answers with the nanoseconds that it took."""
import sys
import time

import numpy

WHICH, N = sys.argv[1], 1 << int(sys.argv[2])
SIDE = 4096
INDEX = numpy.arange(N, dtype=numpy.uint32)
X = (INDEX % 1000).astype(numpy.float32) / 1000
KEYS = INDEX * numpy.uint32(2654435761)
KEYS ^= KEYS >> 15
KEYS *= numpy.uint32(2246822519)

if WHICH == "cupy":
    import cupy
    x, keys = cupy.asarray(X), cupy.asarray(KEYS)
    y, z = cupy.full(N, 0.5, dtype=cupy.float32), cupy.empty(N, dtype=cupy.float32)
    axpy = cupy.ElementwiseKernel("float32 a, float32 x, float32 y", "float32 z", "z = a * x + y", "triad")
    small = cupy.ElementwiseKernel("float32 a, float32 b, float32 x", "float32 y", "y = a * x + b", "small")
    few, to = x[:1024], z[:1024]
    square = x[:SIDE * SIDE].reshape(SIDE, SIDE)
    product = cupy.empty_like(square)
    CALLS = {"triad": lambda: axpy(numpy.float32(2), x, y, z), "sum": lambda: x.sum(), "scan": lambda: cupy.cumsum(y, out=z),
             "sort": lambda: cupy.sort(keys), "matmul": lambda: cupy.matmul(square, square, out=product)}
    LAUNCH = lambda: small(numpy.float32(2), numpy.float32(1), few, to)
    wait = cupy.cuda.get_current_stream().synchronize
    NAME, REPS = "CuPy " + cupy.__version__, 20
elif WHICH == "numpy": # products alone: the rest of it runs on one thread
    square = X[:SIDE * SIDE].reshape(SIDE, SIDE)
    product = numpy.empty_like(square)
    CALLS = {"matmul": lambda: numpy.matmul(square, square, out=product)}
    wait = lambda: None
    NAME, REPS = "NumPy " + numpy.__version__, 1
else:
    import pyopencl
    import pyopencl.algorithm
    import pyopencl.array
    import pyopencl.elementwise
    import pyopencl.scan
    context = pyopencl.Context([pyopencl.get_platforms()[0].get_devices()[0]])
    queue = pyopencl.CommandQueue(context)
    x, keys = pyopencl.array.to_device(queue, X), pyopencl.array.to_device(queue, KEYS)
    y = pyopencl.array.to_device(queue, numpy.full(N, 0.5, dtype=numpy.float32))
    z = pyopencl.array.empty_like(x)
    axpy = pyopencl.elementwise.ElementwiseKernel(context, "float a, float *x, float *y, float *z",
           "z[i] = a * x[i] + y[i]", "triad")
    small = pyopencl.elementwise.ElementwiseKernel(context, "float a, float b, float *x, float *y",
           "y[i] = a * x[i] + b", "small")
    few, to = x[:1024], z[:1024]
    cumsum = pyopencl.scan.InclusiveScanKernel(context, numpy.float32, "a+b", neutral="0")
    sorter = pyopencl.algorithm.RadixSort(context, "uint *keys", key_expr="keys[i]", sort_arg_names=["keys"])
    CALLS = {"triad": lambda: axpy(numpy.float32(2), x, y, z), "sum": lambda: pyopencl.array.sum(x, queue=queue),
             "scan": lambda: cumsum(y, z), "sort": lambda: sorter(keys, queue=queue)}
    LAUNCH = lambda: small(numpy.float32(2), numpy.float32(1), few, to)
    wait = queue.finish
    NAME, REPS = "PyOpenCL " + pyopencl.VERSION_TEXT, 1


def timed(call):
    call()
    wait()
    start = time.perf_counter_ns()
    for _ in range(REPS):
        call()
    wait()
    return (time.perf_counter_ns() - start) / REPS


def launch():
    LAUNCH()
    wait()
    total = 0
    for _ in range(20):
        start = time.perf_counter_ns()
        for _ in range(100):
            LAUNCH()
        total += time.perf_counter_ns() - start
        wait()
    return total / 2000


print(NAME, flush=True)
for line in sys.stdin:
    word = line.strip()
    print(launch() if word == "launch" else timed(CALLS[word]), flush=True)
