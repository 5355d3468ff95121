/* watch.c - what is reported of locks while YOKE_DEBUG has "locks", and what is not: orders, kinds, hand-over, memory. */
#include "fake.h"
#include <sys/mman.h>

static pthread_barrier_t all_hold;

/* ---- Orders ---- */

static void *b_then_a(void *arg)
{
    pthread_setname_np(pthread_self(), "bob");
    acquire(&B, 30);
    acquire(&A, 31);
    release(&A);
    release(&B);
    return NULL;
}

static void a_then_b(void)
{
    acquire(&A, 18);
    acquire(&B, 20);
    release(&B);
    release(&A);
}

static void inversion(void)
{
    in_thread("bob", b_then_a, NULL);
    a_then_b();
    a_then_b(); /* and once is enough */
    in_thread("bob", b_then_a, NULL);
}

TEST(an_inversion_names_threads_locks_and_places)
{
    check_says(inversion, "yoke: lock order inversion: 2 locks are acquired in orders that can deadlock\n"
                          "  thread \"main\" acquires lock \"B\" at bank.c:20\n"
                          "    while it holds lock \"A\", acquired at bank.c:18\n"
                          "  thread \"bob\" acquired lock \"A\" at bank.c:31\n"
                          "    while it held lock \"B\", acquired at bank.c:30\n"
                          "  Acquire them in the same order everywhere, or under one lock that is always acquired first.\n");
}

static void take_two(fake *first, int line, fake *second)
{
    acquire(first, line);
    acquire(second, line + 1);
    release(second);
    release(first);
}

static void three(void)
{
    take_two(&A, 10, &B);
    take_two(&B, 20, &C);
    take_two(&C, 30, &A);
}

TEST(an_inversion_of_three)
{
    child_end end = in_child(three);
    CHECK_HAS(end.text, "3 locks are acquired in orders that can deadlock\n"
                        "  thread \"main\" acquires lock \"A\" at bank.c:31\n"
                        "    while it holds lock \"C\", acquired at bank.c:30\n"
                        "  thread \"main\" acquired lock \"B\" at bank.c:11\n"
                        "    while it held lock \"A\", acquired at bank.c:10\n"
                        "  thread \"main\" acquired lock \"C\" at bank.c:21\n"
                        "    while it held lock \"B\", acquired at bank.c:20\n");
}

static void other_places(void)
{
    take_two(&A, 10, &B);
    take_two(&B, 20, &A);
    take_two(&B, 20, &A);
    take_two(&C, 40, &G);
    take_two(&G, 50, &C);
}

TEST(each_pair_of_places_is_reported_once)
{
    child_end end = in_child(other_places);
    CHECK_INT(count_of(end.text, "inversion"), 2);
}

static void same_order(void)
{
    for (int i = 0; i < 3; i++) {
        take_two(&A, 10, &B);
        take_two(&B, 20, &C);
        take_two(&A, 30, &C);
    }
}

TEST(one_order_is_quiet)
{
    check_quiet(same_order);
}

static void under_a_gate(void)
{
    acquire(&G, 1);
    take_two(&A, 10, &B);
    release(&G);
    acquire(&G, 2);
    take_two(&B, 20, &A);
    release(&G);
}

TEST(orders_under_a_common_gate_are_quiet)
{
    check_quiet(under_a_gate);
}

static void gate_once_forgotten(void)
{
    under_a_gate();
    take_two(&B, 40, &A);
}

TEST(a_gate_that_was_forgotten_once)
{
    child_end end = in_child(gate_once_forgotten);
    CHECK_INT(count_of(end.text, "inversion"), 1);
    CHECK_HAS(end.text, "acquires lock \"A\" at bank.c:41");
    CHECK_HAS(end.text, "acquired lock \"B\" at bank.c:11");
}

static void by_try(void)
{
    take_two(&A, 10, &B);
    acquire(&B, 20);
    yk_watch_try(&A, "lock", "A", "bank.c", 21); /* never waits: no order */
    yk_watch_have(&A);
    drop(&A);
    release(&B);
}

TEST(a_try_makes_no_order)
{
    check_quiet(by_try);
}

static void held_by_try(void)
{
    take_two(&A, 10, &B);
    yk_watch_try(&B, "lock", "B", "bank.c", 20);
    yk_watch_have(&B);
    acquire(&A, 21); /* but what a try has got is held like anything else */
    release(&A);
    drop(&B);
}

TEST(what_a_try_holds_counts)
{
    child_end end = in_child(held_by_try);
    CHECK_HAS(end.text, "acquires lock \"A\" at bank.c:21\n    while it holds lock \"B\", acquired at bank.c:20\n");
}

static void try_without_place(void)
{
    take_two(&A, 10, &B);
    yk_watch_have(&B);
    acquire(&A, 21);
    release(&A);
    drop(&B);
}

TEST(a_place_that_is_not_known)
{
    child_end end = in_child(try_without_place);
    CHECK_HAS(end.text, "while it holds lock \"B\", acquired at an unknown place\n");
}

static void taken_back(void)
{
    take(&A, "lock", 10);
    drop(&A); /* as a wait for a condition does */
    yk_watch_have(&A);
    acquire(&B, 21);
    release(&B);
    drop(&A);
    take_two(&B, 30, &A);
}

TEST(a_lock_that_is_taken_back_keeps_its_place)
{
    child_end end = in_child(taken_back);
    CHECK_HAS(end.text, "while it held lock \"A\", acquired at bank.c:10\n");
}

static void taken_back_unseen(void)
{
    CHECK_INT(yk_watch_want(&R, NULL, NULL, "bank.c", 10), 0); /* of a kind that nobody has said */
    yk_watch_have(&R);
    for (int i = 0; i < 2; i++)
        CHECK_INT(take(&R, "rlock", 20 + i), 0); /* so it may be this one */
    drop(&R);
    CHECK_INT(yk_watch_want(&R, NULL, NULL, "bank.c", 30), 0);
    yk_watch_have(&R);
    CHECK_INT(take(&R, "rlock", 31), 0);
}

TEST(what_is_taken_back_unseen_has_no_kind)
{
    check_quiet(taken_back_unseen);
}

/* ---- Recursion and sides ---- */

static void rlock_again(void)
{
    for (int i = 0; i < 3; i++)
        CHECK_INT(take(&R, "rlock", 10 + i), 0);
    CHECK_INT(take(&A, "lock", 20), 0);
    CHECK_INT(take(&R, "rlock", 21), 0); /* holding A, but it cannot wait */
    drop(&R);
    drop(&A);
    for (int i = 0; i < 3; i++)
        drop(&R);
}

TEST(an_rlock_taken_again_is_quiet)
{
    check_quiet(rlock_again);
}

static void rlock_counts(void)
{
    take(&R, "rlock", 1);
    take(&R, "rlock", 2);
    drop(&R);
    take(&A, "lock", 3); /* R is still held */
    drop(&A);
    drop(&R);
    take(&A, "lock", 4); /* not any more */
    take(&R, "rlock", 5);
}

TEST(an_rlock_is_held_until_its_last_release)
{
    child_end end = in_child(rlock_counts);
    CHECK_HAS(end.text, "acquired lock \"A\" at bank.c:3\n    while it held rlock \"R\", acquired at bank.c:1\n");
    CHECK_INT(count_of(end.text, "inversion"), 1);
}

static void lock_again(void)
{
    take(&A, "lock", 9); /* a sanitizer may have a thread of its own, so this one is not alone */
    drop(&A);
    CHECK_INT(take(&A, "lock", 10), 0);
    CHECK_INT(take(&A, "lock", 11), -EDEADLK);
    CHECK_INT(take(&A, "lock", 11), -EDEADLK);
}

TEST(a_lock_taken_again_is_a_deadlock)
{
    check_says(lock_again, "yoke: deadlock: a thread waits for itself\n"
                           "  thread \"main\" acquires lock \"A\" at bank.c:11\n"
                           "    and holds it already, acquired at bank.c:10\n");
}

static void sides(void)
{
    CHECK_INT(take(&A, "read", 10), 0);
    CHECK_INT(take(&A, "read", 11), 0);
    CHECK_INT(take(&A, "write", 12), -EDEADLK);
    drop(&A);
    drop(&A);
    CHECK_INT(take(&A, "write", 13), 0);
    CHECK_INT(take(&A, "read", 14), -EDEADLK);
}

TEST(sides_of_a_read_write_lock)
{
    check_says(sides, "yoke: lock order inversion: a thread reads under a lock twice, and deadlocks when a writer comes in "
                      "between\n"
                      "  thread \"main\" acquires rwlock \"A\" to read at bank.c:11\n"
                      "    and holds it already, acquired to read at bank.c:10\n"
                      "  Read under it once, or use yoke_rwlock_read_try() or a time limit for the second time.\n"
                      "yoke: deadlock: a thread waits for itself\n"
                      "  thread \"main\" acquires rwlock \"A\" to write at bank.c:12\n"
                      "    and holds it already, acquired to read at bank.c:10\n"
                      "yoke: deadlock: a thread waits for itself\n"
                      "  thread \"main\" acquires rwlock \"A\" to read at bank.c:14\n"
                      "    and holds it already, acquired to write at bank.c:13\n");
}

static void take_sides(fake *first, const char *how, int line, fake *second, const char *how_second)
{
    CHECK_INT(take(first, how, line), 0);
    CHECK_INT(take(second, how_second, line + 1), 0);
    drop(second);
    drop(first);
}

static void readers_only(void)
{
    take_sides(&A, "read", 10, &B, "read");
    take_sides(&B, "read", 20, &A, "read");
    take_sides(&A, "read", 30, &C, "lock");
    take_sides(&C, "lock", 40, &A, "read");
}

TEST(readers_do_not_exclude_each_other)
{
    check_quiet(readers_only);
}

static void reader_and_writer(void)
{
    take_sides(&A, "read", 10, &B, "lock");
    take_sides(&B, "lock", 20, &A, "write");
}

TEST(a_reader_and_a_writer_do)
{
    child_end end = in_child(reader_and_writer);
    CHECK_HAS(end.text, "acquires rwlock \"A\" to write at bank.c:21");
    CHECK_HAS(end.text, "while it held rwlock \"A\", acquired to read at bank.c:10");
}

/* ---- Hand-over, reuse, names ---- */

static void *release_it(void *l)
{
    drop(l);
    return NULL;
}

static void signals(void)
{
    take(&A, "lock", 10);
    in_thread("other", release_it, &A); /* A is a signal from here on */
    take_sides(&A, "lock", 20, &B, "lock");
    take_sides(&B, "lock", 30, &A, "lock");
    take(&A, "lock", 40);
    CHECK_INT(take(&A, "lock", 41), 0);
}

TEST(a_lock_that_is_handed_over_is_left_alone)
{
    check_quiet(signals);
}

/* A waits for a ball that B throws, and B for A's, from the first use of the locks on. */
static fake side[2] = {FAKE("lock", "side 0"), FAKE("lock", "side 1")};

static void *play(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < 200; i++) {
        CHECK_INT(acquire(&side[me], 50 + me), 0);
        release(&side[!me]);
    }
    return NULL;
}

static void play_ball(void)
{
    pthread_t a, b;
    acquire(&side[0], 1);
    acquire(&side[1], 2);
    CHECK_INT(pthread_create(&a, NULL, play, (void *)0), 0);
    CHECK_INT(pthread_create(&b, NULL, play, (void *)1), 0);
    release(&side[0]);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

TEST(signals_from_the_first_use_on)
{
    check_quiet(play_ball);
}

static void *hold_only(void *arg)
{
    take(&A, "lock", 10);
    take(&B, "lock", 11); /* never released so far, so perhaps these are signals */
    return NULL;
}

static void settle_later(void)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, hold_only, NULL), 0);
    pthread_join(t, NULL); /* the locks are free again: their holder is gone */
    take(&B, "lock", 20);
    take(&A, "lock", 21);
    fprintf(stderr, "in doubt\n");
    drop(&A);
    fprintf(stderr, "still\n");
    drop(&B); /* both are locks */
}

TEST(a_cycle_in_doubt_is_reported_when_it_is_sure)
{
    child_end end = in_child(settle_later);
    CHECK_HAS(end.text, "in doubt\nstill\nyoke: lock order inversion: 2 locks are acquired in orders that can deadlock\n");
    CHECK_HAS(end.text, "acquired lock \"A\" at bank.c:21\n    while it held lock \"B\", acquired at bank.c:20\n");
    CHECK_INT(count_of(end.text, "inversion"), 1);
}

static void *used_before(void *arg)
{
    CHECK_INT(take(&A, "lock", 10), 0);
    drop(&A);
    CHECK_INT(take(&A, "lock", 11), 0);
    CHECK_INT(take(&A, "lock", 12), -EDEADLK); /* though it is not alone */
    return NULL;
}

static void twice_among_others(void)
{
    in_thread("user", used_before, NULL);
}

TEST(taken_twice_by_who_has_released_it_before)
{
    child_end end = in_child(twice_among_others);
    CHECK_HAS(end.text, "acquires lock \"A\" at bank.c:12\n    and holds it already, acquired at bank.c:11\n");
}

/* One after another, so that the second has the first one's record. */
static void *uses_as_a_lock(void *arg)
{
    acquire(&A, 10);
    release(&A);
    *(yk_who **)arg = yk_who_mine;
    return NULL;
}

static _Atomic int told_to_wait;

static void *waits_for_a_signal(void *first)
{
    acquire(&A, 20);
    CHECK(yk_who_mine == *(yk_who **)first);
    CHECK_INT(yk_watch_want(&A, "lock", "A", "bank.c", 21), 0); /* it has not released it before */
    atomic_store(&told_to_wait, 1);
    while (atomic_load(&A.taken))
        usleep(200);
    yk_watch_have(&A);
    return NULL;
}

static void one_record_two_threads(void)
{
    yk_who *first = NULL;
    pthread_t t;
    in_thread("first", uses_as_a_lock, &first);
    CHECK_INT(pthread_create(&t, NULL, waits_for_a_signal, &first), 0);
    while (!atomic_load(&told_to_wait))
        usleep(200);
    release(&A);
    pthread_join(t, NULL);
}

TEST(a_thread_is_not_taken_for_one_that_had_its_record)
{
    check_quiet(one_record_two_threads);
}

static void taken_twice_after_a_fork(void)
{
    take(&A, "lock", 10);
    drop(&A);
    pid_t pid = fork();
    if (pid == 0)
        _exit(take(&A, "lock", 11) == 0 && take(&A, "lock", 12) == -EDEADLK ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
}

TEST(who_has_released_it_before_is_known_after_a_fork)
{
    child_end end = in_child(taken_twice_after_a_fork);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "acquires lock \"A\" at bank.c:12\n    and holds it already, acquired at bank.c:11\n");
}

static void reuse(void)
{
    take_sides(&A, "lock", 10, &B, "lock");
    yk_watch_forget(&A);
    take_sides(&B, "lock", 20, &A, "lock"); /* another lock at A's place */
    yk_watch_forget(&B);
    take_sides(&A, "lock", 30, &B, "lock");
    take(&A, "lock", 40);
    yk_watch_forget(&A); /* even while it is held */
    CHECK_INT(take(&A, "lock", 41), 0);
    yk_watch_forget(&C); /* never seen */
}

TEST(memory_that_becomes_another_lock)
{
    check_quiet(reuse);
}

static void nameless(void)
{
    fake x = FAKE("lock", NULL), y = FAKE("lock", NULL);
    take_sides(&x, "lock", 10, &y, "lock");
    take_sides(&y, "lock", 20, &x, "lock");
}

TEST(locks_without_a_name)
{
    child_end end = in_child(nameless);
    CHECK_HAS(end.text, "acquires lock #1 (first acquired at bank.c:10) at bank.c:21");
    CHECK_HAS(end.text, "while it holds lock #2 (first acquired at bank.c:11), acquired at bank.c:20");
}

static void *leave_held(void *kind)
{
    pthread_setname_np(pthread_self(), "careless");
    take(&R, kind, 70);
    return NULL;
}

static void leaves_rlock(void)
{
    char kind[] = "rlock";
    in_thread("careless", leave_held, kind);
}

static void leaves_lock(void)
{
    char kind[] = "lock"; /* somebody else may release that */
    in_thread("careless", leave_held, kind);
}

TEST(a_thread_that_ends_with_a_lock)
{
    check_says(leaves_rlock, "yoke: thread \"careless\" ended holding rlock \"R\", acquired at bank.c:70\n"
                             "  Nobody can release it any more.\n");
    check_quiet(leaves_lock);
}

static void strange_drops(void)
{
    yk_watch_drop(&A); /* never seen */
    take(&A, "lock", 1);
    drop(&A);
    drop(&A); /* not held */
    CHECK_INT(take(&A, "lock", 2), 0);
    yk_watch_quit(&A);
    yk_watch_blocked(&B); /* not wanted */
}

TEST(drops_of_what_is_not_held)
{
    check_quiet(strange_drops);
}

/* ---- Files that are unloaded ---- */

static char *page; /* as of a module: names lie in it */

static void load(void)
{
    page = mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (page ? MAP_FIXED : 0), -1, 0);
    CHECK(page != MAP_FAILED);
    snprintf(page, 4096, "plugins/gone.c");
}

/* Not unmapped, so that nothing else can come to lie there. */
static void unload(void)
{
    CHECK_INT(mprotect(page, 4096, PROT_NONE), 0);
}

static void want_from_page(fake *l, int line)
{
    CHECK_INT(yk_watch_want(l, l->kind, NULL, page, line), 0);
    yk_watch_have(l);
}

static void *orders_and_an_orphan(void *arg)
{
    want_from_page(&A, 1);
    want_from_page(&B, 2);
    drop(&B);
    drop(&A);
    want_from_page(&R, 3);
    return NULL;
}

static void after_the_module(void)
{
    load();
    in_thread("plugin", orders_and_an_orphan, NULL);
    want_from_page(&C, 4);
    drop(&C);
    unload();
    yk_watch_have(&C); /* taken back: the place is where it was taken before */
    CHECK_INT(take(&C, "lock", 19), -EDEADLK);
    take(&B, "lock", 20);
    take(&A, "lock", 21);
    drop(&A);
    drop(&B);
    CHECK_INT(yk_watch_want(&R, "rlock", NULL, "bank.c", 22), 0);
    CHECK_INT(yk_watch_blocked_until(&R, YOKE_FOREVER), -EDEADLK);
}

TEST(places_outlive_the_module_that_they_are_in)
{
    child_end end = in_child(after_the_module);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "ended holding rlock #3 (first acquired at gone.c:3), acquired at gone.c:3\n");
    CHECK_HAS(end.text, "acquired lock #2 (first acquired at gone.c:2) at gone.c:2\n"
                        "    while it held lock #1 (first acquired at gone.c:1), acquired at gone.c:1\n");
    CHECK_HAS(end.text, "held when it ended, acquired at gone.c:3\n");
    CHECK_HAS(end.text, "at bank.c:19\n    and holds it already, acquired at gone.c:4\n");
}

static void same_place_again(void)
{
    load();
    want_from_page(&A, 1);
    const char *first = yk_keeper_of(yk_who_mine)->held->site.file;
    CHECK(first != page);
    CHECK_STR(first, "plugins/gone.c");
    drop(&A);
    for (int i = 0; i < 3; i++) {
        unload();
        load(); /* at the same place or not, the name is the same */
        want_from_page(&A, 1);
        CHECK(yk_keeper_of(yk_who_mine)->held->site.file == first);
        drop(&A);
    }
    page[0] = 'P'; /* the same address, another name */
    want_from_page(&A, 1);
    CHECK_STR(yk_keeper_of(yk_who_mine)->held->site.file, "Plugins/gone.c");
    CHECK_STR(first, "plugins/gone.c");
}

TEST(a_name_is_copied_once)
{
    check_quiet(same_place_again);
}

static void more_names_than_are_kept(void)
{
    char name[40];
    const char *file = "";
    int known = 0;
    for (int i = 0; i < 20000 && file; i++) {
        snprintf(name, sizeof name, "src/%d.c", i);
        CHECK_INT(yk_watch_want(&A, "lock", "A", name, i), 0);
        yk_watch_have(&A);
        file = yk_keeper_of(yk_who_mine)->held->site.file;
        if (file)
            CHECK_STR(file, name);
        known += file != NULL;
        drop(&A);
    }
    CHECK(known >= 1000 && known < 20000);
    take(&A, "lock", 1); /* in a file that is not known */
    CHECK_INT(take(&A, "lock", 2), -EDEADLK);
    drop(&A);
    CHECK_INT(yk_watch_want(&A, "lock", "A", "src/0.c", 7), 0); /* in one that is */
    yk_watch_have(&A);
    CHECK_STR(yk_keeper_of(yk_who_mine)->held->site.file, "src/0.c");
}

TEST(names_of_files_are_bounded)
{
    child_end end = in_child(more_names_than_are_kept);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "acquires lock \"A\" at an unknown place\n");
}

/* ---- Memory, fork, many ---- */

static void short_of_memory(void)
{
    yk_sys_fail("malloc", 1, ENOMEM);
    take_sides(&A, "lock", 10, &B, "lock"); /* the file has no name */
    yk_sys_fail("malloc", 0, 0);
    yk_watch_forget(&A);
    yk_watch_forget(&B);
    for (int n = 1; n < 12; n++) {
        yk_sys_fail("calloc", n, ENOMEM);
        take_sides(&A, "lock", 10, &B, "lock");
        take_sides(&B, "lock", 10, &C, "rlock");
        yk_sys_fail("calloc", 0, 0);
        yk_watch_forget(&A);
        yk_watch_forget(&B);
        yk_watch_forget(&C);
    }
}

TEST(without_memory_less_is_seen)
{
    check_quiet(short_of_memory);
}

static void *hold_and_fork(void *arg)
{
    take(&R, "rlock", 10);
    pthread_barrier_wait(&all_hold);
    pthread_barrier_wait(&all_hold);
    drop(&R);
    return NULL;
}

static void fork_with_holders(void)
{
    pthread_t t;
    pthread_barrier_init(&all_hold, NULL, 2);
    pthread_create(&t, NULL, hold_and_fork, NULL);
    pthread_barrier_wait(&all_hold);
    pid_t pid = fork();
    if (pid == 0) {
        take_sides(&A, "lock", 20, &B, "lock");
        _exit(take(&A, "lock", 30) == 0 && take(&A, "lock", 31) == -EDEADLK ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    pthread_barrier_wait(&all_hold);
    pthread_join(t, NULL);
}

TEST(in_a_child_made_by_fork)
{
    child_end end = in_child(fork_with_holders);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "yoke: "), 1); /* the child's own mistake */
    CHECK_HAS(end.text, "acquires lock \"A\" at bank.c:31");
}

enum { MANY = 300, STEPS = 3000 };
static fake many[MANY];

/* Always upwards, so in one order. */
static void *climb(void *seed)
{
    unsigned state = (unsigned)(uintptr_t)seed * 2654435761u + 1;
    for (int i = 0; i < STEPS; i++) {
        state = state * 1664525u + 1013904223u;
        unsigned a = (state >> 8) % (MANY - 2), b = a + 1 + (state >> 20) % (MANY - a - 1);
        acquire(&many[a], 1);
        acquire(&many[b], 2);
        release(&many[b]);
        release(&many[a]);
    }
    return NULL;
}

static void climb_in_threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < MANY; i++)
        many[i] = (fake)FAKE("lock", NULL);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&t[i], NULL, climb, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

TEST(many_locks_in_many_threads)
{
    check_quiet(climb_in_threads);
}

/* ---- YOKE_DEBUG ---- */

static void misspelt(void)
{
    yk_watch_read_debug("lokcs,, nothing ,locks");
    if (!yoke_watching_locks)
        _exit(1);
}

TEST(words_of_yoke_debug)
{
    yoke_watching_locks = false; /* whatever the environment says */
    check_says(misspelt, "yoke: YOKE_DEBUG: no word \"lokcs\"; did you mean \"locks\"?\n"
                         "yoke: YOKE_DEBUG: no word \"nothing\"; there are: locks, forks, async\n");
    yk_watch_read_debug(NULL);
    yk_watch_read_debug("");
    yk_watch_read_debug(" , ");
    CHECK(!yoke_watching_locks);
    yk_watching_forks = false;
    yk_watch_read_debug("fork");
    CHECK(!yk_watching_forks);
    yk_watch_read_debug("forks");
    CHECK(yk_watching_forks && !yoke_watching_locks);
}
