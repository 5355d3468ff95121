"""cases.py - wrong uses of yoke's macros, and what the first line with an error must say.

Case(name, code, expected...): each expected pattern must be found in the first error line of every compiler. A dict gives
patterns by compiler (gcc, clang, g++, clang++) with "" for the rest. only= restricts the compilers. FRONT precedes each."""
from collections import namedtuple

FRONT = '''
#include <yoke.h>
#ifdef __cplusplus
extern "C" {
#endif
struct point { int x, y; };
YOKE_TASK(double, integrate, (double, a), (double, b), (long, n, "steps", 1000)) { return a + b + (double)n; }
YOKE_TASK(void, nothing) { }
YOKE_TASK(int, greet, (const char *, who)) { return who[0]; }
YOKE_TASK(double, norm, (yoke_in_f64, v)) { return v.ptr[0]; }
YOKE_TASK(int, area, (struct point, p)) { return p.x * p.y; }
'''
END = '''
#ifdef __cplusplus
}
#endif
'''
C = ('gcc', 'clang')
CXX = ('g++', 'clang++')
ALL = C + CXX
Case = namedtuple('Case', 'name code expected only')
cases = []


def wrong(name, code, *expected, only=ALL):
    cases.append(Case(name, code, expected, only))


def call(name, code, *expected, only=ALL):
    wrong(name, 'void use(yoke_executor *ex, yoke_future *f);\nvoid use(yoke_executor *ex, yoke_future *f)\n'
          '{\n    (void)ex;\n    (void)f;\n    %s;\n}' % code, *expected, only=only)


# ---- Definitions: types ----
wrong('raw pointer', 'YOKE_TASK(int, sum, (int *, xs), (int, n)) { return xs[n]; }', 'parameter xs of task sum is a raw pointer')
wrong('pointer to struct', 'YOKE_TASK(int, sum, (int, n), (struct point *, p)) { return p->x; }', 'parameter p of task sum is a raw pointer')
wrong('const pointer', 'YOKE_TASK(int, sum, (const int *, xs)) { return *xs; }', 'parameter xs of task sum is a raw pointer')
wrong('char that is not const', 'YOKE_TASK(int, put, (char *, s)) { return *s; }', 'parameter s of task put is a raw pointer')
wrong('volatile pointer', 'YOKE_TASK(int, peek, (volatile int *, p)) { return *p; }', 'parameter p of task peek is a raw pointer')
wrong('void pointer', 'YOKE_TASK(int, peek, (void *, p)) { return !p; }', 'parameter p of task peek is a raw pointer')
wrong('pointer to pointer', 'YOKE_TASK(int, peek, (const char **, p)) { return !p; }', 'parameter p of task peek is a raw pointer')
wrong('array', 'YOKE_TASK(int, sum, (int[4], xs)) { return 0; }', 'parameter xs of task sum .* cannot leave this process')
wrong('pointer to function', 'typedef int (*hook)(int);\nYOKE_TASK(int, visit, (hook, h)) { return h(1); }', 'parameter h of task visit is a raw pointer')
wrong('function', 'YOKE_TASK(int, visit, (int (*)(int), h)) { return 0; }', 'parameter h of task visit is a raw pointer')
wrong('void parameter', 'YOKE_TASK(int, idle, (void, x)) { return 0; }', {'gcc': 'void', 'clang': 'parameter x of task idle', 'g++': 'parameter x of task idle', 'clang++': 'parameter x of task idle'})
wrong('const parameter', 'YOKE_TASK(int, twice, (const int, n)) { return 2 * n; }', 'parameter n of task twice .*const int')
wrong('complex parameter', 'YOKE_TASK(int, turn, (_Complex double, z)) { return 0; }', 'parameter z of task turn .* cannot leave')
wrong('unknown type', 'YOKE_TASK(int, twice, (strang, n)) { return 2 * n; }', 'strang')
wrong('struct that is not complete', 'YOKE_TASK(int, peek, (struct hidden, h)) { return 0; }', 'hidden')
wrong('pointer result', 'YOKE_TASK(int *, make, (int, n)) { return 0; }', 'task make returns a raw pointer')
wrong('pointer result of no parameters', 'YOKE_TASK(void *, make) { return 0; }', 'task make returns a raw pointer')
wrong('struct pointer result', 'YOKE_TASK(struct point *, make, (int, n)) { return 0; }', 'task make returns a raw pointer')
wrong('struct too large', 'struct huge { char x[70000]; };\nYOKE_TASK(int, lift, (struct huge, h)) { return h.x[0]; }', 'task lift takes or returns more than 65535 bytes')
wrong('result too large', 'struct huge { char x[70000]; };\nYOKE_TASK(struct huge, drop) { struct huge h; h.x[0] = 0; return h; }', 'task drop takes or returns more than 65535 bytes')

# ---- Definitions: form ----
MANY = ', '.join('(int, p%d)' % i for i in range(17))
wrong('17 parameters', 'YOKE_TASK(int, wide, %s) { return 0; }' % MANY, 'task wide: at most 16 parameters')
wrong('24 parameters', 'YOKE_TASK(int, wide, %s, %s) { return 0; }' % (MANY, ', '.join('(int, q%d)' % i for i in range(7))), 'task wide: at most 16 parameters')
wrong('no parentheses', 'YOKE_TASK(int, twice, int n) { return 2 * n; }', r'task twice: write every parameter as \(type, name\)')
wrong('no parentheses round the second', 'YOKE_TASK(int, twice, (int, n), int m) { return n * m; }', r'task twice: write every parameter as \(type, name\)')
wrong('no comma', 'YOKE_TASK(int, twice, (int n)) { return 2 * n; }', r'task twice: write every parameter as \(type, name\)')
wrong('empty parentheses', 'YOKE_TASK(int, twice, ()) { return 0; }', r'task twice: write every parameter as \(type, name\)')
wrong('only void in parentheses', 'YOKE_TASK(int, twice, (void)) { return 0; }', r'task twice: write every parameter as \(type, name\)')
wrong('three dots', 'YOKE_TASK(int, print, (const char *, f), ...) { return 0; }', r'task print: write every parameter as \(type, name\)')
wrong('a comma too many', 'YOKE_TASK(int, twice, (int, n), ) { return n; }', r'task twice: write every parameter as \(type, name\)')
wrong('no name', 'YOKE_TASK(int, ) { return 0; }', 'a task has no name')
wrong('parameter twice', 'YOKE_TASK(int, twice, (int, n), (long, n)) { return 0; }', 'parameter_n_of_task_twice')
wrong('reserved parameter', 'YOKE_TASK(int, twice, (int, yk_ex)) { return 0; }', "parameter yk_ex of task twice: names that start with yk_")
wrong('reserved parameter of submit', 'YOKE_TASK(int, twice, (int, yk_options)) { return 0; }', "parameter yk_options of task twice: names that start with yk_")
wrong('name of a function of yoke', 'YOKE_TASK(int, yoke_open, (int, n)) { return n; }', {'gcc': 'yoke_open', 'clang': 'yoke_open', 'g++': 'yoke_open', 'clang++': 'overloaded'})
wrong('task twice', 'YOKE_TASK(int, nothing) { return 1; }', 'there_is_a_task_nothing_already')
wrong('task twice with parameters', 'YOKE_TASK(int, greet, (const char *, who)) { return 0; }', 'there_is_a_task_greet_already')
wrong('name of a variable', 'static int taken;\nYOKE_TASK(int, taken, (int, n)) { return n; }', 'taken')
wrong('static function of that name', 'static int taken(int n) { return n; }\nYOKE_TASK(int, taken, (long, n)) { return 0; }', 'taken', only=C + ('g++',))
wrong('doc is a number', 'YOKE_TASK(int, twice, (int, n, 42)) { return n; }', 'parameter n of task twice: its documentation is not a string', only=C)
wrong('doc and default in the wrong order', 'YOKE_TASK(int, twice, (int, n, 42, "number")) { return n; }', 'parameter n of task twice: its documentation is not a string', only=C)
wrong('default is text', 'YOKE_TASK(int, twice, (int, n, "", "two")) { return n; }', 'parameter n of task twice: its default is of another type', only=C)
wrong('default is a number', 'YOKE_TASK(int, size, (const char *, s, "", 7)) { return s[0]; }', 'parameter s of task size: its default is of another type', only=C)
wrong('default is unknown', 'YOKE_TASK(int, twice, (int, n, "", nowhere)) { return n; }', 'nowhere')
wrong('default of a struct is a number', 'YOKE_TASK(int, where, (struct point, p, "", 3)) { return p.x; }', 'point', only=C)

# ---- A task of several files ----
wrong('result differs', 'YOKE_TASK_DECL(int, twice, (int, n));\nYOKE_TASK_IMPL(long, twice, (int, n)) { return n; }', {'gcc': 'twice', 'clang': 'twice', 'g++': 'twice', 'clang++': 'return type'})
wrong('type differs', 'YOKE_TASK_DECL(int, twice, (int, n));\nYOKE_TASK_IMPL(int, twice, (long, n)) { return 0; }', 'twice')
wrong('name differs', 'YOKE_TASK_DECL(int, twice, (int, n));\nYOKE_TASK_IMPL(int, twice, (int, m)) { return m; }', 'yoke_args_twice.* m|m.*yoke_args_twice')
wrong('one more in the IMPL', 'YOKE_TASK_DECL(int, twice, (int, n));\nYOKE_TASK_IMPL(int, twice, (int, n), (int, m)) { return n * m; }', 'yoke_args_twice|twice')
wrong('IMPL without DECL', 'YOKE_TASK_IMPL(int, twice, (int, n)) { return 2 * n; }', 'twice')

# ---- Calls ----
call('too few', 'yoke_submit(ex, integrate, 1, 2)', {'clang': 'too few arguments', 'gcc': 'yoke_submit_integrate', 'g++': 'integrate', 'clang++': 'integrate'})
call('none', 'yoke_submit(ex, integrate)', {'clang': 'too few arguments', 'gcc': 'yoke_submit_integrate', 'g++': 'integrate', 'clang++': 'integrate'})
call('too many', 'yoke_submit(ex, integrate, 1, 2, 3, 4)', {'clang': 'too many arguments', 'gcc': 'yoke_submit_integrate', 'g++': 'integrate', 'clang++': 'integrate'})
call('one for none', 'yoke_submit(ex, nothing, 1)', {'clang': 'too many arguments', 'gcc': 'yoke_submit_nothing', 'g++': 'nothing', 'clang++': 'nothing'})
call('unknown task', 'yoke_submit(ex, frobnicate, 1)', 'yoke_(task|submit)_frobnicate')
call('misspelt task', 'yoke_submit(ex, integrat, 1, 2, 3)', 'yoke_(task|submit)_integrat')
call('text for a number', 'yoke_submit(ex, integrate, 1, 2, "three")', {'gcc': 'yoke_submit_integrate', 'clang': "parameter of type 'long'", 'g++': "long", 'clang++': 'integrate'})
call('text for a double', 'yoke_submit(ex, integrate, "one", 2, 3)', {'gcc': 'yoke_submit_integrate', 'clang': "parameter of incompatible type 'double'|'double'", 'g++': 'double', 'clang++': 'integrate'})
call('number for a text', 'yoke_submit(ex, greet, 5)', {'gcc': 'yoke_submit_greet', 'clang': "'const char \\*'", 'g++': 'const char', 'clang++': 'greet'})
call('struct for a number', 'struct point p = {1, 2}; yoke_submit(ex, integrate, 1, p, 3)', {'gcc': 'yoke_submit_integrate', 'clang': "'double'", 'g++': 'double', 'clang++': 'integrate'})
call('number for a struct', 'yoke_submit(ex, area, 3)', {'gcc': 'yoke_submit_area', 'clang': "point", 'g++': 'point', 'clang++': 'area'})
call('out view for an in view', 'yoke_out_f64 v = {0, 0, {0}, {0}}; yoke_submit(ex, norm, v)', {'gcc': 'yoke_submit_norm', 'clang': 'yoke_in_f64', 'g++': 'yoke_in_f64', 'clang++': 'norm'})
call('array for a view', 'static double xs[3]; yoke_submit(ex, norm, xs)', {'gcc': 'yoke_submit_norm', 'clang': 'yoke_in_f64', 'g++': 'yoke_in_f64', 'clang++': 'norm'})
call('view of another element', 'yoke_in_f32 v = {0, 0, {0}, {0}}; yoke_submit(ex, norm, v)', {'gcc': 'yoke_submit_norm', 'clang': 'yoke_in_f64', 'g++': 'yoke_in_f64', 'clang++': 'norm'})
call('future for an executor', 'yoke_submit(f, nothing)', {'gcc': 'yoke_submit_nothing', 'clang': 'yoke_executor', 'g++': 'yoke_executor', 'clang++': 'nothing'})
call('by name: misspelt', 'yoke_kw_submit(ex, integrate, steps = 5)', 'yoke_args_integrate', 'steps')
call('by name: unknown task', 'yoke_kw_submit(ex, integrat, n = 5)', 'integrat')
call('by name: text for a number', 'yoke_kw_submit(ex, integrate, n = "five")', {'gcc': 'long', 'clang': 'long', 'g++': 'long', 'clang++': 'long'})
call('by name: struct for a number', 'struct point p = {1, 2}; yoke_kw_submit(ex, integrate, a = p)', 'double')
call('by name: position', 'yoke_kw_submit(ex, integrate, 5)', '')
call('option misspelt', 'yoke_opt_submit(ex, (retrys = 3), integrate, 1, 2, 3)', 'options_of_integrate', 'retrys')
call('option of another kind', 'yoke_opt_submit(ex, (after = 3), integrate, 1, 2, 3)', 'yoke_future')
call('option is text', 'yoke_opt_submit(ex, (timeout = "1s"), integrate, 1, 2, 3)', 'int64_t|long')
call('options without parentheses', 'yoke_opt_submit(ex, retries = 3, integrate, 1, 2, 3)', '')
call('await void', 'yoke_await(f, void)', 'void')
call('await an unknown type', 'yoke_await(f, strang)', "strang")
call('try into a value', 'int v = 0; (void)yoke_try(f, v)', '')
call('an ordinary call is checked too', 'integrate(1)', {'clang': 'too few arguments', 'gcc': 'integrate', 'g++': 'integrate', 'clang++': 'integrate'})
# ---- Threads ----
call('thread: too few', 'yoke_thread_start("t", integrate, 1, 2)', {'clang': 'too few arguments', 'gcc': 'yoke_submit_integrate', 'g++': 'integrate', 'clang++': 'integrate'})
call('thread: unknown task', 'yoke_thread_start("t", frobnicate, 1)', 'yoke_(task|submit)_frobnicate')
call('thread: no name', 'yoke_thread_start(integrate, 1, 2, 3)', '')
call('thread: option misspelt', 'yoke_opt_thread_start((nam = "t"), nothing)', 'nam')
call('thread: text for a stack', 'yoke_opt_thread_start((stack = "big"), nothing)', 'size_t|long')
call('thread: function without a parameter of its own', 'yoke_thread_call("t", nothing, f)', {'': '', 'g++': 'void', 'clang++': ''})
call('thread: try into a value', 'int v = 0; (void)yoke_thread_try(yoke_thread_current(), v)', '')
wrong('value per thread: start of another type', 'static void begin(int *v) { *v = 1; }\nYOKE_LOCAL(double, mine, begin, NULL);', 'int|double')
call('descriptor misspelt', '(void)yoke_signature(&yoke_task_integrat)', 'yoke_task_integrat')

# ---- Forks and loops ----
FORK = 'YOKE_FORK(long, fib, (int, n)) { if (n < 2) return n; yoke_fork(fib, n - 1); return yoke_call(fib, n - 2) + yoke_join(fib); }\n'


def fork(name, body, *expected, only=ALL):
    wrong('fork: ' + name, FORK + 'YOKE_FORK(long, user, (int, n)) { %s; return n; }' % body, *expected, only=only)


wrong('fork: too many bytes', 'struct huge { char x[49]; };\nYOKE_FORK(int, lift, (struct huge, h)) { return h.x[0]; }', 'fork lift takes more than 48 bytes')
wrong('fork: result too large', 'struct huge { char x[49]; };\nYOKE_FORK(struct huge, drop) { struct huge h; h.x[0] = 0; return h; }', 'fork drop returns more than 48 bytes')
wrong('fork: 17 parameters', 'YOKE_FORK(int, wide, %s) { return 0; }' % MANY, 'fork wide: at most 16 parameters')
wrong('fork: outside a body', FORK + 'long outside(void);\nlong outside(void) { yoke_fork(fib, 1); return 0; }', 'yk_(only_in_a_fork_body|top)')
wrong('fork: join outside a body', FORK + 'long outside(void);\nlong outside(void) { return yoke_join(fib); }', 'yk_(only_in_a_fork_body|top)')
wrong('fork: body missing', 'YOKE_FORK(int, empty, (int, n));\nint use(void);\nint use(void) { return empty(1) + not_there; }', 'not_there|yk_fork_body_empty')
fork('too few arguments', 'yoke_fork(fib)', 'few|no matching|yk_fork_push_fib')
fork('too many arguments', 'yoke_fork(fib, 1, 2)', 'many|no matching|yk_fork_push_fib')
fork('wrong type', 'struct point p = {1, 2}; yoke_fork(fib, p)', 'yk_fork_push_fib|point')
fork('call with a wrong type', 'struct point p = {1, 2}; yoke_call(fib, p)', 'yk_fork_call_fib|point')
wrong('selection into another type',
      'YOKE_PREDICATE(any, i) { return i > 0; }\nint use(int *from, double *to);\n'
      'int use(int *from, double *to)\n{\n    size_t kept;\n    return yoke_select(NULL, from, 4, to, &kept, any);\n}',
      'negative|different pointer types|pointer type mismatch|incompatible|distinct pointer types')
fork('no such fork', 'yoke_fork(fob, 1)', '(a_fork_named|push|in)_fob')
fork('a task is no fork', 'yoke_fork(integrate, 1, 2, 3)', '(a_fork_named|push|join)_integrate')
fork('join of what is no fork', 'long v = yoke_join(integrate)', '(a_fork_named|push|join)_integrate')
fork('join with arguments', 'long v = yoke_join(fib, 1)', 'yoke_join|too many arguments')
wrong('run: no such fork', 'long use(yoke_executor *ex);\nlong use(yoke_executor *ex) { return yoke_run(ex, fob, 1); }', '(a_fork_named|push|in)_fob')
wrong('run: too few arguments', FORK + 'long use(yoke_executor *ex);\nlong use(yoke_executor *ex) { return yoke_run(ex, fib); }', 'few|no matching|yk_fork_in_fib')
LOOP = 'YOKE_LOOP(scale, i, (double, by), (double *, x)) { x[i] *= by; }\n'
wrong('loop: too few arguments', LOOP + 'void use(double *x);\nvoid use(double *x) { yoke_for(NULL, 10, scale, x); }', 'few|no matching|yk_loop_for_scale|double')
wrong('loop: arguments in the wrong order', LOOP + 'void use(double *x);\nvoid use(double *x) { yoke_for(NULL, 10, scale, x, 2); }', 'yk_loop_for_scale|no matching|incompatible|double')
wrong('loop: no such loop', 'void use(void);\nvoid use(void) { yoke_for(NULL, 10, stretch); }', '(a_loop_named|for)_stretch')
wrong('loop: two lengths for one', LOOP + 'void use(double *x);\nvoid use(double *x) { yoke_for2(NULL, 10, 10, scale, 2.0, x); }', 'a_loop_of_2_named_scale|many|no matching')
wrong('loop: no such reduction', LOOP + 'double use(double *x);\ndouble use(double *x) { return yoke_reduce(NULL, 10, scale, 2.0, x); }', '(a_reduction_named|reduce)_scale')
PARAMETERS = r'write every parameter as \(type, name\)'
wrong('fork: no parentheses', 'YOKE_FORK(int, twice, int n) { return 2 * n; }', 'fork twice: ' + PARAMETERS)
wrong('fork: no parentheses round the second', 'YOKE_FORK(int, twice, (int, n), int m) { return n * m; }', 'fork twice: ' + PARAMETERS)
wrong('fork: no comma', 'YOKE_FORK(int, twice, (int n)) { return 2 * n; }', 'fork twice: ' + PARAMETERS)
wrong('fork: empty parentheses', 'YOKE_FORK(int, twice, ()) { return 2; }', 'fork twice: ' + PARAMETERS)
wrong('fork: only void in parentheses', 'YOKE_FORK(int, twice, (void)) { return 2; }', 'fork twice: ' + PARAMETERS)
wrong('fork: a comma too many', 'YOKE_FORK(int, twice, (int, n), ) { return n; }', 'fork twice: ' + PARAMETERS)
wrong('fork: no parentheses in a DECL', 'YOKE_FORK_DECL(int, twice, int n);', 'fork twice: ' + PARAMETERS)
wrong('fork: no name', 'YOKE_FORK(int, ) { return 2; }', 'a fork has no name')
wrong('fork: twice', FORK + FORK, 'yk_a_fork_named_fib')
wrong('fork: parameter twice', 'YOKE_FORK(int, twice, (int, n), (long, n)) { return n; }', r'(member|yk_fork_args_twice::).*\bn\b')
wrong('fork: type differs', 'YOKE_FORK_DECL(int, twice, (int, n));\nYOKE_FORK_IMPL(int, twice, (long, n)) { return 0; }', 'twice')
wrong('fork: in a loop', FORK + 'YOKE_LOOP(halve, i, (double *, x)) { yoke_fork(fib, (int)x[i]); }', 'yk_(only_in_a_fork_body|top)')
wrong('fork: call outside a body', FORK + 'long outside(void);\nlong outside(void) { return yoke_call(fib, 1); }', 'yk_only_in_a_fork_body')
FEW = {'gcc': 'fork fib is given too few arguments', 'clang': 'fork fib is given too few arguments', 'g++': 'too few .*_fib', 'clang++': 'no matching .*_fib'}
fork('none for one', 'yoke_fork(fib)', FEW)
fork('call with none for one', 'long v = yoke_call(fib)', FEW)
fork('run with none for one', 'long v = yoke_run(NULL, fib)', FEW)
fork('call with too many', 'long v = yoke_call(fib, 1, 2)', {'gcc': 'too many .*yk_fork_call_fib', 'clang': 'too many arguments', 'g++': 'too many .*_fib', 'clang++': 'no matching .*_fib'})
CALLED = {'gcc': r'fork fib\(n\): write its name and its arguments with a comma between', 'clang': 'is not a function', 'g++': 'yk_a_fork_named_fib', 'clang++': 'is not a function'}
fork('written as a call', 'yoke_fork(fib(n))', CALLED)
fork('call written as a call', 'long v = yoke_call(fib(n))', CALLED)
fork('join written as a call', 'long v = yoke_join(fib(n))', CALLED)
fork('call of no such fork', 'long v = yoke_call(fob, 1)', '(a_fork_named|call)_fob')
fork('join of no such fork', 'long v = yoke_join(fob)', '(a_fork_named|join)_fob')
fork('a loop is no fork', 'yoke_fork(scale, 2.0, NULL)', '(a_fork_named|push)_scale')
fork('run without an executor', 'long v = yoke_run(fib, 1)', '(a_fork_named|in)_1')


def kind(what, head, like, body):
    """Wrong parameters of any kind of loop; head says how its first line begins, %s being the parameters."""
    right = head % ''
    name = '%s %s: ' % (what, 'bad')
    wrong(like + ': no parentheses', head % ', int n' + body, name + PARAMETERS)
    wrong(like + ': no comma', head % ', (int n)' + body, name + PARAMETERS)
    wrong(like + ': empty parentheses', head % ', (int, n), ()' + body, name + PARAMETERS)
    wrong(like + ': 17 parameters', head % (', ' + MANY) + body, name + 'at most 16 parameters')
    last = right[right.rindex(','):]
    if '(' not in last:
        wrong(like + ': a name left out', right.replace(last, ', (int, n))') + body, name + r'write %s\(' % like)
        wrong(like + ': the last name left out', right.replace(last, ')') + body, name + r'write %s\(' % like)
        wrong(like + ': a type before a name', right.replace(last, ', size_t' + last[1:]) + body, name + r'write %s\(' % like)


kind('loop', 'YOKE_LOOP(bad, i%s)', 'YOKE_LOOP', ' { }')
kind('loop', 'YOKE_LOOP2(bad, i, j%s)', 'YOKE_LOOP2', ' { }')
kind('loop', 'YOKE_LOOP3(bad, i, j, k%s)', 'YOKE_LOOP3', ' { }')
kind('reduction', 'YOKE_REDUCE(int, bad, i, acc, other, (0), (*acc += *other)%s)', 'YOKE_REDUCE', ' { }')
kind('scan', 'YOKE_SCAN(int, bad, i, acc, other, (0), (*acc += *other)%s)', 'YOKE_SCAN', ' { }')
kind('order', 'YOKE_ORDER(int, bad, a, b%s)', 'YOKE_ORDER', ' { return *a < *b; }')
kind('key', 'YOKE_KEY(int, int, bad, e%s)', 'YOKE_KEY', ' { return *e; }')
kind('predicate', 'YOKE_PREDICATE(bad, i%s)', 'YOKE_PREDICATE', ' { return i > 0; }')
kind('bin', 'YOKE_BIN(bad, i%s)', 'YOKE_BIN', ' { return i; }')
kind('transform', 'YOKE_TRANSFORM(int, bad, i%s)', 'YOKE_TRANSFORM', ' { return 1; }')
for like, what in (('YOKE_REDUCE', 'reduction'), ('YOKE_SCAN', 'scan')):
    for name, head in (('identity without parentheses', 'int, bad, i, acc, other, 0, (*acc += *other)'),
                       ('combine without parentheses', 'int, bad, i, acc, other, (0), *acc += *other'),
                       ('no name for the other', 'int, bad, i, acc, (0), (*acc += *other), (int, n)')):
        wrong('%s: %s' % (like, name), '%s(%s) { }' % (like, head), r'%s bad: write %s\(type, name, i, acc, other, \(identity\)' % (what, like))
    wrong(like + ': no type', like + '(bad, i, acc, other, (0), (*acc += *other), (int, n)) { }', what + ' i: write ' + like)
REDUCE = 'YOKE_REDUCE(double, total, i, acc, other, (0), (*acc += *other), (const double *, x)) { *acc += x[i]; }\n'


def uses(name, front, statement, *expected):
    wrong(name, front + 'void use(double *x);\nvoid use(double *x) { (void)%s; }' % statement, *expected)


def few(what, name):
    return {'gcc': '%s %s is given too few arguments' % (what, name), 'clang': '%s %s is given too few arguments' % (what, name),
            'g++': 'few .*_%s|double' % name, 'clang++': 'no matching .*_%s' % name}


uses('loop: a reduction is no loop', REDUCE, 'yoke_for(NULL, 9, total, x)', '(a_loop_named|for)_total')
uses('loop: a fork is no loop', FORK, 'yoke_for(NULL, 9, fib, 1)', '(a_loop_named|for)_fib')
uses('reduction: no such', '', 'yoke_reduce(NULL, 9, total, x)', '(a_reduction_named|reduce)_total')
uses('scan: a reduction is no scan', REDUCE, 'yoke_scan(NULL, 9, x, total, x)', '(a_scan_named|all)_total')
uses('loop: given none', LOOP, 'yoke_for(NULL, 9, scale)', few('loop', 'scale'))
uses('loop: given one of two', LOOP, 'yoke_for(NULL, 9, scale, x)', few('loop', 'scale'))
uses('reduction: given none', REDUCE, 'yoke_reduce(NULL, 9, total)', few('reduction', 'total'))
uses('loop: written as a call', LOOP, 'yoke_for(NULL, 9, scale(2, x))', dict(CALLED, **{'gcc': r'loop scale\(2, x\): write its name', 'g++': 'a_loop_named_scale'}))

# ---- Queues ----
QUEUES = ('YOKE_QUEUE(numbers, int);\nYOKE_QUEUE(points, struct point);\nvoid use(numbers *n, points *p);\n'
          'void use(numbers *n, points *p)\n{\n    (void)n;\n    (void)p;\n    %s;\n}')


def queue(name, code, *expected, only=ALL):
    wrong(name, QUEUES % code, *expected, only=only)


queue('put of another type', 'points_put(p, 5)', 'points_put|point')
queue('put of text as a number', 'numbers_put(n, "five")', 'numbers_put|to .*int')
queue('put of a place', 'int i = 5; numbers_put(n, &i)', 'numbers_put|to .*int')
queue('get into another type', 'double d; numbers_get(n, &d)', 'numbers_get|int \\*|int\\*')
queue('get without a place', 'int i; numbers_get(n, i)', 'numbers_get|int \\*|int\\*')
queue('queue of another type', 'int i; numbers_get(p, &i)', 'numbers_get|numbers ?\\*')
queue('put without an item', 'numbers_put(n)', 'few arguments|no matching .*numbers_put')
queue('put with a deadline to the plain form', 'numbers_put(n, 5, yoke_now())', 'many arguments|no matching .*numbers_put')
queue('plain queue', 'int i = 5; yoke_queue_put(n, &i)', 'yoke_queue_put|yoke_queue ?\\*')
queue('many of another type', 'struct point a[3]; numbers_put_many(n, a, 3)', 'numbers_put_many|int ?\\*')
wrong('queue of an incomplete type', 'YOKE_QUEUE(boxes, struct box);', 'incomplete type')
wrong('queue without a type', 'YOKE_QUEUE(boxes);', 'YOKE_QUEUE|few arguments')
wrong('order of a member that is not there', 'YOKE_PRIORITY_QUEUE(agenda, struct point, a, b, a->z < b->z);', 'no member named .z')
wrong('order that compares structs', 'YOKE_PRIORITY_QUEUE(agenda, struct point, a, b, *a < *b);', 'invalid operands|no match for .operator<')
wrong('order that changes an item', 'YOKE_PRIORITY_QUEUE(agenda, struct point, a, b, a->x++ < b->x);', 'read-only|const-qualified')
wrong('priority queue without an order', 'YOKE_PRIORITY_QUEUE(agenda, struct point, a, b);', 'expected (primary-)?expression')
wrong('same queue twice', 'YOKE_QUEUE(boxes, int);\nYOKE_QUEUE(boxes, int);', 'redefinition of .*boxes_')
# ---- Sorts, scans and other algorithms ----
ORDER = 'YOKE_ORDER(int, up, a, b) { return *a < *b; }\nYOKE_ORDER(int, near, a, b, (int, to)) { return *a - to < *b - to; }\n'
KEY = 'YOKE_KEY(struct point, int, x_of, p) { return p->x; }\n'
SCAN = 'YOKE_SCAN(double, run, i, acc, other, (0), (*acc += *other), (const double *, x)) { *acc += x[i]; }\n'
PREDICATE = 'YOKE_PREDICATE(below, i, (const double *, x)) { return x[i] < 0; }\n'
BIN = 'YOKE_BIN(bin, i, (const int *, x)) { return (size_t)x[i]; }\n'


def algorithm(name, front, parameters, statement, *expected, only=ALL):
    wrong(name, front + 'void use(%s);\nvoid use(%s) { %s; }' % (parameters, parameters, statement), *expected, only=only)


algorithm('sort: no such order', ORDER, 'int *x', 'yoke_sort(NULL, x, 9, down)', '(an_order_named|all)_down')
algorithm('sort: a key is no order', ORDER + KEY, 'struct point *x', 'yoke_sort(NULL, x, 9, x_of)', '(an_order_named|all)_x_of')
algorithm('sort: elements of another type', ORDER, 'double *x', 'yoke_sort(NULL, x, 9, up)', 'yk_order_sort_all_up|no matching|(incompatible|convert) .*(int|double)')
algorithm('sort: too few arguments', ORDER, 'int *x', 'yoke_sort(NULL, x, 9, near)', 'few|no matching|yk_order_sort_all_near')
algorithm('sort: order not given', ORDER, 'int *x', 'yoke_sort(NULL, x, 9)', '(an_order_named|all)_')
algorithm('min: elements of another type', ORDER, 'double *x', 'yoke_min(NULL, x, 9, up)', 'yk_order_least_up|no matching|(incompatible|convert) .*(int|double)')
algorithm('unique: elements of another type', ORDER, 'int *x, double *y, size_t *n', 'yoke_unique(NULL, x, 9, y, n, up)', 'yk_order_unique_up|no matching|(incompatible|convert) .*(int|double)')
algorithm('nth: elements of another type', ORDER, 'double *x', 'yoke_nth(NULL, x, 9, 4, up)', 'yk_order_nth_up|no matching|(incompatible|convert) .*(int|double)')
algorithm('nth: k not given', ORDER, 'int *x', 'yoke_nth(NULL, x, 9, up)', '(an_order_named|nth)_|YK_NTH_OF|YK_HAS_MORE|macro|argument|undeclared identifier .up')
algorithm('radix sort: no such key', KEY, 'struct point *x', 'yoke_radix_sort(NULL, x, 9, y_of)', '(a_key_named|all)_y_of')
algorithm('radix sort: an order is no key', ORDER + KEY, 'int *x', 'yoke_radix_sort(NULL, x, 9, up)', '(a_key_named|all)_up')
algorithm('radix sort: elements of another type', KEY, 'int *x', 'yoke_radix_sort(NULL, x, 9, x_of)', 'yk_key_sort_all_x_of|no matching|(incompatible|convert) .*(int|double)')
wrong('key: a pointer', 'YOKE_KEY(struct point, const char *, name_of, p) { return "p"; }', 'key name_of is neither an integer nor')
wrong('key: a struct', 'YOKE_KEY(struct point, struct point, itself, p) { return *p; }', 'key itself is neither an integer nor')
algorithm('with: a read-write lock', '', 'yoke_rwlock *l', 'yoke_with(l) {}', 'yoke_rwlock|yk_with_any')
algorithm('with: no pointer', '', 'yoke_lock l', 'yoke_with(l) {}', 'yoke_lock|yk_with_any')
algorithm('with_read: a lock', '', 'yoke_lock *l', 'yoke_with_read(l) {}', 'yk_with_read|incompatible|convert|no matching')
VIEW = 'no array view'
algorithm('view: a pointer', '', 'double *x', '(void)yoke_elements(x)', VIEW)
algorithm('view: a struct', '', 'struct point x', '(void)yoke_data(x)', VIEW)
algorithm('view: a pointer to a view', ORDER, 'yoke_inout_i32 *x', 'yoke_sort(NULL, yoke_flat(x), up)', VIEW)
algorithm('view: of other elements', ORDER, 'yoke_inout_f64 x', 'yoke_sort(NULL, yoke_flat(x), up)', 'yk_order_sort_all_up|no matching|(incompatible|convert) .*(int|double)')
algorithm('view: of other elements, to a function', '', 'yoke_inout_i64 x', 'yoke_sort_f64(NULL, yoke_flat(x))', 'yoke_sort_f64|no matching|incompatible|convert')
algorithm('view: read only', ORDER, 'yoke_in_i32 x', 'yoke_sort(NULL, yoke_flat(x), up)', 'yk_order_sort_all_up|no matching|const', only=CXX)
algorithm('view: read only, element', '', 'yoke_in_i32 x', 'yoke_at(x, 1) = 2', 'read-only|const')
algorithm('view: five indices', '', 'yoke_in_i32 x', '(void)yoke_at(x, 1, 2, 3, 4, 5)', 'YK_AT_5|not declared|undeclared', only=CXX)
algorithm('scan: no such scan', SCAN, 'double *x', 'yoke_scan(NULL, 9, x, walk, x)', '(a_scan_named|all)_walk')
algorithm('scan: result of another type', SCAN, 'double *x, int *y', 'yoke_scan(NULL, 9, y, run, x)', 'yk_scan_all_run|no matching|(incompatible|convert) .*(int|double)')
algorithm('scan: too few arguments', SCAN, 'double *x', 'yoke_scan(NULL, 9, x, run)', 'few|no matching|yk_scan_all_run')
wrong('scan: too large', 'struct huge { char x[5000]; };\nYOKE_SCAN(struct huge, lift, i, acc, other, ({{0}}), (acc->x[0] += other->x[0])) { acc->x[0]++; }', 'scan lift: its type has more than 4096 bytes')
algorithm('find: no such predicate', PREDICATE, 'double *x', 'yoke_find_first(NULL, 9, above, x)', '(a_predicate_named|find)_above')
algorithm('count: arguments of another type', PREDICATE, 'int *x', 'yoke_count(NULL, 9, below, x)', 'yk_predicate_all_below|no matching|(incompatible|convert) .*(int|double)')
algorithm('select: to another type', PREDICATE, 'double *x, int *y, size_t *n', 'yoke_select(NULL, x, 9, y, n, below, x)', {'gcc': 'yoke_select|YK_SAME|mismatch|incompatible', 'clang': 'mismatch|incompatible', 'g++': 'distinct|conditional', 'clang++': 'mismatch|distinct|incompatible'}, only=CXX)
algorithm('histogram: no such bins', BIN, 'int *x, uint64_t *n', 'yoke_histogram(NULL, 9, 4, n, bins, x)', '(a_bin_named|all)_bins')
algorithm('histogram: counts of another type', BIN, 'int *x, double *n', 'yoke_histogram(NULL, 9, 4, n, bin, x)', 'yk_bin_all_bin|no matching|(incompatible|convert) .*(int|double)')

# ---- Kernels ----
KERNELS = '#include <yoke/kernel.h>\n'
AXPY = KERNELS + 'YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)\n'
DOT = KERNELS + 'YOKE_REDUCTION(double, dot, (0), a + b, x[i] * y[i], ((in, double, x), (in, double, y)));\n'
TUPLES = r'write the parameters as \(\(val, type, name\), \(in, type, name\)'
for name, params in (('no second pair', '(in, float, x)'), ('no parentheses', 'float x'), ('empty', '()'), ('two things', '((in, float))'),
                     ('five things', '((in, float, x, n, 2))'), ('unknown word', '((const, float, x), (out, float, y))'),
                     ('pointer as for a loop', '((float *, x))'), ('comma too many', '((in, float, x), )'),
                     ('no parentheses round the second', '((in, float, x), out)')):
    wrong('kernel: ' + name, KERNELS + 'YOKE_KERNEL(bad, %s, y[i] = x[i];)' % params, 'kernel bad: ' + TUPLES)
    wrong('reduction kernel: ' + name, KERNELS + 'YOKE_REDUCTION(float, bad, (0), a + b, x[i], %s);' % params, 'kernel bad: ' + TUPLES)
wrong('kernel: 17 parameters', KERNELS + 'YOKE_KERNEL(bad, (%s), ;)' % ', '.join('(val, int, p%d)' % i for i in range(17)), 'kernel bad: at most 16 parameters')
RETURN = {'gcc': 'kernel axpy: a body has no return; continue ends an element', 'clang': 'no_return_in_kernel_axpy', 'g++': 'no_return_in_kernel_axpy|no value', 'clang++': 'no_return_in_kernel_axpy'}
for name, body in (('return', 'if (x[i] < 0) return; y[i] = x[i];'), ('return at once', 'return;'), ('return in braces', 'if (i > 5) { y[i] = 0; return; }'),
                   ('return a value', 'y[i] = 0; return 5;')):
    wrong('kernel: ' + name, KERNELS + 'YOKE_KERNEL(axpy, ((in, float, x), (out, float, y)), %s)' % body, dict(RETURN, gcc='axpy') if '5;' in body else RETURN)
BREAK = 'kernel axpy: a break stands outside loops; continue ends an element' # elsewhere it is found when it is first used
wrong('kernel: break', KERNELS + 'YOKE_KERNEL(axpy, ((in, float, x), (out, float, y)), if (x[i] < 0) break; y[i] = x[i];)', BREAK, only=('gcc',))
wrong('program: break', '#include <yoke/program.h>\nYOKE_PROGRAM(axpy, 64, ((out, float, y)), YOKE_ITEMS(l) { if (l > 5) { break; } y[l] = 1; })', BREAK, only=('gcc',))
wrong('scan kernel: break', '#include <yoke/scan_kernel.h>\nYOKE_SCAN_KERNEL(double, axpy, (0), a + b, x[i], ((inout, double, x)), break;)', BREAK, only=('gcc',))
wrong('kernel: writes what is read', KERNELS + 'YOKE_KERNEL(bad, ((in, float, x)), x[i] = 1;)', 'read-only|const')
wrong('kernel: too large a value', KERNELS + 'struct large { char x[4500]; };\nYOKE_KERNEL(bad, ((val, struct large, v), (out, float, y)), y[i] = v.x[0];)', 'kernel bad: its parameters have more than 4000 bytes')
wrong('kernel: unknown name', KERNELS + 'YOKE_KERNEL(bad, ((out, float, y)), y[i] = z[i];)', r'\bz\b')
wrong('kernel: twice', AXPY + AXPY[len(KERNELS):], 'yk_kernel_takes_axpy')
wrong('kernel: parameter twice', KERNELS + 'YOKE_KERNEL(bad, ((in, float, x), (out, float, x)), x[i] = 1;)', r'\bx\b')
wrong('kernel: parameter i', KERNELS + 'YOKE_KERNEL(bad, ((val, long, n), (out, float, y)), y[i] = n;)', r'\bn\b')
wrong('kernel: count of an array', KERNELS + 'YOKE_KERNEL(bad, ((in, float, x, m)), (void)x[i];)', r'\bm\b')
wrong('kernel: a type that is unknown', KERNELS + 'YOKE_KERNEL(bad, ((in, strang, x)), (void)x[i];)', 'strang')
wrong('kernel: <yoke.h> alone', 'YOKE_KERNEL(bad, ((in, float, x), (out, float, y)), y[i] = x[i];)', 'kernel bad: include <yoke/kernel.h> by name', only=C)
STREAM = 'void use(yoke_stream *s, float *x, float *y, double *z);\nvoid use(yoke_stream *s, float *x, float *y, double *z) { (void)%s; }'


def enqueues(name, front, statement, *expected):
    wrong('enqueue: ' + name, front + STREAM % statement, *expected)


enqueues('too few arguments', AXPY, 'yoke_enqueue(s, axpy, 9, x, y)', dict(few('kernel', 'axpy'), **{'g++': 'few .*_axpy|float'}))
enqueues('too many arguments', AXPY, 'yoke_enqueue(s, axpy, 9, 2, x, y, y)', {'gcc': 'too many .*yk_kernel_put_axpy', 'clang': 'too many arguments', 'g++': 'too many .*_axpy', 'clang++': 'no matching .*_axpy'})
enqueues('another type', AXPY, 'yoke_enqueue(s, axpy, 9, 2, x, z)', 'yk_kernel_put_axpy|no matching|incompatible|convert')
enqueues('wrong order', AXPY, 'yoke_enqueue(s, axpy, 9, x, 2, y)', 'yk_kernel_put_axpy|no matching|incompatible|convert')
enqueues('no such kernel', AXPY, 'yoke_enqueue(s, axpz, 9, 2, x, y)', '(a_kernel_named|put)_axpz')
enqueues('a loop is no kernel', AXPY + LOOP, 'yoke_enqueue(s, scale, 9, 2, z)', '(a_kernel_named|put)_scale')
enqueues('no stream', AXPY, 'yoke_enqueue(x, axpy, 9, 2, x, y)', 'yoke_stream|no matching|yk_kernel_put_axpy')
enqueues('a kernel is no reduction', AXPY, 'yoke_reduction(s, axpy, 9, 2, x, y)', '(a_reduction_kernel_named|get)_axpy')
enqueues('result of another type', DOT, 'yoke_enqueue_reduction(s, dot, 9, x, z, z)', 'yk_kernel_put_dot|no matching|incompatible|convert')
enqueues('reduction with too few', DOT, 'yoke_reduction(s, dot, 9, z)', few('kernel', 'dot'))
wrong('reduction kernel: identity without parentheses', KERNELS + 'YOKE_REDUCTION(double, bad, 0, a + b, x[i], ((in, double, x)));', 'reduction bad: write the identity in parentheses')
wrong('reduction kernel: too large', KERNELS + 'struct huge { char x[200]; };\nYOKE_REDUCTION(struct huge, bad, ({{0}}), a, *x, ((in, struct huge, x)));', 'reduction bad: its type has more than 128 bytes')
wrong('reduction kernel: combines what is no value', KERNELS + 'YOKE_REDUCTION(double, bad, (0), a + c, x[i], ((in, double, x)));', r'\bc\b')
PROGRAM = '#include <yoke/program.h>\n'
SUMS = PROGRAM + 'YOKE_PROGRAM(sums, 64, ((in, float, x), (out, float, y)), YOKE_SHARED(float, s, 64); YOKE_ITEMS(l) { s[l] = x[l]; } YOKE_ITEMS(l) { y[l] = s[63 - l]; })\n'
wrong('program: too many items', PROGRAM + 'YOKE_PROGRAM(bad, 2000, ((out, float, y)), YOKE_ITEMS(l) { y[l] = 1; })', 'program bad: the items of a group are a constant from 1 to 1024')
wrong('program: no parameters', PROGRAM + 'YOKE_PROGRAM(bad, 64, (out, float, y), YOKE_ITEMS(l) { y[l] = 1; })', 'kernel bad: ' + TUPLES)
wrong('program: return', PROGRAM + 'YOKE_PROGRAM(axpy, 64, ((out, float, y)), YOKE_ITEMS(l) { if (l > 5) return; y[l] = 1; })', RETURN)
wrong('program: n', PROGRAM + 'YOKE_PROGRAM(bad, 64, ((out, float, y)), YOKE_ITEMS(l) { y[l] = n; })', r'\bn\b')
wrong('program: continue outside a region', PROGRAM + 'YOKE_PROGRAM(bad, 64, ((out, float, y)), if (!y) continue; YOKE_ITEMS(l) { y[l] = 1; })', 'continue')
enqueues('a program is no kernel', SUMS, 'yoke_enqueue(s, sums, 9, x, y)', '(a_kernel_named|put)_sums')
enqueues('a kernel is no program', AXPY + PROGRAM, 'yoke_enqueue_program(s, axpy, 9, 2, x, y)', '(a_program_named|put)_axpy')
enqueues('a reduction is no kernel', DOT, 'yoke_enqueue(s, dot, 9, z, z, z)', '(a_kernel_named|put)_dot')
SCAN_KERNEL = '#include <yoke/scan_kernel.h>\n'
RUN = SCAN_KERNEL + 'YOKE_SCAN_KERNEL(double, run, (0), a + b, x[i], ((in, double, x), (out, double, y)), y[i] = item;)\n'
wrong('scan kernel: parameters', SCAN_KERNEL + 'YOKE_SCAN_KERNEL(double, bad, (0), a + b, x[i], (in, double, x), y[i] = item;)', 'kernel bad: ' + TUPLES)
wrong('scan kernel: identity without parentheses', SCAN_KERNEL + 'YOKE_SCAN_KERNEL(double, bad, 0, a + b, x[i], ((inout, double, x)), x[i] = item;)', 'scan bad: write the identity in parentheses')
wrong('scan kernel: return', SCAN_KERNEL + 'YOKE_SCAN_KERNEL(double, axpy, (0), a + b, x[i], ((inout, double, x)), if (i > 3) return; x[i] = item;)', RETURN)
enqueues('a scan is no kernel', RUN, 'yoke_enqueue(s, run, 9, z, z)', '(a_kernel_named|put)_run')
enqueues('a kernel is no scan', RUN + AXPY, 'yoke_enqueue_scan(s, axpy, 9, 2, x, y)', '(a_scan_kernel_named|put)_axpy')
enqueues('scan with too few', RUN, 'yoke_enqueue_scan(s, run, 9, z)', few('kernel', 'run'))
