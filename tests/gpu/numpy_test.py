#!/usr/bin/python3
"""Arrays against the real numpy: every operation on every type, through files of both. On the CPU all of it; on OpenCL, where
each kernel is compiled first, a part, unless ARRAY_DEVICES names the devices that all of it is for ("cpu cpu:2 opencl:pocl")."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
os.environ["NPY_PROMOTION_STATE"] = "weak"  # numbers as NumPy 2 has them, in NumPy 1 too
from tap import *

try:
    import numpy as np
except ImportError:
    np = None
    other = shutil.which("python3")  # numpy may be with another Python than the system's
    if other and os.environ.get("NUMPY_TEST_BY") != other:
        os.execve(other, [other, *sys.argv], {**os.environ, "NUMPY_TEST_BY": other})

NAMES = {"bool": "?", "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8", "u8": "u1", "u16": "u2", "u32": "u4", "u64": "u8",
         "f32": "f4", "f64": "f8"}
WHOLE = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"]
FLOATS = ["f32", "f64"]
DEVICES = os.environ.get("ARRAY_DEVICES", "cpu").split()


class Tool:
    """One array-tool, which answers line by line."""

    latest = None  # whose array was got last, and its name

    def __init__(self, device):
        self.device = device
        self.process = subprocess.Popen([os.path.join(BUILD, "tests", "gpu", "array-tool"), device], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.folder = scratch()
        self.files = 0

    def say(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        check(answer, f"no answer to {words}")
        return answer

    def good(self, *words):
        answer = self.say(*words)
        check(answer.startswith("ok"), f"{words}: {answer}")
        return answer

    def path(self):
        self.files += 1
        return os.path.join(self.folder, f"{self.files % 50}.npy")

    def put(self, name, array):
        path = self.path()
        np.save(path, array)
        self.good(name, "=", "load", path)

    def get(self, name):
        path = self.path()
        self.good("save", name, path)
        Tool.latest = self, name
        return np.load(path)

    def close(self):
        self.process.stdin.close()
        equal(self.process.wait(), 0)
        self.process.stdout.close()


def has_opencl():
    tool = subprocess.run([os.path.join(BUILD, "tests", "gpu", "array-tool"), "opencl"], input="",
                          stdout=subprocess.PIPE, text=True)
    return tool.returncode == 0


def on_each_device(function, also=()):
    def all_devices():
        if np is None:
            skip("numpy is not installed")
        more = [d for d in also if "ARRAY_DEVICES" not in os.environ and (d != "opencl" or has_opencl())]
        for device in DEVICES + more:
            tool = Tool(device)
            try:
                function(tool)
            except AssertionError as e:
                raise AssertionError(f"{device}: {e}") from e
            tool.close()
    all_devices.__name__ = function.__name__
    return test(all_devices)


def and_opencl(function):
    return on_each_device(function, ["cpu:2", "opencl"])


def values(name, n, seed):
    """n numbers of a type: whole range, small ones, and for floats what is special."""
    random = np.random.default_rng(seed)
    kind = np.dtype(NAMES[name])
    if kind == bool:
        return random.integers(0, 2, n).astype(bool)
    if kind.kind in "iu":
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        a = random.integers(low, high, n, dtype=kind, endpoint=True)
        small = random.integers(max(low, -9), 9, n).astype(kind)
        a = np.where(random.integers(0, 3, n) > 0, small, a)
        a[:6] = [low, high, 0, 1, max(low, -1) if low < 0 else 1, high]
        return a
    a = random.normal(0, 3, n).astype(kind)
    a[:9] = [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, 2.5]
    return a


def same(got, expected, what, tolerance=0):
    check(got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}")
    check(got.dtype == expected.dtype, f"{what}: {got.dtype}, expected {expected.dtype}")
    if tolerance and expected.dtype.kind == "f":
        with np.errstate(all="ignore"):
            good = np.isclose(got, expected, rtol=tolerance * np.finfo(expected.dtype).eps,
                              atol=tolerance * np.finfo(expected.dtype).tiny,
                              equal_nan=True)
    else:
        good = (got == expected) | ((got != got) & (expected != expected))
    if not np.all(good):
        bad = np.nonzero(~np.atleast_1d(good))
        at, last = (tuple(int(i[k]) for i in bad) for k in (0, -1))
        tool, name = Tool.latest
        again = tool.get(name)  # tells what was computed wrong from what was only read or saved wrong
        read_again = "the same" if again.tobytes() == got.tobytes() else f"{np.sum(again != got)} differ"
        print(f"# {what}: read again: {read_again}; first bytes: {got.tobytes()[:64].hex()}")
        check(False, f"{what}: {len(bad[0])} of {good.size} differ, from {at} to {last}: {np.atleast_1d(got)[at]!r}, expected "
                     f"{np.atleast_1d(expected)[at]!r}")


BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "true_divide", "floor_div": "floor_divide",
          "mod": "remainder",
          "pow": "power", "minimum": "minimum", "maximum": "maximum", "eq": "equal", "ne": "not_equal", "lt": "less",
          "le": "less_equal", "gt": "greater", "ge": "greater_equal", "logical_and": "logical_and", "logical_or": "logical_or",
          "logical_xor": "logical_xor", "bit_and": "bitwise_and", "bit_or": "bitwise_or", "bit_xor": "bitwise_xor",
          "shl": "left_shift", "shr": "right_shift", "atan2": "arctan2", "hypot": "hypot", "copysign": "copysign",
              "fmod": "fmod"}
UNARY = {"neg": "negative", "sign": "sign", "abs": "absolute", "logical_not": "logical_not", "bit_not": "invert", "sin": "sin",
         "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh",
         "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "exp": "exp", "exp2": "exp2",
         "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p", "sqrt": "sqrt", "cbrt": "cbrt",
         "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "floor": "floor", "ceil": "ceil", "round": "rint",
         "trunc": "trunc"}
EXACT = set("add sub mul div floor_div mod minimum maximum eq ne lt le gt ge neg sign abs sqrt isnan isinf isfinite floor "
            "ceil round "
            "trunc copysign fmod logical_and logical_or logical_xor logical_not bit_and bit_or bit_xor bit_not shl shr".split())
ONLY_FLOATS = set("atan2 hypot copysign fmod".split())
KEEP_WHOLE = set("floor ceil round trunc".split())


def expectation(op, name, *arrays):
    """What numpy says, or None where it refuses; the half precision that it makes of 8 bits is f32 here."""
    function = getattr(np, name)
    if op in KEEP_WHOLE and arrays[0].dtype.kind != "f":
        return arrays[0]
    if op == "fmod" and not any(a.dtype.kind == "f" for a in arrays):
        return None  # floats alone here
    try:
        with np.errstate(all="ignore"):
            if op == "pow" and all(a.dtype.kind in "iub" for a in arrays) and np.any(arrays[1].astype(float) < 0):
                arrays = (arrays[0], np.where(arrays[1] < 0, 0, arrays[1]).astype(arrays[1].dtype))
            result = function(*arrays)
            if result.dtype == np.float16:
                result = function(*[a.astype("f4") if a.dtype.itemsize == 1 else a for a in arrays])
            return result
    except TypeError:
        return None


def is_by_zero(op, b, result):
    """Where integers are divided by zero, or raised to less than 0: not numpy's to say."""
    whole = result is not None and result.dtype.kind in "iu"
    if whole and op in ("floor_div", "mod"):
        return b == 0
    return b < 0 if whole and op == "pow" and b.dtype.kind == "i" else np.zeros(b.shape, bool)


def compare_binary(tool, op, a, b, what):
    expected = expectation(op, BINARY[op], a, b)
    answer = tool.say("r", "=", op, "a", "b")
    if expected is None:
        check(answer.startswith("error") or op == "fmod", f"{what}: numpy refuses, here {answer}")
        return
    check(answer.startswith("ok"), f"{what}: {answer}")
    got = tool.get("r")
    undefined = is_by_zero(op, np.broadcast_to(b, expected.shape), expected)
    if op in ("floor_div", "mod") and expected.dtype.kind in "iu":
        check(np.all(got[undefined] == 0), f"{what}: division by 0 is not 0")
    if op == "floor_div" and expected.dtype.kind == "i":  # the least by -1 wraps here, in every numpy
        pass
    got, expected = np.where(undefined, 0, got).astype(got.dtype), np.where(undefined, 0, expected).astype(expected.dtype)
    same(got, expected, what, 0 if op in EXACT else 8)


@on_each_device
def every_binary_operation_on_every_type(tool):
    for number, name in enumerate(NAMES):
        a, b = values(name, 60, number), values(name, 60, number + 100)[::-1].copy()
        tool.put("a", a)
        tool.put("b", b)
        for op in BINARY:
            compare_binary(tool, op, a, b, f"{op} of {name}")


@and_opencl
def an_operation_on_one_type_or_another(tool):
    for number, op in enumerate(sorted(BINARY)):
        name = list(NAMES)[number * 7 % len(NAMES)]
        if number % 3 == 0:
            a, b = values(name, 60, number), values(name, 60, number + 100)[::-1].copy()
            tool.put("a", a)
            tool.put("b", b)
            compare_binary(tool, op, a, b, f"{op} of {name}")


@on_each_device
def types_meet_as_in_numpy(tool):
    for one in NAMES:
        for other in NAMES:
            a, b = values(one, 40, 3), values(other, 40, 4)[::-1].copy()
            if one[0] == "f" or other[0] == "f":
                a, b = (np.nan_to_num(x, nan=1.5, posinf=7, neginf=-7) if x.dtype.kind == "f" else x for x in (a, b))
            tool.put("a", a)
            tool.put("b", b)
            for op in ("add", "lt", "bit_xor", "atan2"):
                compare_binary(tool, op, a, b, f"{one} {op} {other}")


@on_each_device
def every_unary_operation_on_every_type(tool):
    for number, name in enumerate(NAMES):
        a = values(name, 80, number + 7)
        tool.put("a", a)
        for op, theirs in UNARY.items():
            expected = expectation(op, theirs, a)
            answer = tool.say("r", "=", op, "a")
            if expected is None:
                check(answer.startswith("error"), f"{op} {name}: numpy refuses, here {answer}")
            else:
                check(answer.startswith("ok"), f"{op} {name}: {answer}")
                same(tool.get("r"), expected, f"{op} {name}", 0 if op in EXACT else 8)


@on_each_device
def numbers_bend_to_the_array(tool):
    for name in NAMES:
        a = values(name, 30, 11)
        tool.put("a", a)
        for number in (0, 1, 3, 100, 2.5, -0.75):
            if name == "bool" and isinstance(number, int):
                expected = a.astype("i8")
            else:
                expected = a
            for op in ("add", "mul", "minimum", "gt", "div"):
                with np.errstate(all="ignore"):
                    theirs = getattr(np, BINARY[op])(expected, number)
                tool.good("r", "=", op, "a", f"#{number}")
                if name == "bool" and op == "minimum":
                    continue
                same(tool.get("r"), theirs, f"{op} {name} {number}", 2)
    tool.put("a", np.zeros(3, "u1"))
    has(tool.say("r", "=", "add", "a", "#256"), "u8 cannot hold the number 256")
    has(tool.say("r", "=", "add", "a", "#-1"), "u8 cannot hold the number -1")
    tool.put("a", np.zeros(3, "i1"))
    has(tool.say("r", "=", "add", "a", "#-129"), "i8 cannot hold the number -129")
    tool.good("r", "=", "add", "a", "#-128")
    tool.put("a", np.zeros(3, "u8"))
    tool.good("r", "=", "add", "a", "#18446744073709551615")
    equal(int(tool.get("r")[0]), 2 ** 64 - 1)


@on_each_device
def every_type_becomes_every_other(tool):
    for one in NAMES:
        a = values(one, 50, 21)
        if one[0] == "f":
            a = np.concatenate([np.array([0, 1, 2.5, -3.9, 100.75, 0.3, -0.3], NAMES[one]), a[:1] * 0])
        tool.put("a", a)
        for other in NAMES:
            expected = a
            if one[0] == "f" and other[0] == "u":
                expected = np.maximum(a, 0)  # below the range: the least
            expected = expected.astype(NAMES[other])
            tool.good("r", "=", "astype", "a", other)
            same(tool.get("r"), expected, f"{one} as {other}")


def shape_steps(random, tool):
    """A random array under the name a, then a random view of it as v; both as numpy has them."""
    shape = tuple(int(n) for n in random.integers(1, 7, random.integers(1, 5)))
    name = list(NAMES)[random.integers(0, len(NAMES))]
    count = int(np.prod(shape))
    a = values(name, max(count, 9), int(random.integers(0, 1000)))[:count].reshape(shape)
    if a.dtype.kind == "f":
        a = np.nan_to_num(a, nan=0.5, posinf=2, neginf=-2)
    tool.put("a", a)
    v = a
    tool.good("v", "=", "flat", "a")
    for _ in range(int(random.integers(0, 4))):
        v = random_view(random, tool, v)
    return v


def random_view(random, tool, v):
    kind = random.integers(0, 5)
    if v.ndim == 0:
        return v
    axis = int(random.integers(-v.ndim, v.ndim))
    if kind == 0:
        axes = [int(x) for x in random.permutation(v.ndim)]
        tool.good("v", "=", "transpose", "v", ",".join(map(str, axes)))
        return v.transpose(axes)
    if kind == 1:
        start, stop = (None if random.integers(0, 3) == 0 else int(random.integers(-8, 9)) for _ in range(2))
        step = int(random.choice([-3, -2, -1, 1, 2, 3]))
        tool.good("v", "=", "slice", "v", axis, *("none" if x is None else x for x in (start, stop)), step)
        index = [slice(None)] * v.ndim
        index[axis] = slice(start, stop, step)
        return v[tuple(index)]
    if kind == 2 and v.ndim > 1 and v.shape[axis] > 0:
        i = int(random.integers(-v.shape[axis], v.shape[axis]))
        tool.good("v", "=", "index", "v", axis, i)
        return np.take(v, i, axis)
    if kind == 3:
        tool.good("v", "=", "flip", "v", axis)
        return np.flip(v, axis)
    if v.ndim < 4:
        at = int(random.integers(-v.ndim - 1, v.ndim + 1))
        tool.good("v", "=", "expand", "v", at)
        return np.expand_dims(v, at)
    return v


@on_each_device
def views_are_numpys(tool):
    random = np.random.default_rng(5)
    for _ in range(50):
        v = shape_steps(random, tool)
        same(tool.get("v"), v, "view")
        tool.good("r", "=", "add", "v", "v")
        same(tool.get("r"), v + v, "view + view")
        if v.size:
            tool.good("r", "=", "reshape", "v", -1)
            same(tool.get("r"), v.reshape(-1), "reshape")
        tool.good("r", "=", "squeeze", "v", "all")
        same(tool.get("r"), v.squeeze(), "squeeze")
        tool.good("w", "=", "copy", "v")
        tool.good("assign", "w", "#1")
        same(tool.get("w"), np.ones_like(v), "assign of a number")


@on_each_device
def reshapes_share_where_steps_can_say_it(tool):
    random = np.random.default_rng(9)
    for _ in range(40):
        a = np.arange(24 * int(random.integers(1, 4)), dtype="i4").reshape(2, 3, -1, 2)
        tool.put("v", a)
        axes = [int(x) for x in random.permutation(4)]
        tool.good("v", "=", "transpose", "v", ",".join(map(str, axes)))
        v = a.transpose(axes)
        shape = [int(x) for x in random.permutation([2, 6, 2])] if random.integers(0, 2) else [4, 6]
        while np.prod(shape) != a.size:
            shape[-1] = a.size // int(np.prod(shape[:-1]))
        tool.good("r", "=", "reshape", "v", ",".join(map(str, shape)))
        same(tool.get("r"), v.reshape(shape), f"{axes} {shape}")


@and_opencl
def shapes_broadcast_as_in_numpy(tool):
    random = np.random.default_rng(6)
    for _ in range(40):
        shape = [int(n) for n in random.integers(1, 5, random.integers(0, 5))]
        arrays = []
        for name in ("a", "b", "c"):
            own = [1 if random.integers(0, 3) == 0 else n for n in shape][int(random.integers(0, len(shape) + 1)):]
            arrays.append(np.array(random.integers(-9, 9, own), "f4"))
            tool.put(name, arrays[-1])
        tool.good("r", "=", "mul", "a", "b")
        same(tool.get("r"), np.multiply(arrays[0], arrays[1]) + np.zeros((), "f4"), "broadcast")
        tool.good("r", "=", "where", "a", "b", "c")
        same(tool.get("r"), np.where(arrays[0], arrays[1], arrays[2]), "where")
        tool.good("r", "=", "clip", "a", "b", "c")
        same(tool.get("r"), np.minimum(np.maximum(arrays[0], arrays[1]), arrays[2]), "clip")
    tool.put("a", np.zeros((2, 3)))
    tool.put("b", np.zeros((4, 3)))
    equal(tool.say("r", "=", "add", "a", "b"),
          "error a + b: shapes f64 (2, 3) and f64 (4, 3) do not meet: on an axis, counted from the "
          "last, lengths are equal, or one is 1")
    has(tool.say("r", "=", "broadcast", "a", "4,2"), "f64 (2, 3) cannot become (4, 2)")


@and_opencl
def long_maps(tool):
    """So many elements that several threads have some, which begin in the middle of rows."""
    random = np.random.default_rng(21)
    a = random.integers(-1000, 1000, (5, 70, 211)).astype("i4")
    b, c = (random.integers(-1000, 1000, shape).astype("i4") for shape in ((70, 1), (211,)))
    for name, array in (("a", a), ("b", b), ("c", c)):
        tool.put(name, array)
    tool.good("r", "=", "add", "a", "b")
    same(tool.get("r"), a + b, "a column")
    tool.good("r", "=", "sub", "c", "a")
    same(tool.get("r"), c - a, "a row")
    tool.good("t", "=", "transpose", "a", "all")
    tool.good("r", "=", "neg", "t")
    same(tool.get("r"), -a.T, "transposed")
    tool.good("s", "=", "slice", "a", 2, 210, 0, -3)
    tool.good("r", "=", "astype", "s", "f64")
    same(tool.get("r"), a[:, :, 210:0:-3].astype("f8"), "backwards")
    tool.good("r", "=", "mul", "s", "b")
    same(tool.get("r"), a[:, :, 210:0:-3] * b, "backwards by a column")


@on_each_device
def where_takes_any_types(tool):
    for name in NAMES:
        condition, a, b = values(name, 30, 1), values("i16", 30, 2), values("f32", 30, 3)
        tool.put("c", condition)
        tool.put("a", a)
        tool.put("b", b)
        tool.good("r", "=", "where", "c", "a", "b")
        same(tool.get("r"), np.where(condition, a, b), f"where {name}")
        tool.good("r", "=", "where", "c", "#2", "a")
        same(tool.get("r"), np.where(condition, np.int16(2), a), f"where {name}")


def axes_of(random, ndim):
    n = int(random.integers(0, ndim + 1))
    return tuple(int(x) for x in random.permutation(ndim)[:n])


def reduce_expected(op, v, axes, keep):
    with np.errstate(all="ignore"):
        if op in ("argmin", "argmax"):
            return np.asarray(getattr(np, op)(v, axis=axes[0] if len(axes) == 1 else None, keepdims=bool(keep)))
        return np.asarray(getattr(np, op)(v, axis=axes, keepdims=bool(keep)))


@on_each_device
def reductions_are_numpys(tool):
    random = np.random.default_rng(8)
    for turn in range(110):
        v = shape_steps(random, tool)
        op = ["sum", "prod", "min", "max", "any", "all", "argmin", "argmax", "mean", "var", "std"][turn % 11]
        keep = int(random.integers(0, 2))
        axes = tuple(range(v.ndim)) if random.integers(0, 3) == 0 else axes_of(random, v.ndim)
        if op.startswith("arg"):
            axes = axes[:1] if axes else tuple(range(v.ndim))
        words = ["r", "=", op, "v", ("all" if len(axes) == v.ndim else ",".join(map(str, axes)) or "none"), keep]
        if op in ("var", "std"):
            words.append(0)
        try:
            expected = reduce_expected(op, v, axes, keep)
        except ValueError:
            check(tool.say(*words).startswith("error"), f"{op} of nothing")
            continue
        if op in ("mean", "var", "std") and v.size == 0:
            continue  # NaN with warnings
        tool.good(*words)
        if expected.dtype == np.float16 or (op in ("mean", "var", "std") and v.dtype == np.float32):
            expected = expected.astype(tool.get("r").dtype)
        tolerance = 0 if v.dtype.kind not in "f" and op not in ("mean", "var", "std") else 40000
        same(tool.get("r"), expected, f"{op} of {v.dtype} {v.shape} along {axes}", tolerance)


@and_opencl
def long_reductions(tool):
    random = np.random.default_rng(10)
    for shape in ((300000,), (3, 100000), (100000, 3), (700, 300), (5, 4, 9000), (40, 60, 50), (150, 5000), (20000, 40)):
        for name in ("f32", "f64", "i32", "u8", "bool") if tool.device != "opencl" else ("f32", "i32"):
            a = (random.random(shape) * 200).astype(NAMES[name])
            tool.put("a", a)
            for axes in [()] + [(d,) for d in range(len(shape))] + [tuple(range(len(shape)))]:
                for op in ("sum", "max", "argmin" if len(axes) != 0 else "any", "mean"):
                    if op == "argmin" and len(axes) not in (1, len(shape)):
                        continue
                    tool.good("r", "=", op, "a", "all" if len(axes) == len(shape) else ",".join(map(str, axes)) or "none", 0)
                    got, expected = tool.get("r"), reduce_expected(op, a.astype("f8") if name == "f32" else a, axes, 0)
                    if name == "f32" and op not in ("argmin", "any"):
                        expected = expected.astype("f4")
                    same(got, expected, f"{op} {name} {shape} {axes}", 64)


@on_each_device
def arrays_are_made_as_in_numpy(tool):
    for name in WHOLE + FLOATS:
        for start, stop, step in ((0, 10, 1), (3, 40, 7), (9, 0, -2), (5, 5, 1), (5, 2, 1)):
            if name[0] == "u" and step < 0:
                continue
            tool.good("r", "=", "arange", name, start, stop, step)
            same(tool.get("r"), np.arange(start, stop, step).astype(NAMES[name]), f"arange {name}")
        for n, m, k in ((3, 3, 0), (4, 2, 1), (2, 5, -1), (0, 3, 0), (3, 3, 7)):
            tool.good("r", "=", "eye", name, n, m, k)
            same(tool.get("r"), np.eye(n, m, k, dtype=NAMES[name]), f"eye {name}")
        tool.good("r", "=", "zeros", name, "2,3")
        same(tool.get("r"), np.zeros((2, 3), NAMES[name]), "zeros")
        tool.good("r", "=", "ones", name, "none")
        same(tool.get("r"), np.ones((), NAMES[name]), "ones")
        tool.good("r", "=", "full", name, "3", "#7")
        same(tool.get("r"), np.full(3, 7, NAMES[name]), "full")
    for name in FLOATS:
        for n in (0, 1, 2, 7, 1000):
            tool.good("r", "=", "linspace", name, -1.5, 2.25, n)
            same(tool.get("r"), np.linspace(-1.5, 2.25, n).astype(NAMES[name]), "linspace", 2)
    tool.good("r", "=", "arange", "f64", 0, 1, 0.1)
    same(tool.get("r"), np.arange(0, 1, 0.1), "arange", 2)
    has(tool.say("r", "=", "arange", "i32", 0, 1, 0), "arange: from 0 to 1 by 0")
    has(tool.say("r", "=", "arange", "i32", 0.5, 4, 1), "from 0.5 by 1 in i32")
    has(tool.say("r", "=", "linspace", "i32", 0, 4, 1), "it makes f32 or f64")
    has(tool.say("r", "=", "full", "u8", "3", "#300"), "u8 cannot hold the number 300")


@on_each_device
def files_of_numpy(tool):
    for name, code in NAMES.items():
        for shape in ((), (0,), (3,), (2, 3), (0, 4), (2, 3, 4), (1, 2, 3, 4)):
            count = int(np.prod(shape))
            a = values(name, count + 9, 2)[:count].reshape(shape)
            for order in "CF":
                for form in ("<", ">", "="):
                    for version in ((1, 0), (2, 0), (3, 0)):
                        path = tool.path()
                        with open(path, "wb") as file:
                            np.lib.format.write_array(file, np.asarray(a.astype(form + code if count else code), order=order),
                                                      version)
                        tool.good("r", "=", "load", path)
                        same(tool.get("r"), a, f"{name} {shape} {order} {form} {version}")
    path = tool.path()
    for array, text in ((np.zeros(3, "c16"), "its type is '<c16'"), (np.zeros(3, "f2"), "its type is '<f2'"),
                        (np.zeros(3, "U2"), "its type is '<U2'"), (np.zeros((1,) * 5), "it has 5 dimensions, at most 4"),
                        (np.zeros(2, "i4,f4"), "records")):
        np.save(path, array)
        has(tool.say("r", "=", "load", path), text)
    has(tool.say("r", "=", "load", path + ".none"), "No such file or directory")
    has(tool.say("r", "=", "load", tool.folder), "is no regular file")
    tool.good("r", "=", "zeros", "f32", "3")
    has(tool.say("save", "r", tool.folder + "/no/such/r.npy"), "No such file or directory")


@and_opencl
def parts_are_written(tool):
    random = np.random.default_rng(12)
    for turn in range(30):
        v = shape_steps(random, tool).astype("f8")
        tool.good("v", "=", "astype", "v", "f64")
        w = v.copy()
        axis = int(random.integers(0, v.ndim)) if v.ndim else None
        if axis is None:
            continue
        step = int(random.choice([-2, -1, 1, 2]))
        index = [slice(None)] * v.ndim
        index[axis] = slice(None, None, step)
        tool.good("p", "=", "slice", "v", axis, "none", "none", step)
        if turn % 2:
            w[tuple(index)] = 7
            tool.good("assign", "p", "#7")
        else:
            tool.good("s", "=", "slice", "v", axis, 0, w[tuple(index)].shape[axis], 1)
            part = [slice(None)] * v.ndim
            part[axis] = slice(0, w[tuple(index)].shape[axis])
            w[tuple(index)] = w[tuple(part)].copy()
            tool.good("assign", "p", "s")
        same(tool.get("v"), w, "assign")


@and_opencl
def running_sums(tool):
    random = np.random.default_rng(13)
    for turn in range(30):
        v = shape_steps(random, tool)
        if v.ndim == 0:
            continue
        op, axis = ("cumsum", "cumprod")[turn % 2], int(random.integers(-v.ndim, v.ndim))
        with np.errstate(all="ignore"):
            expected = getattr(np, op)(v.astype("f8") if v.dtype == np.float32 else v, axis)
        if v.dtype == np.float32:
            expected = expected.astype("f4")
        tool.good("r", "=", op, "v", axis)
        same(tool.get("r"), expected, f"{op} of {v.dtype} {v.shape} along {axis}", 64 if v.dtype.kind == "f" else 0)
    for shape, axis in (((200001,), 0), ((3, 70000), 1), ((70000, 3), 0), ((300, 5, 50), 1)):
        for name in ("i32", "f64", "u8"):
            a = (random.random(shape) * 100).astype(NAMES[name])
            tool.put("a", a)
            tool.good("r", "=", "cumsum", "a", axis)
            same(tool.get("r"), np.cumsum(a, axis), f"cumsum {name} {shape}", 4096 if name == "f64" else 0)
    has(tool.say("r", "=", "cumsum", "a", 3), "cumsum: axis 3 of u8 (300, 5, 50), which has 0 to 2, or -1 to -3")


@and_opencl
def products_of_matrices(tool):
    random = np.random.default_rng(14)
    shapes = [((3,), (3,)), ((3, 4), (4,)), ((4,), (4, 2)), ((2, 3), (3, 5)), ((70, 90), (90, 65)), ((4, 2, 3), (3, 5)),
              ((2, 1, 3, 4), (5, 4, 2)), ((3, 0), (0, 4)), ((1, 1), (1, 1)), ((129, 300), (300, 1)), ((0, 3), (3, 2))]
    for number, (one, other) in enumerate(shapes):
        for name in list(NAMES) if number == 4 else ("f32", "i32", "bool", "f64"):
            a, b = (random.random(shape) * 9 for shape in (one, other))
            a, b = a.astype(NAMES[name]) if name != "bool" else a > 5, b.astype(NAMES[name]) if name != "bool" else b > 5
            tool.put("a", a)
            tool.put("b", b)
            tool.good("r", "=", "matmul", "a", "b")
            expected = np.matmul(a, b)
            same(tool.get("r"), np.asarray(expected), f"matmul {name} {one} {other}", 300)
    a = np.arange(12, dtype="i2").reshape(3, 4)
    tool.put("a", a)
    tool.good("t", "=", "transpose", "a", "all")
    tool.good("f", "=", "astype", "t", "f32")
    tool.good("r", "=", "matmul", "t", "a")
    same(tool.get("r"), a.T @ a, "transposed")
    tool.good("r", "=", "matmul", "a", "f")
    same(tool.get("r"), a @ a.T.astype("f4"), "two types")
    has(tool.say("r", "=", "matmul", "a", "a"), "matmul: i16 (3, 4) by i16 (3, 4)")
    tool.good("o", "=", "index", "a", 0, 0)
    tool.good("o", "=", "index", "o", 0, 0)
    has(tool.say("r", "=", "matmul", "a", "o"), "there are no axes")


@and_opencl
def arrays_are_joined(tool):
    random = np.random.default_rng(15)
    for turn in range(20):
        v = shape_steps(random, tool)
        if v.ndim == 0:
            continue
        axis = int(random.integers(-v.ndim, v.ndim))
        tool.good("w", "=", "astype", "v", "f32")
        other = v.astype("f4")
        tool.good("r", "=", "concatenate", axis, "v", "w", "v")
        same(tool.get("r"), np.concatenate([v, other, v], axis), f"concatenate {v.shape} {axis}")
        if v.ndim < 4:
            at = int(random.integers(-v.ndim - 1, v.ndim + 1))
            tool.good("r", "=", "stack", at, "v", "v")
            same(tool.get("r"), np.stack([v, v], at), f"stack {v.shape} {at}")
        tool.good("r", "=", "repeat", "v", 3, axis)
        same(tool.get("r"), np.repeat(v, 3, axis), f"repeat {v.shape} {axis}")
        if v.shape[axis] > 0:
            tool.good("r", "=", "diff", "v", axis)
            same(tool.get("r"), np.diff(v, axis=axis), f"diff {v.shape} {axis}")
    tool.put("a", np.zeros((2, 3)))
    tool.put("b", np.zeros((2, 4)))
    has(tool.say("r", "=", "concatenate", 0, "a", "b"), "concatenate: f64 (2, 3) and f64 (2, 4) differ off axis 0")


@and_opencl
def elements_by_number(tool):
    random = np.random.default_rng(16)
    for turn in range(30):
        v = shape_steps(random, tool)
        if v.ndim == 0 or 0 in v.shape:
            continue
        axis = int(random.integers(-v.ndim, v.ndim))
        ndim = int(random.integers(0, min(3, 6 - v.ndim)))
        if v.ndim - 1 + ndim > 4:
            continue
        n = v.shape[axis]
        shape = [int(x) for x in random.integers(1, 5, ndim)]
        numbers = random.integers(-n, n, shape).astype(NAMES[("i32", "i64", "i8")[turn % 3]])
        tool.put("n", np.asarray(numbers))
        tool.good("r", "=", "take", "v", "n", axis)
        same(tool.get("r"), np.asarray(np.take(v, numbers, axis)), f"take {v.shape} {axis}")
        if ndim == 1:
            numbers = random.permutation(n)[:max(1, n // 2)].astype("i8")
            tool.put("n", numbers)
            tool.good("w", "=", "copy", "v")
            tool.good("put", "w", "n", axis, "#1")
            expected = v.copy()
            np.moveaxis(expected, axis, 0)[numbers] = 1
            same(tool.get("w"), expected, f"put {v.shape} {axis}")
    tool.put("a", np.zeros((2, 3)))
    tool.put("n", np.array([0, 3]))
    has(tool.say("r", "=", "take", "a", "n", 1), "take: number 3 of an axis of 3")
    tool.put("n", np.array([-3]))
    has(tool.say("r", "=", "take", "a", "n", 0), "take: number -3 of an axis of 2")
    has(tool.say("put", "a", "n", 0, "#1"), "put: number -3 of an axis of 2")
    tool.put("n", np.array([0.0]))
    has(tool.say("r", "=", "take", "a", "n", 0), "numbers of elements are integers")


@on_each_device
def sorts_and_choices(tool):
    random = np.random.default_rng(17)
    for number, name in enumerate(NAMES):
        for shape, axis in (((40,), 0), ((5, 9), 1), ((7, 4), 0), ((2, 3, 4), -2), ((0,), 0), ((3, 0), 0)):
            a = values(name, 60, number)[:int(np.prod(shape))].reshape(shape)
            tool.put("a", a)
            tool.good("r", "=", "sort", "a", axis)
            same(tool.get("r"), np.sort(a, axis), f"sort {name} {shape}")
            tool.good("r", "=", "argsort", "a", axis)
            same(tool.get("r"), np.argsort(a, axis, kind="stable"), f"argsort {name} {shape}")
            unsigned_zeros = a + 0 if a.dtype.kind == "f" else a
            tool.put("a", unsigned_zeros)
            mask = random.integers(0, 2, shape).astype(bool)
            tool.put("m", mask)
            tool.good("r", "=", "select", "a", "m")
            same(tool.get("r"), unsigned_zeros[mask], f"select {name} {shape}")
            tool.good("r", "=", "nonzero", "m")
            same(tool.get("r"), np.flatnonzero(mask), f"nonzero {shape}")
            numbers = np.nan_to_num(unsigned_zeros) if a.dtype.kind == "f" else a
            tool.put("a", numbers)
            tool.good("r", "=", "unique", "a")
            same(tool.get("r"), np.unique(numbers), f"unique {name} {shape}")
    a = random.integers(0, 1000, 100000).astype("i4")
    tool.put("a", a)
    tool.good("r", "=", "argsort", "a", 0)
    same(tool.get("r"), np.argsort(a, kind="stable"), "argsort of many")
    tool.good("r", "=", "unique", "a")
    same(tool.get("r"), np.unique(a), "unique of many")
    has(tool.say("r", "=", "sort", "a", 1), "sort: axis 1 of i32 (100000,)")
    for kind in ("i1", "u2", "i8", "f4"):  # many short lines, of which many elements are equal
        a = random.integers(0, 4, (500, 8)).astype(kind)
        tool.put("a", a)
        for axis in (0, 1):
            tool.good("r", "=", "sort", "a", axis)
            same(tool.get("r"), np.sort(a, axis), f"sort of lines {kind}")
            tool.good("r", "=", "argsort", "a", axis)
            same(tool.get("r"), np.argsort(a, axis, kind="stable"), f"argsort of lines {kind}")
    for bits, kind in ((0x7fc00000, "u4"), (0x7ff8 << 48, "u8")):  # equal ones of other bits stay in their order
        nans = np.array([bits + 5, bits, bits + (1 << (31 if kind == "u4" else 63)), bits + 1], kind)
        a = np.concatenate([[0.0, -0.0, 1.0, -0.0, 0.0], nans.view(kind.replace("u", "f"))]).astype(kind.replace("u", "f"))
        a = random.permutation(np.tile(a, 20))
        tool.put("a", a)
        tool.good("r", "=", "argsort", "a", 0)
        same(tool.get("r"), np.argsort(a, kind="stable"), f"argsort of equal ones, {kind}")


main()
