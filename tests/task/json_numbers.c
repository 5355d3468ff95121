/* Numbers between text and binary: against strtod() and Python on the hard cases and on random ones; and
 * base64. */
#include "json_try.h"
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <unistd.h>

static double f64_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float f32_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static yk_decimal scan(const char *text)
{
    yk_decimal d;
    char *copy = exact(text, strlen(text));
    if (yk_decimal_scan(copy, copy + strlen(text), &d) != copy + strlen(text))
        test_fail(__FILE__, __LINE__, "%s is not read to its end", text);
    d.begin = text;
    d.end = text + strlen(text);
    free(copy);
    return d;
}

/* Both formats, and the short way for doubles, as the C library reads them. */
static void check_nearest(const char *text)
{
    yk_decimal d = scan(text);
    double a = yk_decimal_f64(&d), b = strtod(text, NULL), c = 0;
    if (memcmp(&a, &b, sizeof a) != 0)
        test_fail(__FILE__, __LINE__, "%s: %a, strtod says %a", text, a, b);
    CHECK(yk_decimal_read_f64(text, text + strlen(text), &c) == text + strlen(text));
    if (memcmp(&a, &c, sizeof a) != 0)
        test_fail(__FILE__, __LINE__, "%s: %a the long way, %a the short", text, a, c);
    float f = yk_decimal_f32(&d), g = strtof(text, NULL);
    if (memcmp(&f, &g, sizeof f) != 0)
        test_fail(__FILE__, __LINE__, "%s: %a, strtof says %a", text, (double)f, (double)g);
}

static const char *const hard_numbers[] = {
    "0",
    "-0",
    "0.0",
    "-0.0e5",
    "0e400",
    "0.000000000000000000000000000000000e-999999999999999999",
    "1",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994",
    "9007199254740995",
    "9007199254740993.00000000000000000000000000000000000001",
    "9007199254740992.99999999999999999999999999999999999999",
    "18446744073709551615",
    "18446744073709551616",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "1.797693134862315807e308",
    "1.797693134862315808e308",
    "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901797758720"
    "70963302864166928879109465555478519404026306574886715058206819089020007083836762738548458177115317644757"
    "30270069855571366959"
    "622842914819860834936475292719074168444365510704342711559699508093042880",
    "1e309",
    "1e400",
    "1e99999999999999999999",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "2.2250738585072012e-308",
    "2.225073858507201136057409796709131975934"
    "81954635164564802342610972482222202107694551652952390813508791414915891303962110687008643869459464552765"
    "7207407820621743379"
    "98814106326732925355228688137214901298112245145188984905722230728525513315575501591439747639798341180199"
    "9323962548289017107"
    "08185069063066665599493827577257201576306269066333264756530000924588831643303777979186961204949739037782"
    "9704905051080609940"
    "73026293712895895000358379996720725430436028407889577179615094551674824347103070260914462157228988025818"
    "2545180325707018860"
    "87211312807951223342628836862232150377566662250398253433597456888442390026549819838548794829220689472168"
    "9831099698365846814"
    "02285424333066033985088644580400103493397042756718644338377048603786162277173854562306587467901408672332"
    "7636718751234567890"
    "123456789012345678901e-308",
    "4.9406564584124654e-324",
    "4.94e-324",
    "5e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.47e-324",
    "2.48e-324",
    "1e-323",
    "1e-324",
    "1e-400",
    "1e-99999999999999999999",
    "6.631236846766476e-316",
    "3.237883913302901e-319",
    "1.00000000000000011102230246251565404236316680908203125",
    "1.00000000000000011102230246251565404236316680908203124",
    "1.00000000000000011102230246251565404236316680908203126",
    "1.00000000000000033306690738754696212708950042724609375",
    "8.442911973260991817129021e-309",
    "7.2057594037927933e+16",
    "9223372036854775808e0",
    "12345678901234567890123456789",
    "123456789012345678901234567890e-20",
    "3.4028235e38",
    "3.4028235677973366e38",
    "3.4028235677973365e38",
    "3.4028236e38",
    "1.4e-45",
    "7.0064923216240853e-46",
    "7.0064923216240854e-46",
    "7.0064923216240862e-46",
    "1.1754943508222875e-38",
    "1.1754942807573643e-38",
    "16777217",
    "16777219",
    "16777217.0000000000001",
    "33554433.9999999999999999",
    "0.000000000000000000000000000000000000000000000000000000000000000000000000000001234567890123456789012",
    "100000000000000000000000000000000000000000000000000000000000000000000000",
    "1e23",
    "8.5e22",
    "1e22",
    "2e-22",
    "45.99999999999999999999999999999",
    "0.1",
    "0.3",
    "2.5e-5",
    "1E5",
    "1E+5",
    "1e-05",
    "1e+0000000000000000005",
};

TEST(hard_numbers_are_read_to_the_nearest)
{
    for (size_t i = 0; i < YK_COUNT_OF(hard_numbers); i++) {
        char negative[1200] = "-";
        check_nearest(hard_numbers[i]);
        if (*hard_numbers[i] == '-')
            continue;
        memcpy(negative + 1, hard_numbers[i], strlen(hard_numbers[i]) + 1);
        check_nearest(negative);
    }
}

/* The number between two neighbours, all its digits, and the same raised and lowered in a digit far behind.
 */
static void check_halfway(double low, double high)
{
    char text[1300];
    long double half = ((long double)low + (long double)high) / 2;
    int n = snprintf(text, sizeof text - 2, "%.1090Lf", half);
    CHECK(n > 0 && n < (int)sizeof text - 2);
    if (n > 1290)
        return;
    check_nearest(text);
    text[n] = '1';
    text[n + 1] = '\0';
    check_nearest(text);
    char *p = text + n;
    while (p > text && (*p == '0' || *p == '.' || p == text + n))
        p--;
    if (*p > '0' && *p <= '9') {
        --*p;
        memset(text + n, '9', 1);
        check_nearest(text);
    }
}

TEST_LIMIT(halfway_cases_go_to_even, 300)
{
#if __LDBL_MANT_DIG__ >= 64
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = test_random() & INT64_MAX;
        if (i % 3 == 0)
            bits &= ((uint64_t)1 << 55) - 1; /* subnormal and hardly normal */
        else
            bits = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)(1 + test_random() % 1100) << 52;
        check_halfway(f64_of(bits), f64_of(bits + 1));
        uint32_t narrow = (uint32_t)(test_random() % 0x7f000000);
        check_halfway((double)f32_of(narrow), (double)f32_of(narrow + 1));
    }
#else
    SKIP("long double is too narrow here");
#endif
}

TEST_LIMIT(random_texts_are_read_to_the_nearest, 300)
{
    for (int i = 0; i < 100000; i++) {
        char text[80], *p = text;
        unsigned before = 1 + (unsigned)(test_random() % 25), behind = (unsigned)(test_random() % 30);
        *p++ = (char)('1' + test_random() % 9);
        while (--before > 0)
            *p++ = (char)('0' + test_random() % 10);
        if (behind > 0)
            *p++ = '.';
        while (behind-- > 0)
            *p++ = (char)('0' + test_random() % 10);
        snprintf(p, 10, "e%d", (int)(test_random() % 700) - 360);
        check_nearest(text);
    }
}

TEST(rounding_mode_and_locale_do_not_matter)
{
    static const int modes[] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO, FE_TONEAREST};
    setlocale(LC_ALL,
              "de_DE.UTF-8"); /* where the point is a comma; often not installed, which does no harm */
    for (size_t i = 0; i < YK_COUNT_OF(modes); i++) {
        char text[YK_NUMBER_TEXT];
        CHECK_INT(fesetround(modes[i]), 0);
        yk_decimal d = scan("0.1");
        CHECK(yk_decimal_f64(&d) == f64_of(0x3fb999999999999a));
        CHECK_INT(yk_write_f64(text, 1.5), 3);
        CHECK(memcmp(text, "1.5", 3) == 0);
    }
}

/* ---- Writing ---- */

static const char *text64(double v)
{
    static char text[YK_NUMBER_TEXT + 1];
    memset(text, '#', sizeof text);
    unsigned n = yk_write_f64(text, v);
    CHECK(n < YK_NUMBER_TEXT && text[n] == '#');
    text[n] = '\0';
    return text;
}

static const char *text32(float v)
{
    static char text[YK_NUMBER_TEXT + 1];
    unsigned n = yk_write_f32(text, v);
    CHECK(n < YK_NUMBER_TEXT);
    text[n] = '\0';
    return text;
}

TEST(doubles_are_written_as_python_writes_them)
{
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0.0, "0.0"},
                {-0.0, "-0.0"},
                {1, "1.0"},
                {-1, "-1.0"},
                {4, "4.0"},
                {0.1, "0.1"},
                {0.3, "0.3"},
                {0.1 + 0.2, "0.30000000000000004"},
                {1e15, "1000000000000000.0"},
                {1e16, "1e+16"},
                {123456789012345680.0, "1.2345678901234568e+17"},
                {1e22, "1e+22"},
                {1e23, "1e+23"},
                {9007199254740993.0, "9007199254740992.0"},
                {1e-4, "0.0001"},
                {1e-5, "1e-05"},
                {1.5e-5, "1.5e-05"},
                {0.00012345, "0.00012345"},
                {1e100, "1e+100"},
                {-1.5e300, "-1.5e+300"},
                {5e-324, "5e-324"},
                {1.7976931348623157e308, "1.7976931348623157e+308"},
                {2.2250738585072014e-308, "2.2250738585072014e-308"},
                {2.225073858507201e-308, "2.225073858507201e-308"},
                {0x1p-44, "5.684341886080802e-14"},
                {0x1p-1074, "5e-324"},
                {123.456, "123.456"},
                {100, "100.0"},
                {1e10, "10000000000.0"},
                {12345678.9, "12345678.9"},
                {9.5e-10, "9.5e-10"}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++)
        CHECK_STR(text64(rows[i].v), rows[i].text);
}

TEST(floats_are_written_with_their_own_digits)
{
    CHECK_STR(text32(0.1f), "0.1");
    CHECK_STR(text32(-0.0f), "-0.0");
    CHECK_STR(text32(16777216.0f), "16777216.0");
    CHECK_STR(text32(3.4028235e38f), "3.4028235e+38");
    CHECK_STR(text32(1e-45f), "1e-45");
    CHECK_STR(text32(1.1754944e-38f), "1.1754944e-38");
    CHECK_STR(text32(0.33333334f), "0.33333334");
    CHECK_STR(text32(1e10f), "10000000000.0");
    CHECK_STR(text32(8388609.0f), "8388609.0");
}

TEST_LIMIT(what_is_written_reads_back_and_is_short, 300)
{
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = test_random();
        double v = f64_of(bits);
        float f = f32_of((uint32_t)bits);
        if (isfinite(v)) {
            CHECK(strtod(text64(v), NULL) == v);
            check_nearest(text64(v));
            char fewer[40];
            snprintf(fewer, sizeof fewer, "%.14e", v);
            /* Fifteen digits that read back must have been found to be enough. */
            if (strtod(fewer, NULL) == v)
                CHECK(strlen(text64(v)) <= strlen(fewer) + 2);
        }
        if (isfinite(f))
            CHECK(strtof(text32(f), NULL) == f);
    }
}

TEST(integers_are_written)
{
    static const struct {
        int64_t v;
        const char *text;
    } rows[] = {{0, "0"},
                {7, "7"},
                {-7, "-7"},
                {10, "10"},
                {99, "99"},
                {100, "100"},
                {12345, "12345"},
                {INT64_MAX, "9223372036854775807"},
                {INT64_MIN, "-9223372036854775808"}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        yk_buf b = {0};
        yk_json_i64(&b, rows[i].v);
        CHECK_STR(yk_buf_str(&b), rows[i].text);
        yk_buf_done(&b);
    }
    yk_buf b = {0};
    yk_json_u64(&b, UINT64_MAX);
    yk_json_f64(&b, 2.5);
    CHECK_STR(yk_buf_str(&b), "184467440737095516152.5");
    yk_buf_done(&b);
}

/* ---- Python as the judge ---- */

/* Runs a Python program over the lines that `write` makes; it must print "good" alone. */
static void python_agrees(const char *program, void (*write)(FILE *out))
{
    char path[] = "/tmp/yoke-test-XXXXXX", command[2000], answer[200] = "";
    if (system("python3 -c 0 2>/dev/null") != 0)
        SKIP("no python3");
    int fd = mkstemp(path);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    CHECK(out);
    write(out);
    CHECK(fclose(out) == 0);
    snprintf(command, sizeof command, "python3 -c '%s' <%s", program, path);
    FILE *child = popen(command, "r");
    CHECK(child);
    size_t n = fread(answer, 1, sizeof answer - 1, child);
    answer[n] = '\0';
    int status = pclose(child);
    unlink(path);
    CHECK_INT(status, 0);
    CHECK_STR(answer, "good\n");
}

static void write_reprs(FILE *out)
{
    for (int i = 0; i < 60000; i++) {
        uint64_t bits =
            i < 4200 ? (uint64_t)(i / 2) << 52 | (i & 1) : test_random(); /* every power of two first */
        if (isfinite(f64_of(bits)))
            fprintf(out, "%016llx %s\n", (unsigned long long)bits, text64(f64_of(bits)));
    }
}

TEST_LIMIT(python_writes_the_same, 300)
{
    python_agrees("import struct,sys\n"
                  "for line in sys.stdin:\n"
                  " bits, text = line.split()\n"
                  " v = struct.unpack(\">d\", bytes.fromhex(bits))[0]\n"
                  " if repr(v) != text: sys.exit(print(line, repr(v)))\n"
                  "print(\"good\")",
                  write_reprs);
}

/* For floats there is no repr(): what Python finds by trying more and more digits. */
static void write_reprs32(FILE *out)
{
    for (int i = 0; i < 20000; i++) {
        uint32_t bits = i < 510 ? (uint32_t)(i / 2) << 23 | (i & 1) : (uint32_t)test_random();
        if (isfinite(f32_of(bits)) && bits << 1)
            fprintf(out, "%08x %s\n", bits, text32(f32_of(bits)));
    }
}

TEST_LIMIT(floats_have_as_few_digits_as_possible, 300)
{
    python_agrees("import struct,sys\n"
                  "def f32(x):\n"
                  " try: return struct.pack(\">f\", x)\n"
                  " except OverflowError: return b\"\"\n"
                  "for line in sys.stdin:\n"
                  " bits, text = line.split()\n"
                  " b = bytes.fromhex(bits); v = struct.unpack(\">f\", b)[0]\n"
                  " digits = text.split(\"e\")[0].replace(\".\", \"\").replace(\"-\", \"\").strip(\"0\")\n"
                  " least = next(n for n in range(1, 10) if f32(float(\"%.*e\" % (n - 1, v))) == b)\n"
                  " if f32(float(text)) != b or len(digits) > least: sys.exit(print(line, least))\n"
                  "print(\"good\")",
                  write_reprs32);
}

TEST(the_table_of_powers_is_what_its_script_makes)
{
    char command[9000];
    const char *root = test_source();
    if (system("python3 -c 0 2>/dev/null") != 0)
        SKIP("no python3");
    snprintf(command, sizeof command,
             "python3 '%s/src/task/gen/powers.py' --check '%s/src/task/number_powers.c'", root, root);
    CHECK_INT(system(command), 0);
}

/* ---- Grammar and integers ---- */

TEST(what_is_no_number_is_refused_where_it_stops_being_one)
{
    static const struct {
        const char *text;
        int place;
    } rows[] = {{"", 0},    {"-", 1},  {"+1", 0},   {".5", 0},         {"-.5", 1}, {"00", 1},  {"01", 1},
                {"-01", 2}, {"1.", 2}, {"1.e5", 2}, {"1e", 2},         {"1e+", 3}, {"1E-", 3}, {"1e+x", 3},
                {"e5", 0},  {"x", 0},  {"--1", 1},  {"0123456789", 1}, {"1.x", 2}, {"-e", 1},  {"007", 1}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        size_t len = strlen(rows[i].text);
        char *copy = exact(rows[i].text, len);
        yk_decimal d;
        double v;
        CHECK(!yk_decimal_scan(copy, copy + len, &d));
        if (d.end - copy != rows[i].place)
            test_fail(__FILE__, __LINE__, "%s: at %td", rows[i].text, d.end - copy);
        CHECK(!yk_decimal_read_f64(copy, copy + len, &v));
        free(copy);
    }
}

TEST(a_number_ends_where_its_grammar_ends)
{
    static const struct {
        const char *text;
        int end;
    } rows[] = {{"1,2", 1},
                {"12]", 2},
                {"0}", 1},
                {"1.5x", 3},
                {"1e5e5", 3},
                {"1-1", 1},
                {"123456789 ", 9},
                {"0x10", 1},
                {"1.5.5", 3},
                {"12345678", 8},
                {"1234567812345678", 16},
                {"0.12345678a", 10},
                {"1\xff\xff\xff\xff\xff\xff\xff\xff", 1},
                {"1:::::::", 1},
                {"1////////", 1}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        yk_decimal d;
        CHECK_INT(yk_decimal_scan(rows[i].text, rows[i].text + strlen(rows[i].text), &d) - rows[i].text,
                  rows[i].end);
    }
}

TEST(integers_are_exact)
{
    static const struct {
        const char *text;
        int code;
        uint64_t v;
    } rows[] = {{"0", 0, 0},
                {"-0", 0, 0},
                {"0.000", 0, 0},
                {"0e999999999999", 0, 0},
                {"1e3", 0, 1000},
                {"2.0", 0, 2},
                {"1.0e2", 0, 100},
                {"120e-1", 0, 12},
                {"2.5", -EDOM, 0},
                {"1e-1", -EDOM, 0},
                {"1e-999999999999999999", -EDOM, 0},
                {"18446744073709551615", 0, UINT64_MAX},
                {"18446744073709551616", -ERANGE, 0},
                {"18446744073709551615.0", 0, UINT64_MAX},
                {"18446744073709551615.5", -EDOM, 0},
                {"1.8446744073709551615e19", 0, UINT64_MAX},
                {"184467440737095516150e-1", 0, UINT64_MAX},
                {"184467440737095516155e-1", -EDOM, 0},
                {"1844674407370955161500000e-5", 0, UINT64_MAX},
                {"18446744073709551620", -ERANGE, 0},
                {"99999999999999999999", -ERANGE, 0},
                {"1e19", 0, 10000000000000000000u},
                {"1e20", -ERANGE, 0},
                {"1e99999999999999999999", -ERANGE, 0},
                {"0.00000000000000000000000000001e29", 0, 1},
                {"10000000000000000000000000e-24", 0, 10},
                {"10000000000000000000000001e-24", -EDOM, 0},
                {"12345678901234567890", 0, 12345678901234567890u},
                {"1234567890123456789.0000000000000000000000000", 0, 1234567890123456789},
                {"1234567890123456789.0000000000000000000000001", -EDOM, 0},
                {"123456789012345678901e-1", -EDOM, 0},
                {"9007199254740993", 0, 9007199254740993}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        yk_decimal d = scan(rows[i].text);
        uint64_t v = 0, plain;
        int code = yk_decimal_u64(&d, &v);
        if (code != rows[i].code || v != rows[i].v)
            test_fail(__FILE__, __LINE__, "%s: %d, %llu", rows[i].text, code, (unsigned long long)v);
        const char *end = rows[i].text + strlen(rows[i].text);
        if (yk_decimal_read_plain(rows[i].text, end, &plain) == end)
            CHECK(plain == v);
    }
}

TEST(random_integers_in_every_dress)
{
    for (int i = 0; i < 20000; i++) {
        uint64_t v = (test_random() | 1) >> test_random() % 64 | 1, got = 0;
        unsigned zeros = (unsigned)(test_random() % 30);
        char text[120];
        snprintf(text, sizeof text, "%llu%0*de-%u", (unsigned long long)v, (int)zeros + 1, 0, zeros + 1);
        yk_decimal d = scan(text);
        CHECK_INT(yk_decimal_u64(&d, &got), 0);
        CHECK(got == v);
        snprintf(text, sizeof text, "0.%0*d%llue%zu", (int)zeros + 1, 0, (unsigned long long)v,
                 zeros + 1 + (size_t)snprintf(NULL, 0, "%llu", (unsigned long long)v));
        d = scan(text);
        CHECK_INT(yk_decimal_u64(&d, &got), 0);
        CHECK(got == v);
    }
}

/* ---- Base64 ---- */

TEST(base64_of_the_rfc)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        char text[16] = "", bytes[16] = "";
        size_t n;
        yk_base64_put(text, rows[i][0], strlen(rows[i][0]));
        CHECK_STR(text, rows[i][1]);
        CHECK_INT(yk_base64_size(strlen(rows[i][0])), strlen(text));
        CHECK_INT(yk_base64_get(bytes, text, strlen(text), &n), 0);
        CHECK_INT(n, strlen(rows[i][0]));
        CHECK_STR(bytes, rows[i][0]);
    }
}

TEST(base64_that_is_wrong_is_refused_at_its_place)
{
    static const struct {
        const char *text;
        size_t place;
    } rows[] = {{"A", 1},
                {"AA", 2},
                {"AAA", 3},
                {"AAAAA", 5},
                {"====", 0},
                {"A===", 1},
                {"AA=A", 2},
                {"AA==AAAA", 2},
                {"AB==", 1},
                {"AAB=", 2},
                {"AA!=", 2},
                {"A AA", 1},
                {"AAA\n", 3},
                {"AA-_", 2},
                {"\xc3\xa9"
                 "AA",
                 0},
                {"AAAAA===", 5},
                {"AAAA====", 4},
                {"=", 1},
                {"==", 2}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        char bytes[16];
        size_t n = 99;
        CHECK_INT(yk_base64_get(bytes, rows[i].text, strlen(rows[i].text), &n), -EINVAL);
        if (n != rows[i].place)
            test_fail(__FILE__, __LINE__, "%s: at %zu", rows[i].text, n);
    }
}

TEST(random_bytes_survive_base64)
{
    for (int i = 0; i < 2000; i++) {
        size_t len = (size_t)(test_random() % 100), n;
        unsigned char in[100], out[103];
        char text[140];
        for (size_t k = 0; k < len; k++)
            in[k] = (unsigned char)test_random();
        yk_base64_put(text, in, len);
        CHECK_INT(yk_base64_get(out, text, yk_base64_size(len), &n), 0);
        CHECK(n == len && memcmp(in, out, len) == 0);
    }
}
