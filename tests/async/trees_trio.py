"""trees_trio.py - runs the programs of trees_lang.py in trio, on its mock clock, and writes what each task saw and when.

A log is lines of `TASK TIME EVENT...`, those of one task together and in order. Lines of different tasks in one instant have no
order, in trio not even a fixed one: it runs what is ready in random order. Whether the *outcome* depends on such an order is
the program's own doing, so run() takes a seed for the order and, if loose, lets tasks be overtaken at any statement.

What differs between the languages is brought together here:
- An error is one number, in trio an exception; where a group has several, the smallest goes on.
- In yoke a scope's end says whether a wait inside was told of the scope's cancellation, in trio whether the exception got there.
  Where a program has swallowed it, it is raised again at the end of the scope; what comes out goes on the same way at the end of
  the scope around, while the program goes on after it. So with groups; and what a child swallowed it keeps from its group.
- A wait that is told at once is none in yoke, and an end of a group without children, while trio lets others run. A loose run
  does either at random.
- The end of a group is not itself told to stop: so it is in trio since 0.22.1, and older ones are brought up to that.
- Who waits for a child that ends without having started, or having come too late with it, and has been told to stop itself, gets
  that from yoke, and from trio an error or a value.
"""
import errno
import random
import sys

import trio
import trio.testing
from trio._core import _run as engine

from trees_lang import INF, generate, parse

Cancelled = trio.Cancelled


class Fail(Exception):
    def __init__(self, code):
        self.code = code


def flatten(exc):
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from flatten(inner)
    else:
        yield exc


async def no_wait():
    pass


class Loose:
    """How an order that is drawn by lot treats statements: with others before them, and waits that are told without."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.overtaken = self.random.choice((0, 0.02, 0.1, 0.5))
        self.at_once = self.random.choice((0, 0.5, 0.9, 1))

    async def overtake(self):
        if self.random.random() < self.overtaken:
            for _ in range(self.random.randrange(1, 6)):
                await trio.lowlevel.cancel_shielded_checkpoint()

    def is_at_once(self):
        return self.random.random() < self.at_once


loose = None  # of the run under way, if it is


async def nursery_ends(self, exc):
    """Nursery._nested_child_finished() as of trio 0.22.1: its wait is not told to stop. If loose, it is none without children."""
    if exc is not None:
        self._add_exc(exc)
    self._nested_child_running = False
    self._check_nursery_closed()
    if not self._closed:
        self._parent_waiting_in_aexit = True
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
    elif not loose or not loose.is_at_once():
        await trio.lowlevel.cancel_shielded_checkpoint()
    assert self._parent_task._child_nurseries.pop() is self
    return BaseExceptionGroup("", self._pending_excs) if self._pending_excs else None


if int(trio.__version__.split(".")[1]) < 31:
    trio.Nursery._nested_child_finished = nursery_ends


class Program:
    def __init__(self, nodes):
        self.nodes = nodes
        self.logs = {}
        self.scopes = {}  # id -> CancelScope of what is open, groups too
        self.groups = {}  # id -> Nursery
        self.open = {}  # task -> its open scopes, the innermost last
        self.told = {}  # CancelScope -> the Cancelled that a wait inside got
        self.by_hand = set()
        self.statuses = {}  # task -> what start() gave it, until it has called started()
        self.moved = set()  # the tasks that have become of the group that they were started for
        self.zero = trio.current_time()

    def now(self):
        return int(trio.current_time() - self.zero)

    def log(self, task, *what):
        self.logs.setdefault(task, []).append(f"{task} {self.now()} " + " ".join(map(str, what)))

    def text(self):
        return "".join(line + "\n" for task in sorted(self.logs) for line in self.logs[task])

    def after(self, duration):
        return trio.current_time() + float(duration)

    async def run(self):
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except Cancelled as exc:
                self.cancelled = exc
        self.log(0, "begin")
        self.log(0, "end", self.outcome(await self.caught(0, self.nodes)))
        return self.text()

    async def block(self, task, nodes):
        for head, blocks in nodes:
            if loose:
                await loose.overtake()
            await getattr(self, "do_" + head[0])(task, head[1:], blocks)

    def tell(self, task, exc):
        """A wait was told: the innermost scope hears of it."""
        if self.open.get(task):
            self.told.setdefault(self.open[task][-1], exc)

    def enter(self, task, name, scope):
        self.scopes[name] = scope
        self.open.setdefault(task, []).append(scope)

    def leave(self, task, name):
        """What a wait in the scope that ends was told."""
        del self.scopes[name]
        return self.told.pop(self.open[task].pop(), None)

    @staticmethod
    def is_cancelled():
        return trio.current_effective_deadline() == -float(INF)

    async def at_once(self):
        raise self.cancelled

    async def wait(self, task, name, coroutine):
        if loose and self.is_cancelled() and loose.is_at_once():
            coroutine.close()
            coroutine = self.at_once()
        told = None
        try:
            await coroutine
        except Cancelled as exc:
            told = exc
            self.tell(task, exc)
        if loose:
            await loose.overtake()
        self.log(task, name, "cancelled" if told else "0")
        if told:
            raise told

    async def do_sleep(self, task, words, blocks):
        await self.wait(task, "sleep", trio.sleep(int(words[0])))

    async def do_yield(self, task, words, blocks):
        await self.wait(task, "yield", trio.lowlevel.checkpoint())

    async def do_check(self, task, words, blocks):
        await self.wait(task, "check", self.at_once() if self.is_cancelled() else no_wait())

    async def do_fail(self, task, words, blocks):
        raise Fail(int(words[0]))

    async def do_ask(self, task, words, blocks):
        deadline = trio.current_effective_deadline()
        deadline = "-inf" if deadline <= trio.current_time() else INF if deadline == float(INF) else int(deadline - self.zero)
        self.log(task, "ask", deadline)

    @staticmethod
    def called(scope):
        return scope._cancel_called or scope._deadline <= trio.current_time()

    async def do_cancel(self, task, words, blocks):
        scope = self.scopes.get(words[0])
        self.log(task, "cancel", words[0], int(scope is not None))
        if scope:
            if not self.called(scope):
                self.by_hand.add(scope)
            scope.cancel()

    async def do_shield(self, task, words, blocks):
        scope = self.scopes.get(words[0])
        self.log(task, "shield", words[0], int(scope is not None))
        if scope:
            scope.shield = words[1] == "1"

    async def do_deadline(self, task, words, blocks):
        scope = self.scopes.get(words[0])
        self.log(task, "deadline", words[0], int(scope is not None))
        if scope:
            scope.deadline = self.after(words[1])
            scope.cancel_called  # looks at the clock now and not only when the task next waits

    async def do_swallow(self, task, words, blocks):
        try:
            await self.block(task, blocks[0])
        except Cancelled:
            self.log(task, "swallow")

    async def do_catch(self, task, words, blocks):
        try:
            await self.block(task, blocks[0])
        except Fail as error:
            self.log(task, "catch", error.code)

    async def caught(self, task, block):
        """The exception that a block ended with, if any."""
        try:
            await self.block(task, block)
        except (Cancelled, Fail) as exc:
            return exc

    @staticmethod
    def outcome(exc):
        return 0 if exc is None else exc.code if isinstance(exc, Fail) else "cancelled"

    @staticmethod
    def parts(exc):
        """The codes of the errors that it is made of, sorted, and the cancellations."""
        parts = list(flatten(exc)) if exc else []
        if any(not isinstance(part, (Cancelled, Fail)) for part in parts):
            raise exc
        return sorted(part.code for part in parts if isinstance(part, Fail)), [p for p in parts if isinstance(p, Cancelled)]

    async def do_finally(self, task, words, blocks):
        first = await self.caught(task, blocks[0])
        self.log(task, "then")
        second = await self.caught(task, blocks[1])
        exc = first if isinstance(first, Fail) or not isinstance(second, Fail) and first else second
        if exc:
            raise exc

    async def do_scope(self, task, words, blocks):
        name = words[0]
        scope = trio.CancelScope(deadline=self.after(words[1]), shield=words[2] == "1")
        self.log(task, "enter", name)
        exc = result = None
        try:
            with scope:
                self.enter(task, name, scope)
                exc = await self.caught(task, blocks[0])
                called = self.called(scope)
                told = self.leave(task, name)
                self.raise_both(exc, told)
        except BaseException as outer:
            result = outer
        codes, cancelled = self.parts(result)
        self.log(task, "leave", name, int(called),
                 "0" if not scope.cancelled_caught else "cancelled" if scope in self.by_hand else "timeout")
        if cancelled:
            self.tell(task, cancelled[0])
        if codes or isinstance(exc, Cancelled) and cancelled:
            raise exc

    @staticmethod
    def raise_both(exc, told):
        if isinstance(exc, Fail) and told:
            raise BaseExceptionGroup("", [exc, told])
        if exc or told:
            raise exc or told

    async def do_group(self, task, words, blocks):
        name = words[0]
        self.log(task, "group", name)
        result = None
        try:
            async with trio.open_nursery() as nursery:
                self.groups[name] = nursery
                self.enter(task, name, nursery.cancel_scope)
                exc = await self.caught(task, blocks[0])
                self.open[task].pop()
                self.raise_both(exc, self.told.pop(nursery.cancel_scope, None))
        except BaseException as outer:
            result = outer
        del self.groups[name]
        del self.scopes[name]
        codes, told = self.parts(result)
        self.log(task, "join", name, ",".join(map(str, codes)) or "0", "cancelled" if told and not codes else "0")
        self.go_on(task, codes, told)

    def go_on(self, task, codes, told):
        """What a group gives to who waited for it."""
        if told:
            self.tell(task, told[0])
        if codes:
            raise Fail(codes[0])
        if told:
            raise told[0]

    def open_group(self, task, name, words):
        nursery = self.groups.get(words[0])
        nursery = nursery if nursery and not nursery._closed else None
        self.log(task, name, words[1], int(nursery is not None))
        return nursery

    async def do_go(self, task, words, blocks):
        nursery = self.open_group(task, "go", words)
        if nursery:
            nursery.start_soon(self.child, int(words[1]), blocks[0])

    async def do_start(self, task, words, blocks):
        nursery = self.open_group(task, "start", words)
        if not nursery:
            return
        child, result = int(words[1]), None
        try:
            await nursery.start(self.child, child, blocks[0])
        except BaseException as outer:
            result = outer if not isinstance(outer, RuntimeError) else None
        codes, told = self.parts(result)
        if child not in self.moved and not result:
            codes, told = ([], [self.cancelled]) if self.is_cancelled() else ([errno.EPROTO], [])
        self.log(task, "wait", child, codes[0] if codes else "cancelled" if told else 0)
        self.go_on(task, codes, told)

    async def child(self, task, block, task_status=None):
        self.log(task, "begin")
        if task_status:
            self.statuses[task] = task_status
        exc = await self.caught(task, block)
        self.log(task, "end", self.outcome(exc))
        if exc:
            raise exc

    async def do_started(self, task, words, blocks):
        status = self.statuses.pop(task, None)
        waited = status is not None and not status._old_nursery._cancel_status.effectively_cancelled
        self.log(task, "started", int(waited))
        if waited:
            self.moved.add(task)
        if status:
            status.started()


def run(programs, order=0, is_loose=False):
    """The logs of some programs (their lines), in one run of trio. Equal arguments give equal logs."""
    async def everything():
        logs = []
        for lines in programs:
            clock._virtual_base = 0.0  # nothing is pending between two programs
            logs.append(await Program(parse(lines)).run())
        return logs
    global loose
    loose = Loose(order) if is_loose else None
    clock = trio.testing.MockClock(autojump_threshold=0)
    engine._ALLOW_DETERMINISTIC_SCHEDULING = True
    engine._r.seed(order)
    return trio.run(everything, clock=clock)


def main():
    """Programs from the standard input, each `tree NAME`, its lines and `end`; or `seed A B`: those of seeds from A to B - 1."""
    if len(sys.argv) == 3:
        for seed in range(int(sys.argv[1]), int(sys.argv[2])):
            print(f"tree {seed}", *generate(seed), "end", sep="\n")
        return
    name, lines = None, []
    for line in sys.stdin:
        word = line.split()
        if word[0] == "tree":
            name, lines = word[1], []
        elif word[0] == "end":
            print(f"tree {name}\n" + run([lines])[0], end="", flush=True)
        else:
            lines.append(line)


if __name__ == "__main__":
    main()
