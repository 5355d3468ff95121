/* The table of options: words of a command line become values, and a wrong one is named once, with what would be right. */
#include "test.h"
#include "tools/option.h"

typedef struct values {
    bool quiet, wait, color, count;
    const char *on, *when, *note;
    int64_t jobs, time;
    yk_words files;
} values;

static const yk_option options[] = {
    {.name = "quiet", .letter = 'q', .kind = YK_OPT_FLAG, .offset = offsetof(values, quiet)},
    {.name = "wait", .letter = 'w', .kind = YK_OPT_FLAG, .offset = offsetof(values, wait), .negatable = true},
    {.name = "wait-color", .kind = YK_OPT_FLAG, .offset = offsetof(values, color), .negatable = true},
    {.name = "wait-count", .kind = YK_OPT_FLAG, .offset = offsetof(values, count), .negatable = true},
    {.name = "on", .kind = YK_OPT_TEXT, .metavar = "URI", .offset = offsetof(values, on)},
    {.name = "when", .kind = YK_OPT_CHOICE, .choices = "auto|always|never", .offset = offsetof(values, when)},
    {.name = "note", .letter = 'n', .kind = YK_OPT_TEXT, .optional = true, .offset = offsetof(values, note)},
    {.name = "jobs", .letter = 'j', .kind = YK_OPT_NUMBER, .metavar = "N", .offset = offsetof(values, jobs)},
    {.name = "time", .letter = 't', .kind = YK_OPT_DURATION, .offset = offsetof(values, time)},
    {.name = "file", .letter = 'a', .kind = YK_OPT_LIST, .offset = offsetof(values, files)},
    {.name = NULL}};

static const yk_command command = {.name = "try", .operands = "[WORD...]", .options = options, .most = 3, .stop = ":::"};

typedef struct parsed {
    values v;
    yk_words words;
    yk_error e;
    int err;
} parsed;

/* Parses the words of a line; '~' in it stands for an empty word. */
static parsed parse(const yk_command *c, const char *line)
{
    static char text[400];
    char *argv[30], *save;
    int n = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok_r(text, " ", &save); w && n < 30; w = strtok_r(NULL, " ", &save))
        argv[n++] = strcmp(w, "~") == 0 ? w + 1 : w;
    parsed p = {.err = 0};
    p.err = yk_options_parse(c, n, argv, &p.v, &p.words, &p.e);
    return p;
}

static void done(parsed *p)
{
    yk_options_done(&command, &p->v, &p->words);
}

static parsed good(const char *line)
{
    parsed p = parse(&command, line);
    if (p.err != 0)
        test_fail(__FILE__, __LINE__, "%s: %d %s", line, p.err, p.err < 0 ? p.e.text : "");
    return p;
}

/* The whole text of the error, but for the pointer to --help that each one ends with. */
static void bad(const char *line, const char *text)
{
    char whole[400];
    parsed p = parse(&command, line);
    snprintf(whole, sizeof whole, "%s (see yoke try --help)", text);
    if (p.err != -EINVAL)
        test_fail(__FILE__, __LINE__, "%s: %d", line, p.err);
    CHECK_STR(p.e.text, whole);
    done(&p);
}

TEST(long_options)
{
    parsed p = good("--quiet --on=threads:2 --jobs 7 --when=never --time=1.5s");
    CHECK(p.v.quiet && p.v.jobs == 7 && p.v.time == 1500000000 && p.words.n == 0);
    CHECK_STR(p.v.on, "threads:2");
    CHECK_STR(p.v.when, "never");
    done(&p);
    p = good("--on=a=b --on= --note");
    CHECK_STR(p.v.on, "");
    CHECK_STR(p.v.note, "");
    done(&p);
}

TEST(clusters_of_letters)
{
    static const char *const four[] = {"-qj4", "-qj 4", "-q -j=4", "-j4 -q", "-qwj4"};
    for (size_t i = 0; i < YK_COUNT_OF(four); i++) {
        parsed p = good(four[i]);
        CHECK(p.v.quiet && p.v.jobs == 4 && p.words.n == 0);
        done(&p);
    }
    bad("-qz", "no option -z");
    bad("-qj", "--jobs needs a value: N");
    bad("-jq", "--jobs: expected a whole number, got \"q\"");
}

TEST(abbreviations)
{
    parsed p = good("--qu --jo 3 --fi=x --wait");
    CHECK(p.v.quiet && p.v.jobs == 3 && p.v.files.n == 1 && p.v.wait && !p.v.color);
    done(&p);
    bad("--wait-c", "--wait-c could be any of 2 options");
    bad("--w", "--w could be any of 4 options");
}

TEST(negation)
{
    parsed p = good("--wait --no-wait --wait-color --no-wait-col");
    CHECK(!p.v.wait && !p.v.color);
    done(&p);
    bad("--no-wait-c", "--no-wait-c could be any of 2 options");
    bad("--no-wait=1", "--no-wait takes no value");
    bad("--no-quiet", "no option --no-quiet; did you mean --quiet?");
}

TEST(words_that_are_options_elsewhere)
{
    static const char *const are[] = {"--quiet", "--on", "--on=x", "--note=", "--help", "-q", "-j", "-h"};
    static const char *const are_not[] = {"", "-", "--", "---", "--qu", "--quiets", "quiet", "=", "--=", "-z", "-j4", "-q=", "-1",
                                          "-5", "on", "--helps", ":::"};
    for (size_t i = 0; i < YK_COUNT_OF(are); i++)
        if (!yk_option_is(&command, are[i]))
            test_fail(__FILE__, __LINE__, "%s is one", are[i]);
    for (size_t i = 0; i < YK_COUNT_OF(are_not); i++)
        if (yk_option_is(&command, are_not[i]))
            test_fail(__FILE__, __LINE__, "%s is none", are_not[i]);
}

TEST(operands_and_the_end_of_options)
{
    parsed p = good("a --quiet - ~");
    CHECK(p.v.quiet && p.words.n == 3);
    CHECK_STR(p.words.v[1], "-");
    CHECK_STR(p.words.v[2], "");
    done(&p);
    p = good("-- --quiet -- -j");
    CHECK(!p.v.quiet && p.words.n == 3);
    CHECK_STR(p.words.v[0], "--quiet");
    CHECK_STR(p.words.v[1], "--");
    done(&p);
    p = good("-1 -.5 -2e9");
    CHECK_INT(p.words.n, 3);
    done(&p);
    p = good("-q ::: -q --nonsense");
    CHECK(p.v.quiet && p.words.n == 3);
    CHECK_STR(p.words.v[0], ":::");
    done(&p);
}

TEST(counts_of_operands)
{
    yk_command c = command;
    c.least = 2;
    CHECK_HAS(parse(&c, "").e.text, "expected [WORD...]");
    parsed p = parse(&c, "a");
    CHECK_HAS(p.e.text, "too few words: expected [WORD...]");
    done(&p);
    bad("a b c d", "unexpected \"d\": expected [WORD...]");
}

TEST(repeated)
{
    parsed p = good("--jobs 1 --jobs=2 -j3 -q -q -a x --file=y -az");
    CHECK(p.v.jobs == 3 && p.v.quiet && p.v.files.n == 3);
    CHECK_STR(p.v.files.v[0], "x");
    CHECK_STR(p.v.files.v[2], "z");
    done(&p);
}

TEST(numbers)
{
    parsed p = good("--jobs=9223372036854775807");
    CHECK_INT(p.v.jobs, INT64_MAX);
    done(&p);
    static const char *const wrong[] = {"-1", "+1", "1x", "1.5", "0x10", "1e3", "nan", "9223372036854775808",
                                        "99999999999999999999999"};
    for (size_t i = 0; i < YK_COUNT_OF(wrong); i++) {
        char line[60], text[100];
        snprintf(line, sizeof line, "--jobs=%s", wrong[i]);
        snprintf(text, sizeof text, "--jobs: expected a whole number, got \"%s\"", wrong[i]);
        bad(line, text);
    }
    bad("--jobs=", "--jobs: expected a whole number, got \"\"");
}

TEST(durations)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {{"0", 0},          {"10", 10000000000}, {".5s", 500000000},   {"200ms", 200000000}, {"3us", 3000},
                {"7ns", 7},        {"2m", 120000000000}, {"2min", 120000000000}, {"1h", 3600000000000},
                {"1d", 86400000000000}, {"1e-3", 1000000}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        int64_t ns = -1;
        CHECK(yk_parse_duration(rows[i].text, &ns));
        CHECK_INT(ns, rows[i].ns);
    }
    static const char *const wrong[] = {"", ".", "s", "-1", "+1", " 1", "1 s", "1x", "1ss", "nan", "inf",
                                        "1e300", "0x10", "999999d"};
    for (size_t i = 0; i < YK_COUNT_OF(wrong); i++) {
        int64_t ns = -1;
        if (yk_parse_duration(wrong[i], &ns))
            test_fail(__FILE__, __LINE__, "\"%s\" is taken as %lld ns", wrong[i], (long long)ns);
        CHECK_INT(ns, -1);
    }
    bad("-t soon", "--time: expected a duration such as 10s or 200ms, got \"soon\"");
}

TEST(choices)
{
    static const char *const wrong[] = {"", "Auto", "aut", "autos", "auto|always", "|", "never|"};
    for (size_t i = 0; i < YK_COUNT_OF(wrong); i++) {
        char line[60], text[100];
        snprintf(line, sizeof line, "--when=%s", wrong[i]);
        snprintf(text, sizeof text, "--when: expected one of auto|always|never, got \"%s\"", wrong[i]);
        bad(line, text);
    }
}

TEST(wrong_words)
{
    bad("--quite", "no option --quite; did you mean --quiet?");
    bad("--jbos=3", "no option --jbos; did you mean --jobs?");
    bad("--zzzzzzzz", "no option --zzzzzzzz");
    bad("-z", "no option -z");
    bad("--quiet=1", "--quiet takes no value");
    bad("--on", "--on needs a value: URI");
    bad("--time", "--time needs a value: VALUE");
}

TEST(help_is_asked_for)
{
    CHECK_INT(parse(&command, "--help").err, 1);
    CHECK_INT(parse(&command, "-qh --nonsense").err, 1);
    parsed p = good("-- --help");
    CHECK_INT(p.words.n, 1);
    done(&p);
}

TEST(memory_runs_out)
{
    int err;
    unsigned n = 1;
    do {
        yk_sys_fail("realloc", n++, ENOMEM);
        parsed p = parse(&command, "a -a x b -a y");
        err = p.err;
        if (err < 0)
            CHECK_HAS(p.e.text, "out of memory");
        done(&p);
    } while (err < 0 && n < 20);
    CHECK_INT(err, 0);
    CHECK_INT(n, 6);
}
