/* analysis: how the parameters of a kernel stand in its body. A scanner of tokens, no parser: it need not
 * understand a body to see that a name stands nowhere but as x[i], and where it is not sure it says no, which
 * costs speed and nothing else. */
#include "gpu/kernel.h"
#include <ctype.h>

static const char *const long_signs[] = {"<<=", ">>=", "...", "->", "++", "--", "==", "!=", "<=", ">=", "+=", "-=",
                                         "*=",  "/=",  "%=",  "&=", "|=", "^=", "<<", ">>", "&&", "||"};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The length of a string or character that begins at p. */
static size_t quoted(const char *p)
{
    size_t len = 1;
    while (p[len] && p[len] != *p)
        len += p[len] == '\\' && p[len + 1] ? 2 : 1;
    return p[len] ? len + 1 : len;
}

static size_t sign(const char *p)
{
    for (size_t i = 0; i < YK_COUNT_OF(long_signs); i++)
        if (strncmp(p, long_signs[i], strlen(long_signs[i])) == 0)
            return strlen(long_signs[i]);
    return 1;
}

void yk_token_read(const char *p, yk_token *ret)
{
    while (isspace((unsigned char)*p))
        p++;
    ret->at = p;
    ret->len = 0;
    if (!*p) {
        ret->kind = YK_TOKEN_END;
    } else if (isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]))) {
        ret->kind = YK_TOKEN_NUMBER;
        while (is_word(p[ret->len]) || p[ret->len] == '.'
               || ((p[ret->len] == '+' || p[ret->len] == '-') && strchr("eEpP", p[ret->len - 1])))
            ret->len++;
    } else if (is_word(*p)) {
        ret->kind = YK_TOKEN_NAME;
        while (is_word(p[ret->len]))
            ret->len++;
    } else if (*p == '"' || *p == '\'') {
        ret->kind = YK_TOKEN_TEXT;
        ret->len = quoted(p);
    } else {
        ret->kind = YK_TOKEN_SIGN;
        ret->len = sign(p);
    }
}

bool yk_token_is(const yk_token *t, const char *text)
{
    return t->len == strlen(text) && memcmp(t->at, text, t->len) == 0;
}

static bool is_one_of(const yk_token *t, const char *const *words)
{
    for (; *words; words++)
        if (yk_token_is(t, *words))
            return true;
    return false;
}

static const char *const changes[] = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--", NULL};
static const char *const words_before_values[] = {"return", "case", "else", "do", "sizeof", "goto", NULL};

/* Whether what follows t is a value of its own, so that a & or * there has one operand. */
static bool ends_value(const yk_token *t)
{
    return t->kind == YK_TOKEN_NUMBER || t->kind == YK_TOKEN_TEXT || yk_token_is(t, ")") || yk_token_is(t, "]")
        || (t->kind == YK_TOKEN_NAME && !is_one_of(t, words_before_values));
}

/* A token, those around it, and how deep in parentheses it stands. */
typedef struct window {
    yk_token before2, before, here, after, after2, after3;
    int depth;
    bool cast;      /* the last parentheses may hold a type */
    bool addressed; /* before `here` stands a & that has one operand, or may: (b)&x, &(x */
} window;

static void begin(window *w, const char *text)
{
    *w = (window){.before = {YK_TOKEN_SIGN, ";", 1}, .before2 = {YK_TOKEN_SIGN, ";", 1}};
    yk_token_read(text, &w->here);
    yk_token_read(w->here.at + w->here.len, &w->after);
    yk_token_read(w->after.at + w->after.len, &w->after2);
    yk_token_read(w->after2.at + w->after2.len, &w->after3);
}

static void note_address(window *w)
{
    if (yk_token_is(&w->here, "&"))
        w->addressed = yk_token_is(&w->before, ")") ? w->cast : !ends_value(&w->before);
    else if (!yk_token_is(&w->here, "("))
        w->addressed = false;
    if (yk_token_is(&w->here, "("))
        w->cast = !ends_value(&w->before);
    else if (w->here.kind != YK_TOKEN_NAME && !yk_token_is(&w->here, "*") && !yk_token_is(&w->here, ")"))
        w->cast = false;
}

static void step(window *w)
{
    note_address(w);
    if (yk_token_is(&w->here, "("))
        w->depth++;
    else if (yk_token_is(&w->here, ")"))
        w->depth--;
    w->before2 = w->before;
    w->before = w->here;
    w->here = w->after;
    w->after = w->after2;
    w->after2 = w->after3;
    yk_token_read(w->after3.at + w->after3.len, &w->after3);
}

static bool is_member(const window *w)
{
    return yk_token_is(&w->before, ".") || yk_token_is(&w->before, "->");
}

/* The name i: does this declare or change it? `int j, i;` looks like the end of a call f(j, i) but for the
 * parentheses. */
static bool index_changes_here(const window *w)
{
    static const char *const ends[] = {";", ",", NULL};
    if (is_one_of(&w->after, changes) || yk_token_is(&w->before, "++") || yk_token_is(&w->before, "--") || w->addressed)
        return true;
    if (w->before.kind == YK_TOKEN_NAME && !is_one_of(&w->before, words_before_values))
        return true;
    return w->depth == 0 && yk_token_is(&w->before, ",") && is_one_of(&w->after, ends);
}

static bool is_element_here(const window *w)
{
    return yk_token_is(&w->after, "[") && yk_token_is(&w->after2, "i") && yk_token_is(&w->after3, "]") && !w->addressed;
}

/* One of the names, or that of its form for float. */
static bool is_function(const yk_token *t, const char *const *names)
{
    yk_token plain = *t;
    plain.len -= t->len > 1 && t->at[t->len - 1] == 'f';
    return is_one_of(t, names) || is_one_of(&plain, names);
}

static bool calls_here(const window *w)
{
    static const char *const words[] = {"if", "else", "switch", "case", "return", "sizeof", NULL};
    return yk_token_is(&w->after, "(") && !is_one_of(&w->here, words);
}

/* fma(), floor() and the like are no instructions of the least x86-64. */
static void note_time(const window *w, yk_analysis *a)
{
    static const char *const loops[] = {"for", "while", "do", "goto", NULL};
    static const char *const quick[] = {"abs", "fabs", "fmin", "fmax", "sqrt", "copysign", NULL};
    static const char *const quick_of_yoke[] = {"yoke_lesser", "yoke_greater", "yoke_clamp", "yoke_as_uint", "yoke_as_float",
                                                "yoke_as_ulong", "yoke_as_double", NULL};
    static const char *const known[] = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
                                        "acos", "atan", "atan2", "sinh", "cosh", "tanh", "pow", "cbrt", "hypot", "erf", "erfc",
                                        "fma", "floor", "ceil", "trunc", "rint", "round", "fmod", NULL};
    const bool calls = calls_here(w) && !is_function(&w->here, quick) && !is_one_of(&w->here, quick_of_yoke);
    const bool of_yoke = w->here.len > 5 && memcmp(w->here.at, "yoke_", 5) == 0;
    a->loops |= is_one_of(&w->here, loops) || (calls && !of_yoke && !is_function(&w->here, known));
    a->takes_long |= a->loops || calls;
}

void yk_analysis_begin(const yoke_kernel *k, yk_analysis *a)
{
    *a = (yk_analysis){.tokens = 0};
    for (unsigned p = 0; p < k->nparams; p++)
        a->element[p] = k->params[p].kind != YK_VAL && strcmp(k->params[p].count, "n") == 0;
}

void yk_analyse(const yoke_kernel *k, const char *text, yk_analysis *a)
{
    window w;
    if (!text)
        return;
    for (begin(&w, text); w.here.kind != YK_TOKEN_END; step(&w)) {
        a->tokens++;
        if (w.here.kind != YK_TOKEN_NAME || is_member(&w))
            continue;
        note_time(&w, a);
        if (yk_token_is(&w.here, "i"))
            a->index_changes |= index_changes_here(&w);
        for (unsigned p = 0; p < k->nparams; p++)
            if (yk_token_is(&w.here, k->params[p].name)) {
                a->used[p] = true;
                a->element[p] &= is_element_here(&w);
            }
    }
    for (unsigned p = 0; a->index_changes && p < k->nparams; p++)
        a->element[p] = false;
}

void yk_analyse_kernel(const yoke_kernel *k, yk_analysis *ret)
{
    yk_analysis_begin(k, ret);
    /* What combines two values, and the identity, cannot see the parameters. */
    unsigned texts = k->form == YK_REDUCE_KERNEL ? 1 : YK_COUNT_OF(k->texts);
    for (unsigned i = 0; i < texts; i++)
        yk_analyse(k, k->texts[i], ret);
}

/* ---- Statements ---- */

/* Where the reading of statements has come to. */
typedef struct reader {
    yk_token here;
    bool strays; /* a break has been found that would leave what the macro or the device's text has round the body */
} reader;

static void next(reader *r)
{
    yk_token_read(r->here.at + r->here.len, &r->here);
}

static bool opens(const yk_token *t)
{
    return yk_token_is(t, "(") || yk_token_is(t, "[") || yk_token_is(t, "{");
}

static bool closes(const yk_token *t)
{
    return yk_token_is(t, ")") || yk_token_is(t, "]") || yk_token_is(t, "}");
}

/* Past the sign `end` that stands outside all brackets from here on. */
static void skip_past(reader *r, const char *end)
{
    for (int depth = 0; r->here.kind != YK_TOKEN_END; next(r)) {
        if (depth == 0 && yk_token_is(&r->here, end))
            break;
        depth += opens(&r->here) - closes(&r->here);
        if (depth < 0)
            return; /* it ends without: a macro's doing */
    }
    next(r);
}

/* Past the condition of an if or a loop. */
static void skip_head(reader *r)
{
    next(r);
    next(r);
    skip_past(r, ")");
}

/* owned: a loop or switch of the body is round it, which a break ends. What it does not know it skips, up to a semicolon. */
static void read_statement(reader *r, bool owned)
{
    static const char *const loops[] = {"for", "while", "switch", NULL};
    if (yk_token_is(&r->here, "{")) {
        for (next(r); r->here.kind != YK_TOKEN_END && !yk_token_is(&r->here, "}");)
            read_statement(r, owned);
        next(r);
    } else if (is_one_of(&r->here, loops)) {
        skip_head(r);
        read_statement(r, true);
    } else if (yk_token_is(&r->here, "do")) {
        next(r);
        read_statement(r, true);
    } else if (yk_token_is(&r->here, "if") || yk_token_is(&r->here, "YOKE_ITEMS")) {
        bool region = yk_token_is(&r->here, "YOKE_ITEMS");
        skip_head(r);
        read_statement(r, owned && !region);
        if (!region && yk_token_is(&r->here, "else")) {
            next(r);
            read_statement(r, owned);
        }
    } else if (yk_token_is(&r->here, "case") || yk_token_is(&r->here, "default")) {
        skip_past(r, ":");
        if (!yk_token_is(&r->here, "}"))
            read_statement(r, owned);
    } else if (closes(&r->here)) {
        next(r);
    } else {
        r->strays |= yk_token_is(&r->here, "break") && !owned;
        skip_past(r, ";");
    }
}

bool yk_break_strays(const yoke_kernel *k)
{
    const char *body = k->texts[k->form == YK_SCAN_KERNEL ? 3 : 0];
    reader r = {.strays = false};
    if (k->form == YK_REDUCE_KERNEL || !body || !strstr(body, "break"))
        return false;
    for (yk_token_read(body, &r.here); r.here.kind != YK_TOKEN_END;)
        read_statement(&r, false);
    return r.strays;
}
