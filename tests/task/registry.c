/* The registry: order, lookup, modules, what is refused, threads, forks and no memory. */
#include "task/task.h"
#include "test.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

YOKE_TASK(int, first, (int, a)) { return a; }
YOKE_TASK(int, second, (const char *, s), (yoke_out_f64, v)) { return s && v.ptr; }
YOKE_TASK(yoke_str, third) { return (yoke_str){"", 0}; }

static void call_none(const void *args, void *ret) { (void)args; (void)ret; }
static yoke_task make(const char *name)
{
    return (yoke_task){YOKE_ABI, 1, name, "void", "made.c", YOKE_VOID, 0, 0, 0, NULL, NULL, call_none, NULL};
}
/* Only the address of a module matters to the registry. */
static char modules[2];
#define MODULE(i) ((yoke_module *)(void *)&modules[i])

static int load(yoke_module *m, yoke_task *task, yk_error *e)
{
    yk_registry_begin(m);
    yoke_register(task);
    return yk_registry_end(m, e);
}

TEST(constructors_registered_before_main)
{
    CHECK(yoke_find("first") == &yoke_task_first);
    CHECK(yoke_find("second") == &yoke_task_second);
    CHECK(yoke_find("fourth") == NULL);
    CHECK(yoke_find("") == NULL);
    CHECK_INT(yk_task_count(), 3);
    CHECK(yk_task_by_id(3) == NULL && yk_task_by_id(UINT32_MAX) == NULL);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_INT(yk_task_by_id(i)->info->id, i);
}

static int join(const yoke_task *task, void *arg)
{
    char *names = arg;
    snprintf(names + strlen(names), 20, "%s", task->name);
    return strcmp(task->name, "second") == 0 ? 5 : 0;
}

TEST(each_goes_in_order_and_stops)
{
    char names[200] = "";
    CHECK_INT(yoke_each_task(join, names), 5);
    CHECK_STR(names, "firstsecond");
}

TEST(info_sums_up_the_parameters)
{
    const yk_task_info *one = yoke_task_first.info, *two = yoke_task_second.info, *three = yoke_task_third.info;
    CHECK(!one->args_point && !one->has_out && one->has_result && !one->ret_points && !one->module);
    CHECK(two->args_point && two->has_out && !two->has_struct);
    CHECK(three->ret_points && !three->args_point);
}

TEST(unregistered_tasks_have_no_signature)
{
    yoke_task t = make("t");
    CHECK(yoke_signature(&t) == NULL);
    CHECK_INT(yoke_signature_hash(&t), 0);
}

TEST(another_abi_is_refused_unread)
{
    struct {
        uint32_t abi;
    } stranger = {YOKE_ABI + 1};
    yk_error e = {0};
    CHECK_INT(load(MODULE(0), (yoke_task *)(void *)&stranger, &e), -EPROTO);
    CHECK_HAS(e.text, "built for ABI 2");
    CHECK_INT(yk_task_count(), 3);
}

TEST(a_name_twice_in_a_module_is_an_error)
{
    static yoke_task a, b;
    a = make("same");
    b = make("same");
    b.line = 77;
    yk_error e = {0};
    yk_registry_begin(MODULE(0));
    yoke_register(&a);
    yoke_register(&b);
    CHECK_INT(yk_registry_end(MODULE(0), &e), -EEXIST);
    CHECK_HAS(e.text, "\"same\" is defined twice (again at line 77)");
    CHECK(b.info == NULL && a.info->module == MODULE(0));
    /* The next load starts clean. */
    yk_registry_begin(MODULE(1));
    CHECK_INT(yk_registry_end(MODULE(1), &e), 0);
}

TEST(the_program_comes_first_then_the_last_module)
{
    static yoke_task own, a, b;
    own = make("first");
    a = make("extra");
    b = make("extra");
    CHECK_INT(load(MODULE(0), &own, NULL), 0);
    CHECK(yoke_find("first") == &yoke_task_first);
    CHECK_INT(load(MODULE(0), &a, NULL), 0);
    CHECK_INT(load(MODULE(1), &b, NULL), 0);
    CHECK(yoke_find("extra") == &b);
    yk_registry_forget(MODULE(1));
    CHECK(yoke_find("extra") == &a);
    yk_registry_forget(MODULE(0));
    CHECK(yoke_find("extra") == NULL && yoke_find("first") == &yoke_task_first);
}

TEST(ids_are_not_given_again)
{
    static yoke_task a, b;
    a = make("a");
    b = make("b");
    load(MODULE(0), &a, NULL);
    uint32_t id = a.info->id;
    yk_registry_forget(MODULE(0));
    CHECK(yk_task_by_id(id) == NULL);
    load(MODULE(1), &b, NULL);
    CHECK_INT(b.info->id, id + 1);
    yk_registry_forget(NULL); /* the program's own stay */
    CHECK(yoke_find("first") != NULL);
}

static int is_named_first(const yoke_task *task, void *arg)
{
    *(int *)arg += strcmp(task->name, "first") == 0;
    return 0;
}

TEST(a_hidden_task_is_found_by_its_id_alone)
{
    static yoke_task same, later;
    int count = 0;
    same = make("first");
    CHECK_INT(yk_register_hidden(&same), 0);
    CHECK(same.info && same.info->hidden && !yoke_task_first.info->hidden);
    CHECK(yk_task_by_id(same.info->id) == &same);
    CHECK(yoke_find("first") == &yoke_task_first);
    yoke_each_task(is_named_first, &count);
    CHECK_INT(count, 1);
    static yoke_task alone;
    alone = make("nobody");
    CHECK_INT(yk_register_hidden(&alone), 0);
    CHECK(yoke_find("nobody") == NULL);
    yk_error e;
    later = make("nobody"); /* is not twice there */
    CHECK_INT(load(NULL, &later, &e), 0);
    CHECK(yoke_find("nobody") == &later);
}

TEST(a_hidden_task_without_memory)
{
    static yoke_task t;
    uint32_t before = yk_task_count();
    for (int n = 1; n < 10; n++) {
        t = make("poor");
        yk_sys_fail("calloc", n, ENOMEM);
        int err = yk_register_hidden(&t);
        if (err == 0)
            break;
        CHECK_INT(err, -ENOMEM);
        CHECK_INT(yk_task_count(), before);
        CHECK(t.info == NULL);
    }
    CHECK_INT(yk_task_count(), before + 1);
}

TEST(no_memory_is_remembered)
{
    static const char *const calls[] = {"calloc", "realloc", "malloc"};
    for (unsigned c = 0; c < YK_COUNT_OF(calls); c++)
        for (int n = 1;; n++) {
            static yoke_task t;
            t = make("t");
            yk_error e = {0};
            yk_sys_fail(calls[c], n, ENOMEM);
            int err = load(MODULE(0), &t, &e);
            int count = yk_sys_fail(calls[c], 0, 0);
            CHECK(err == 0 || err == -ENOMEM);
            CHECK((t.info != NULL) == (err == 0) && (yoke_find("t") != NULL) == (err == 0));
            if (err < 0)
                CHECK_HAS(e.text, "out of memory");
            yk_registry_forget(MODULE(0));
            CHECK(n < 20);
            if (count < n)
                break;
        }
}

#define MANY 300
static yoke_task many[4][MANY];
static char names[4][MANY][16];

static void *register_many(void *arg)
{
    int who = *(int *)arg;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[who][i], sizeof names[who][i], "t%d_%d", who, i);
        many[who][i] = make(names[who][i]);
        yoke_register(&many[who][i]);
        if (yoke_find(names[who][i]) != &many[who][i])
            return arg;
    }
    return NULL;
}

TEST(threads_register_at_once)
{
    pthread_t threads[4];
    int who[4];
    for (int i = 0; i < 4; i++) {
        who[i] = i;
        CHECK_INT(pthread_create(&threads[i], NULL, register_many, &who[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CHECK(!failed);
    }
    CHECK_INT(yk_task_count(), 3 + 4 * MANY);
    for (uint32_t i = 0; i < yk_task_count(); i++)
        CHECK_INT(yk_task_by_id(i)->info->id, i);
}

TEST(a_forked_child_sees_the_same_ids)
{
    uint32_t id = yoke_task_second.info->id;
    pid_t child = fork();
    if (child == 0)
        _exit(yk_task_by_id(id) == &yoke_task_second && yoke_find("third") ? 0 : 1);
    int status = 1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}
