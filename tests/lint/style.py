#!/usr/bin/python3
"""tests/lint/style.py [ROOT]: the house rules that can be read off the source, in about a second.

One line per breach, "FILE:LINE: RULE: what", and exit status 1 if there was any. A breach that has a reason stands in
tests/lint/allow as "RULE FILE[:NAME] reason"; an entry that nothing needs any more is a breach itself.
"""
import os
import re
import statistics
import subprocess
import sys

LONGEST_LINE = 130
FILE_LINES = (100, 800)
FUNCTION_MEDIAN, FUNCTION_P90, FUNCTION_MAX = 15, 60, 150
COMPLEXITY_MAX = 25

# The house, from the ground up. A part may include from the floors below it, and from the parts to its left on its own.
FLOORS = [["base", "topo", "trace"], ["sync", "task"], ["exec", "threads"], ["process", "gpu", "async"], [], ["tools"]]
ROOMS = [part for floor in FLOORS for part in floor]
# The part that each public header belongs to, where that is not its own name.
HEADER_PARTS = {"pp": "base", "json": "task", "module": "task", "executor": "exec", "future": "exec",
                "fork": "threads", "loop": "threads", "thread": "threads", "queues": "sync", "channel": "sync", "sort": "threads",
                "scan": "threads", "algorithm": "threads", "pipeline": "threads",
                "pool": "threads", "sync": "sync", "kernel": "gpu", "dialect": "gpu", "program": "gpu",
                "scan_kernel": "gpu", "source": "gpu", "array": "gpu", "primitive": "gpu", "tls": "async", "net": "async",
                "child": "async", "io": "async", "signal": "async", "testing": "async"}
# What other parts may include of a part, besides PART/PART.h.
SHARED_HEADERS = {"base/line.h", "base/list.h", "base/spin.h", "base/sys.h", "base/sha256.h", "sync/mutex.h", "sync/self.h",
                  "sync/wait.h", "sync/who.h", "topo/topo.h", "topo/distance.h", "topo/past_cache.h", "trace/trace.h",
                  "task/module.h", "threads/crash.h", "gpu/cuda.h", "gpu/kernel.h"}

BANNED_CALLS = "strcpy strcat sprintf vsprintf gets strtok atoi atol atoll atof strncpy strncat tmpnam mktemp".split()
# Words that must not be in the tree. Put together here so that this file does not hold them.
FOREIGN = [r"/(?:ho" + r"me|ro" + r"ot|wo" + r"rk)/", r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b"]

complaints = []


def complain(rule, file, line, text, name=None):
    complaints.append((rule, file, line, text, name))


# ---- reading ----

def listing(root):
    """Tracked and new files, without what git ignores; everything when there is no repository (a release)."""
    done = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        names = done.stdout.splitlines()
    else:
        names = [os.path.relpath(os.path.join(folder, name), root) for folder, _, files in os.walk(root) for name in files]
    return sorted(n for n in set(names) if os.path.isfile(os.path.join(root, n)) and not n.startswith("build"))


def is_text(name):
    return "/corpus/" not in name and (name.endswith((".c", ".h", ".cpp", ".py", ".sh", ".md", ".map", ".cmake", ".in", ".txt"))
                                       or os.path.basename(name) in ("meson.build", "Makefile", "setup", "run", "configure"))


def is_c(name):
    return name.endswith((".c", ".h")) and not name.startswith("tests/doc/")


def blank_out(match):
    return re.sub(r"[^\n]", " ", match[0])


TOKENS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_of(text):
    """The C text with comments, strings and characters made blank, so that lines and columns stay."""
    return TOKENS.sub(blank_out, text)


class Tree:
    def __init__(self, root):
        self.root = root
        self.names = [n for n in listing(root) if is_text(n)]
        self.texts = {}
        for name in self.names:
            with open(os.path.join(root, name), encoding="utf-8", errors="surrogateescape") as file:
                self.texts[name] = file.read()
        self.code = {n: code_of(self.texts[n]) for n in self.names if is_c(n)}

    def under(self, *folders, end=".c"):
        return [n for n in self.names if n.startswith(tuple(f + "/" for f in folders)) and n.endswith(end)]


def each_match(pattern, text):
    for match in re.finditer(pattern, text):
        yield text.count("\n", 0, match.start()) + 1, match


# ---- rules: each looks at the whole tree ----

def lines(tree):
    for name, text in tree.texts.items():
        if text and not text.endswith("\n"):
            complain("newline", name, text.count("\n") + 1, "the last line has no end")
        for number, line in enumerate(text.split("\n"), 1):
            if "\t" in line and os.path.basename(name) != "Makefile":
                complain("tab", name, number, "a tab")
            if line != line.rstrip():
                complain("blanks", name, number, "blanks at the end of the line")
            if len(line) > LONGEST_LINE and not name.endswith(".md"):
                complain("length", name, number, f"{len(line)} columns, at most {LONGEST_LINE}")


def foreign_words(tree):
    for name, text in tree.texts.items():
        for pattern in FOREIGN:
            for number, match in each_match(pattern, text):
                complain("foreign", name, number, f'"{match[0]}": machine paths and loose ends stay out (open points: NEEDSWORK)')


def comments(tree):
    for name in tree.code:
        for match in TOKENS.finditer(tree.texts[name]):
            if match[0].startswith("//") and not match[0].startswith("// yoke-flags:"):
                complain("comment", name, tree.texts[name].count("\n", 0, match.start()) + 1, "a // comment: use /* */")
    for name in tree.under("src", "include") + tree.under("src", "include", end=".h"):
        if not tree.texts[name].startswith("/*"):
            complain("header", name, 1, "the file does not begin with a comment that says what it is for")


def banned_calls(tree):
    for name, code in tree.code.items():
        for number, match in each_match(r"\b(%s)\s*\(" % "|".join(BANNED_CALLS), code):
            complain("banned", name, number, f"{match[1]}() is not used here", match[1])


def bare_calls(tree):
    """In the library, calls that have an entry in the table yk_sys go through it, so that tests can make them fail. The
    command above it is free: it says what is wrong and ends."""
    table = tree.texts.get("src/base/sys.h", "")
    calls = re.findall(r"^\s*X\([^,]+,\s*(\w+),", table, re.M)
    for name in tree.under("src"):
        if name == "src/base/sys.c" or name.startswith("src/tools/") or not calls:
            continue
        for number, match in each_match(r"(?<![\w.>])(%s)\s*\(" % "|".join(calls), tree.code[name]):
            complain("bare", name, number, f"{match[1]}() instead of yk_sys.{match[1]}()", match[1])


def names(tree):
    for name in tree.under("src", "include") + tree.under("src", "include", end=".h"):
        for number, match in each_match(r"\b(?!_)\w*__\w*\b", tree.code[name]):
            complain("name", name, number, f"{match[0]}: two underscores in a row are reserved in C++", match[0])
        for number, match in each_match(r"^\s*#\s*define\s+(_\w+)|\b(?:struct|enum|union)\s+(_\w+)(?!\w|\()",
                                        tree.code[name]):
            word = match[1] or match[2]
            if not word.startswith("__attribute"):
                complain("name", name, number, f"{word}: a leading underscore is reserved", word)


INCLUDE = r'(?m)^\s*#\s*include\s*(?:"(\w+)/(\w+\.h)"|<yoke/(\w+)\.h>|"([^"/]+)")'


def part_of(path):
    return path.split("/")[1]


def floors(tree):
    """Who includes whom; see FLOORS."""
    for name in tree.under("src") + tree.under("src", end=".h"):
        part = part_of(name)
        if part not in ROOMS:
            complain("floor", name, 1, f"part {part} stands on no floor: enter it in tests/lint/style.py")
            continue
        for number, match in each_match(INCLUDE, tree.texts[name]):
            if match[4]:
                complain("floor", name, number, f'"{match[4]}" without its part: write "{part}/{match[4]}"')
                continue
            public = match[3]
            other = HEADER_PARTS.get(public, public) if public else match[1]
            if other not in ROOMS:
                complain("floor", name, number, f"{other} is no part")
            elif ROOMS.index(other) > ROOMS.index(part):
                complain("floor", name, number, f"{part} includes {other}, which stands above it", other)
            elif not public and other != part and match[2] != other + ".h" and f"{other}/{match[2]}" not in SHARED_HEADERS:
                complain("floor", name, number, f"{other}/{match[2]} is private to {other}")


def file_sizes(tree):
    for name in tree.under("src", "tests", "bench", "examples", "recipes"):
        count = tree.texts[name].count("\n")
        if count > FILE_LINES[1]:
            complain("size", name, 1, f"{count} lines, at most {FILE_LINES[1]}")
        if count < FILE_LINES[0] and name.startswith("src/"):
            complain("size", name, 1, f"{count} lines, at least {FILE_LINES[0]}")


def functions(tree):
    """pmccabe prints: modified and plain complexity, statements, first line, lines, file(line): name."""
    files = tree.under("src", "tests", "bench", "examples", "recipes")
    done = subprocess.run(["pmccabe", *files], cwd=tree.root, capture_output=True, text=True)
    ours = []
    for row in done.stdout.splitlines():
        fields = row.split("\t")
        if len(fields) < 6:
            continue
        complexity, count = int(fields[0]), int(fields[4])
        place = re.match(r"(.*)\((\d+)\): (\S+)", fields[5])
        file, line, function = place[1], int(place[2]), place[3]
        if file.startswith("src/"):
            ours.append(count)
        if count > FUNCTION_MAX:
            complain("function", file, line, f"{function} has {count} lines, at most {FUNCTION_MAX}", function)
        if complexity > COMPLEXITY_MAX:
            complain("complexity", file, line, f"{function} has complexity {complexity}, at most {COMPLEXITY_MAX}", function)
    if len(ours) < 20:
        return
    median, p90 = statistics.median(ours), sorted(ours)[len(ours) * 9 // 10]
    if median > FUNCTION_MEDIAN:
        complain("function", "src", 0, f"the median function has {median:g} lines, at most {FUNCTION_MEDIAN}")
    if p90 > FUNCTION_P90:
        complain("function", "src", 0, f"one function in ten has {p90} lines or more, at most {FUNCTION_P90}")
    print(f"# {len(ours)} functions in src: median {median:g} lines, p90 {p90}, longest {max(ours)}")


def test_lines(tree):
    def total(files):
        return sum(tree.texts[n].count("\n") for n in files)
    source = total(n for end in (".c", ".h") for n in tree.under("src", "include", end=end))
    test = total(n for n in tree.names if n.startswith("tests/") and n.endswith((".c", ".h", ".py", ".sh", ".cpp")))
    print(f"# {source} lines of source, {test} lines of tests: {test / max(source, 1):.2f}")
    if test < source:
        complain("tests", "tests", 0, f"{test} lines of tests for {source} lines of source: at least as many")
    for part in sorted({part_of(n) for n in tree.under("src")}):
        if not any(n.startswith(f"tests/{part}/") for n in tree.names) and part not in ("topo", "trace", "sync"):
            complain("tests", f"src/{part}", 0, f"no tests/{part}")


def documents(tree):
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "doc/index.md"):
        if name not in tree.texts:
            complain("document", name, 0, "is missing")
    if "## Unreleased" not in tree.texts.get("CHANGELOG.md", "## Unreleased"):
        complain("document", "CHANGELOG.md", 1, "no section Unreleased")
    for name in tree.names:
        if name.endswith(".md"):
            links(tree, name)


def links(tree, name):
    """Links between the documents lead somewhere."""
    text = re.sub(r"```.*?```", blank_out, tree.texts[name], flags=re.S)
    for number, match in each_match(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        target = os.path.normpath(os.path.join(tree.root, os.path.dirname(name), match[1]))
        if not os.path.exists(target):
            complain("document", name, number, f"{match[1]} is not there")


RULES = [lines, foreign_words, comments, banned_calls, bare_calls, names, floors, file_sizes, functions, test_lines, documents]


# ---- exceptions ----

def allowed(root):
    entries = {}
    path = os.path.join(root, "tests", "lint", "allow")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                words = line.split(None, 2)
                if not words or words[0].startswith("#"):
                    continue
                if len(words) < 3:
                    complain("allow", "tests/lint/allow", number, "RULE FILE[:NAME] and a reason, please")
                else:
                    entries[words[0], words[1]] = number
    return entries


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    entries = allowed(root)
    tree = Tree(root)
    for rule in RULES:
        rule(tree)
    used, left = set(), []
    for rule, file, line, text, name in complaints:
        keys = [key for key in ((rule, file), (rule, f"{file}:{name}")) if key in entries]
        used.update(keys)
        if not keys:
            left.append(f"{file}:{line}: {rule}: {text}")
    for key in sorted(set(entries) - used):
        left.append(f"tests/lint/allow:{entries[key]}: allow: nothing needs {' '.join(key)} any more")
    print("\n".join(left) if left else "# style: clean")
    sys.exit(1 if left else 0)


main()
