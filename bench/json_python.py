"""json_python.py FILE: how long json.loads takes for an array of numbers: minimum, median and maximum in nanoseconds (for
a short text of one call, else of one number), then the sum of what it read, for json.c to compare."""
import json
import sys
import time

with open(sys.argv[1], encoding="ascii") as file:
    text = file.read()
calls = 1 if len(text) > 1000 else 2000
times = []
for _ in range(15):
    start = time.perf_counter_ns()
    for _ in range(calls):
        values = json.loads(text)
    times.append((time.perf_counter_ns() - start) / (len(values) if calls == 1 else calls))
times.sort()
total = 0.0
for value in values:
    total += value
print(times[0], times[len(times) // 2], times[-1], repr(total))
