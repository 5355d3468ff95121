"""trees_lang.py - random programs of scopes, groups, deadlines and shields, in a language that trio and yoke both can follow.

A program is lines of words; the statements that end in `}` hold others. Ids are numbers, unique in a program; task 0 is the root.

    sleep D                  waits D ns                          yield             lets others run; a cancel point
    check                    a cancel point, no more             ask               the effective deadline
    scope ID D SHIELD ... }  D ns from now, or inf               group ID ... }    joins its children at the end
    go GROUP TASK ... }      a child in that group               cancel ID         a scope, or a group's own scope
    start GROUP TASK ... }   the same, and waits until it says   started           that
    shield ID 0|1            deadline ID D                       fail CODE         an error, which ends what is around it
    swallow ... }            goes on when a wait in it is told   catch ... }       goes on after an error
    finally ... then ... }    the second part runs in any case

A statement that names a scope or a group that is not open at the time does nothing but say so. No two durations in a program
are equal, and their sums hardly ever are, so that two timers never fire in one instant: what happens in one instant follows
from one cause. Times are whole nanoseconds below 2**53, which trio's floats hold exactly when its second is our nanosecond.
"""
import random

INF = "inf"
BLOCKS = ("scope", "group", "go", "start", "swallow", "catch", "finally")
SPREAD = (1 << 36, 1 << 38, 1 << 40)


class Generator:
    """Writes one program. Every statement costs one of `room`, and deep ones get less of it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.room = self.random.choice((8, 20, 35, 50, 80))
        self.ids = 0
        self.known = []  # every scope and group so far, open or not

    def duration(self):
        return 1 + self.random.randrange(self.random.choice(SPREAD))

    def new(self):
        self.ids += 1
        return self.ids

    def add(self, *words):
        self.lines.append(" ".join(map(str, words)))

    def program(self):
        self.block(0, [], [])
        return self.lines

    def block(self, depth, open_scopes, open_groups, least=1):
        """Some statements. `open_scopes` are those around this place, also those around the groups of its tasks."""
        count = least + self.random.randrange(6 if depth < 4 else 4)
        for _ in range(count):
            if self.room <= 0:
                break
            self.room -= 1
            self.statement(depth, open_scopes, open_groups)
            if self.lines[-1].startswith("fail"):
                break

    def statement(self, depth, scopes, groups):
        choices = self.simple(scopes, groups) + (self.nested(groups) if depth < 7 else [])
        kind = self.random.choices([c[0] for c in choices], [c[1] for c in choices])[0]
        getattr(self, "put_" + kind)(depth, scopes, groups)

    def simple(self, scopes, groups):
        choices = [("sleep", 30), ("yield", 1), ("check", 1), ("ask", 5), ("fail", 2)]
        if self.known:
            choices += [("cancel", 9), ("shield", 10), ("deadline", 6)]
        return choices

    def nested(self, groups):
        choices = [("scope", 18), ("group", 12), ("swallow", 6), ("catch", 8), ("finally", 6)]
        return choices + ([("go", 24), ("start", 6)] if groups else [])

    def put_sleep(self, *_):
        self.add("sleep", self.duration())

    def put_yield(self, *_):
        self.add("yield")

    def put_check(self, *_):
        self.add("check")

    def put_ask(self, *_):
        self.add("ask")

    def put_fail(self, *_):
        self.add("fail", self.random.randrange(1, 10))

    def target(self, scopes):
        """Mostly something around this place, at times anything that was opened before in the text."""
        return self.random.choice(scopes if scopes and self.random.random() < 0.6 else self.known)

    def put_cancel(self, depth, scopes, groups):
        self.add("cancel", self.target(scopes))

    def put_shield(self, depth, scopes, groups):
        """Half of them come down, or go up, in the middle of a scope of their own."""
        if self.random.random() < 0.5:
            self.add("shield", self.target(scopes), self.random.randrange(2))
            return
        up = self.random.randrange(2)
        name = self.begin_scope(INF if self.random.random() < 0.7 else self.duration(), up)
        self.block(depth + 1, scopes + [name], groups)
        self.add("shield", name, 1 - up)
        self.block(depth + 1, scopes + [name], groups)
        self.add("}")

    def put_deadline(self, depth, scopes, groups):
        late = self.random.random()
        self.add("deadline", self.target(scopes), INF if late < 0.15 else 0 if late < 0.2 else self.duration())

    def put_scope(self, depth, scopes, groups):
        late = self.random.random()
        deadline = INF if late < 0.35 else 0 if late < 0.38 else self.duration()
        self.open_scope(deadline, int(self.random.random() < 0.2), depth, scopes, groups)

    def begin_scope(self, deadline, shield):
        self.known.append(self.new())
        self.add("scope", self.ids, deadline, shield)
        return self.ids

    def open_scope(self, deadline, shield, depth, scopes, groups):
        name = self.begin_scope(deadline, shield)
        self.block(depth + 1, scopes + [name], groups)
        self.add("}")

    def put_group(self, depth, scopes, groups):
        name = self.new()
        self.known.append(name)
        self.add("group", name)
        for _ in range(self.random.randrange(4)):
            if self.room > 0:
                self.room -= 1
                self.child(name, depth, scopes + [name], groups + [name])
        self.block(depth + 1, scopes + [name], groups + [name], least=0)
        self.add("}")

    def put_go(self, depth, scopes, groups, how="go"):
        at = self.random.choice((len(groups) - 1, self.random.randrange(len(groups))))
        self.child(groups[at], depth, scopes[:scopes.index(groups[at]) + 1], groups[:at + 1], how)

    def put_start(self, depth, scopes, groups):
        self.put_go(depth, scopes, groups, "start")

    def child(self, group, depth, scopes, groups, how="go"):
        """Children that begin in one instant mostly sleep first: what they do then is at times of their own."""
        self.add(how, group, self.new())
        if self.random.random() < 0.8:
            self.put_sleep()
        if how == "start" and self.random.random() < 0.3:
            self.block(depth + 1, scopes, groups)
        if how == "start" and self.random.random() < 0.9:
            self.add("started")
        self.block(depth + 1, scopes, groups)
        self.add("}")

    def put_swallow(self, depth, scopes, groups):
        self.add("swallow")
        self.block(depth + 1, scopes, groups)
        self.add("}")

    def put_catch(self, depth, scopes, groups):
        self.add("catch")
        self.block(depth + 1, scopes, groups)
        self.add("}")

    def put_finally(self, depth, scopes, groups):
        self.add("finally")
        self.block(depth + 1, scopes, groups)
        self.add("then")
        if self.random.random() < 0.7:  # as it should be: shielded, with a deadline
            self.open_scope(self.duration(), 1, depth + 1, scopes, groups)
        else:
            self.block(depth + 1, scopes, groups)
        self.add("}")


def generate(seed):
    return Generator(seed).program()


def parse(lines):
    """The nested form: a list of (words, blocks). Missing `}` at the end are made up for."""
    words = [line.split() for line in lines]
    nodes, _ = parse_block(words, 0)
    return nodes


def parse_block(words, at):
    nodes = []
    while at < len(words) and words[at][0] not in ("}", "then"):
        head, blocks = words[at], []
        at += 1
        if head[0] in BLOCKS:
            while True:
                inner, at = parse_block(words, at)
                blocks.append(inner)
                ended = at >= len(words) or words[at][0] == "}"
                at += 1
                if ended:
                    break
        nodes.append((head, blocks))
    return nodes, at


def unparse(nodes):
    lines = []
    for head, blocks in nodes:
        lines.append(" ".join(head))
        for number, block in enumerate(blocks):
            if number:
                lines.append("then")
            lines += unparse(block)
        if blocks:
            lines.append("}")
    return lines


def smaller(nodes):
    """Programs like this one with one thing less: a statement gone, or a block in its own statement's place."""
    for i, (head, blocks) in enumerate(nodes):
        yield nodes[:i] + nodes[i + 1:]
        for block in blocks:
            yield nodes[:i] + block + nodes[i + 1:]
        for b, block in enumerate(blocks):
            for less in smaller(block):
                yield nodes[:i] + [(head, blocks[:b] + [less] + blocks[b + 1:])] + nodes[i + 1:]
