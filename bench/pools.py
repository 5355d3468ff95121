"""Python's pools, measured for the benchmarks that name them as peers: prints one number, nanoseconds per task.

    pools.py threads        ThreadPoolExecutor: submit and result, 1000 at a time
    pools.py roundtrip      multiprocessing.Pool: one apply after the other
    pools.py pipelined      multiprocessing.Pool.imap, chunksize 1
    pools.py executor       ProcessPoolExecutor: one submit and result after the other
    pools.py array MIB      Pool.apply with a numpy array of that many MiB, argument and result
"""
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def add(pair):
    return pair[0] + pair[1]


def negate(array):
    return -array


def per_task(count, work):
    start = time.perf_counter_ns()
    total = work(count)
    took = time.perf_counter_ns() - start
    if total != count * (count + 1) // 2:
        sys.exit("wrong answer")
    return took / count


def threads():
    with ThreadPoolExecutor() as pool:
        def work(n):
            return sum(f.result() for f in [pool.submit(add, (i, 1)) for i in range(n)])
        work(1000)
        return per_task(1000, work)


def roundtrip():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        def work(n):
            return sum(pool.apply(add, ((i, 1),)) for i in range(n))
        work(200)
        return per_task(2000, work)


def pipelined():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        def work(n):
            return sum(pool.imap(add, ((i, 1) for i in range(n))))
        work(1000)
        return per_task(20000, work)


def executor():
    with ProcessPoolExecutor(1) as pool:
        def work(n):
            return sum(pool.submit(add, (i, 1)).result() for i in range(n))
        work(100)
        return per_task(1000, work)


def array(mib):
    import numpy
    data = numpy.arange(mib << 17, dtype=numpy.float64)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(negate, (data[:10],))
        start = time.perf_counter_ns()
        for _ in range(3):
            back = pool.apply(negate, (data,))
        took = time.perf_counter_ns() - start
        if back[-1] != -data[-1]:
            sys.exit("wrong answer")
        return took / 3


if __name__ == "__main__":
    what = sys.argv[1]
    print(array(int(sys.argv[2])) if what == "array" else globals()[what]())
