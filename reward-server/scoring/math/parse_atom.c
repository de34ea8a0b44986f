/* parse_atom.c: what a product is made of. */

#include "reward-server/scoring/math/parse.h"

bool parse_starts_atom(const struct parser *p)
{
    switch (p->t->kind) {
    case TOK_SYM:
        return !parse_at_differential(p);
    case TOK_NUM:
    case TOK_FUNC:
    case TOK_LPAR:
        return p->t[1].kind != TOK_MOD; /* "3 (mod 7)" */
    case TOK_LBRACE:
    case TOK_BAR_OPEN:
    case TOK_LFLOOR:
    case TOK_LCEIL:
    case TOK_FRAC:
    case TOK_SQRT:
    case TOK_BINOM:
    case TOK_INF:
    case TOK_PI:
    case TOK_BEGIN:
    case TOK_BIG:
    case TOK_MARK:
    case TOK_DET:
        return true;
    case TOK_BAR:
        return p->bars == 0;
    default:
        return false;
    }
}

const struct math_node *parse_leaf(struct parser *p, enum math_kind kind, const char *text)
{
    return math_leaf(p->w, kind, text, strlen(text));
}

/* ---- commands with arguments ---- */

const struct math_node *parse_func(
    struct parser *p, enum math_func f, const struct math_node *const *kids, size_t n)
{
    struct math_node *x = math_node(p->w, MATH_FUNC, kids, n);
    if (x != NULL)
        x->op = (int)f;
    return x;
}

static const struct math_node *func1(struct parser *p, enum math_func f, const struct math_node *a)
{
    return parse_func(p, f, &a, 1);
}

/* {...}, or one token; of a number without braces one digit, as TeX reads it. */
const struct math_node *parse_argument(struct parser *p, const char **rest)
{
    if (*rest != NULL && **rest != '\0') {
        const char digit[] = {**rest, '\0'};
        (*rest)++;
        return parse_leaf(p, MATH_NUM, digit);
    }
    if (p->t->kind == TOK_LBRACE) {
        p->t++;
        p->brackets++;
        const struct math_node *x = parse_sum(p);
        p->brackets--;
        if (x != NULL && !parse_take(p, TOK_RBRACE))
            return parse_fail(p, "a brace that is not closed");
        return x;
    }
    if (p->t->kind == TOK_NUM && p->t->places == 0 && p->t->text[0] != '\0') {
        *rest = p->t->text;
        p->t++;
        return parse_argument(p, rest);
    }
    return parse_atom(p);
}

/* What \frac and \binom leave of a number behind their arguments is a factor: \frac123 is
 * (1/2) 3. */
static const struct math_node *with_rest(
    struct parser *p, const struct math_node *x, const char *rest)
{
    if (rest == NULL || *rest == '\0' || x == NULL)
        return x;
    return math_node2(p->w, MATH_MUL, x, parse_leaf(p, MATH_NUM, rest));
}

static const struct math_node *parse_fraction(struct parser *p)
{
    enum math_tok kind = p->t->kind;
    const char *rest = NULL;
    if (parse_at_derivative(p))
        return parse_derivative(p);
    p->t++;
    const struct math_node *kids[2];
    kids[0] = parse_argument(p, &rest);
    kids[1] = kids[0] != NULL ? parse_argument(p, &rest) : NULL;
    if (kids[1] == NULL)
        return parse_fail(p, "a fraction without two parts");
    if (kind == TOK_BINOM)
        return with_rest(p, parse_func(p, FUNC_BINOM, kids, 2), rest);
    return with_rest(
        p, math_node2(p->w, MATH_MUL, kids[0], math_node1(p->w, MATH_INV, kids[1])), rest);
}

static const struct math_node *parse_root(struct parser *p)
{
    const struct math_node *index = math_number(p->w, 2);
    const char *rest = NULL;
    p->t++;
    if (p->t->kind == TOK_LBRACK) {
        index = parse_enclosed(p, TOK_RBRACK);
        if (index == NULL)
            return NULL;
    }
    const struct math_node *x = parse_argument(p, &rest);
    return with_rest(p, math_node2(p->w, MATH_POW, x, math_node1(p->w, MATH_INV, index)), rest);
}

/* ---- functions ---- */

static const struct math_node *function_argument(struct parser *p)
{
    if (p->t->kind == TOK_LPAR)
        return parse_bracket(p);
    if (p->t->kind == TOK_LBRACE)
        return parse_braces(p);
    return parse_product(p, true);
}

/* gcd(a, b, c), \max\{a, b\}. */
static const struct math_node *parse_many(struct parser *p, enum math_func f)
{
    enum math_tok close = p->t->kind == TOK_LPAR ? TOK_RPAR : TOK_RSET;
    if (p->t->kind != TOK_LPAR && p->t->kind != TOK_LSET)
        return parse_fail(p, "a function without an argument");
    p->t++;
    p->brackets++;
    const struct math_node *list = parse_list(p, true);
    p->brackets--;
    if (list == NULL || !parse_take(p, close))
        return parse_fail(p, "a bracket that is not closed");
    return parse_func(p, f, list->kids, list->n);
}

/* \sin^2 x, \sin^{-1} x, \log_b x, \sin(x). */
const struct math_node *parse_function(struct parser *p)
{
    static const int inverse[] = {[FUNC_SIN] = FUNC_ASIN,
        [FUNC_COS] = FUNC_ACOS,
        [FUNC_TAN] = FUNC_ATAN,
        [FUNC_COT] = FUNC_ACOT,
        [FUNC_SEC] = FUNC_ASEC,
        [FUNC_CSC] = FUNC_ACSC,
        [FUNC_SINH] = FUNC_ASINH,
        [FUNC_COSH] = FUNC_ACOSH,
        [FUNC_TANH] = FUNC_ATANH};
    enum math_func f = (enum math_func)p->t->op;
    const struct math_node *power = NULL, *base = NULL, *kids[2];
    const char *rest = NULL;
    struct math_small exponent;
    p->t++;
    if (f >= FUNC_MOD)
        return parse_many(p, f);
    if (f == FUNC_LOG && parse_take(p, TOK_UNDER) && (base = parse_argument(p, &rest)) == NULL)
        return NULL;
    if (parse_take(p, TOK_CARET) && (power = parse_argument(p, &rest)) == NULL)
        return NULL;
    if (p->depth >= MATH_DEPTH_MAX)
        return parse_fail(p, "nested too deeply");
    p->depth++;
    const struct math_node *x =
        rest != NULL && *rest != '\0' ? parse_leaf(p, MATH_NUM, rest) : function_argument(p);
    p->depth--;
    if (x == NULL)
        return parse_fail(p, "a function without an argument");
    if (power != NULL && f <= FUNC_TANH && inverse[f] != 0 && math_small(p->w, power, &exponent) &&
        exponent.num == -1 && exponent.den == 1) {
        f = (enum math_func)inverse[f];
        power = NULL;
    }
    kids[0] = base != NULL ? base : math_number(p->w, 10);
    kids[1] = x;
    const struct math_node *y = f == FUNC_LOG ? parse_func(p, f, kids, 2) : func1(p, f, x);
    return power != NULL ? math_node2(p->w, MATH_POW, y, power) : y;
}

/* ---- atoms ---- */

static const struct math_node *parse_based(struct parser *p)
{
    struct math_node *x = math_leaf(p->w, MATH_BASED, p->t->text, strlen(p->t->text));
    if (x != NULL)
        x->op = p->t->op;
    p->t++;
    return x;
}

static const struct math_node *empty_set(struct parser *p)
{
    p->t++;
    return math_node(p->w, MATH_SET, NULL, 0);
}

static const struct math_node *constant(struct parser *p, enum math_kind kind)
{
    p->t++;
    return math_node(p->w, kind, NULL, 0);
}

static const struct math_node *parse_words(struct parser *p)
{
    const struct math_node *x =
        parse_leaf(p, p->t->kind == TOK_TEXT ? MATH_TEXT : MATH_SYM, p->t->text);
    p->t++;
    if (p->t->kind == TOK_WORD || p->t->kind == TOK_TEXT || parse_starts_atom(p))
        return parse_fail(p, "words"); /* a sentence, not a product */
    return x;
}

/* \bar{z}: an unknown function of what stands below the mark. */
static const struct math_node *parse_marked(struct parser *p)
{
    const char *name = p->t->text, *rest = NULL;
    p->t++;
    const struct math_node *x = parse_argument(p, &rest);
    struct math_node *y = x != NULL ? math_node1(p->w, MATH_CALL, x) : NULL;
    if (y != NULL)
        y->text = name;
    return with_rest(p, y, rest);
}

static const struct math_node *parse_plain_atom(struct parser *p)
{
    switch (p->t->kind) {
    case TOK_NUM:
        return parse_number(p);
    case TOK_BASED:
        return parse_based(p);
    case TOK_SYM:
        return parse_name(p);
    case TOK_WORD:
    case TOK_TEXT:
        return parse_words(p);
    case TOK_FUNC:
        return parse_function(p);
    case TOK_LPAR:
    case TOK_LBRACK:
    case TOK_RBRACK:
        return parse_bracket(p);
    case TOK_LBRACE:
    case TOK_LSET:
        return parse_braces(p);
    case TOK_LANGLE:
        return parse_angle(p);
    case TOK_BAR:
        return func1(p, FUNC_ABS, parse_enclosed(p, TOK_BAR));
    case TOK_BAR_OPEN:
        return func1(p, FUNC_ABS, parse_enclosed(p, TOK_BAR_CLOSE));
    case TOK_LFLOOR:
        return func1(p, FUNC_FLOOR, parse_enclosed(p, TOK_RFLOOR));
    case TOK_LCEIL:
        return func1(p, FUNC_CEIL, parse_enclosed(p, TOK_RCEIL));
    case TOK_FRAC:
    case TOK_BINOM:
        return parse_fraction(p);
    case TOK_SQRT:
        return parse_root(p);
    case TOK_BEGIN:
        return parse_environment(p);
    case TOK_BIG:
        return parse_big(p);
    case TOK_DET:
        return parse_determinant(p);
    case TOK_MARK:
        return parse_marked(p);
    case TOK_INF:
        return constant(p, MATH_INF);
    case TOK_PI:
        return constant(p, MATH_PI);
    case TOK_REALS:
        return constant(p, MATH_REALS);
    case TOK_EMPTY:
        return empty_set(p);
    default:
        return parse_fail(p, "a value is missing");
    }
}

static const struct math_node *with_unit(
    struct parser *p, const struct math_node *x, const char *unit)
{
    struct math_node *y = math_node1(p->w, MATH_UNIT, x);
    if (y != NULL)
        y->text = unit;
    return y;
}

/* After ^: a degree sign, or an exponent, which itself may be a power without braces. */
static const struct math_node *parse_exponent(struct parser *p, const struct math_node *x)
{
    const char *rest = NULL;
    const struct math_token *t = p->t;
    bool brace = t->kind == TOK_LBRACE && t[1].kind == TOK_DEGREE && t[2].kind == TOK_RBRACE;
    if (brace || t->kind == TOK_DEGREE) {
        p->t += brace ? 3 : 1;
        return with_unit(p, x, "degree");
    }
    if (p->depth >= MATH_DEPTH_MAX)
        return parse_fail(p, "nested too deeply");
    p->depth++;
    bool negative = parse_take(p, TOK_MINUS);
    const struct math_node *exponent;
    if (p->t->kind == TOK_NUM || p->t->kind == TOK_LPAR || p->t->kind == TOK_SYM)
        exponent = parse_atom(p); /* x^12 in plain text is x to the twelfth; 2^3^4 goes right */
    else
        exponent = parse_argument(p, &rest);
    p->depth--;
    if (negative)
        exponent = math_node1(p->w, MATH_NEG, exponent);
    return math_node2(p->w, MATH_POW, x, exponent);
}

static long take_super(struct parser *p)
{
    long n = 0;
    for (; p->t->kind == TOK_SUPER && n < 1000000; p->t++)
        n = n * 10 + p->t->op;
    return n;
}

const struct math_node *parse_atom(struct parser *p)
{
    if (p->depth >= MATH_DEPTH_MAX || !math_step(p->w, 1))
        return parse_fail(p, "nested too deeply");
    p->depth++;
    const struct math_node *x = parse_plain_atom(p);
    while (x != NULL) {
        if (parse_take(p, TOK_CARET))
            x = parse_exponent(p, x);
        else if (p->t->kind == TOK_SUPER)
            x = math_node2(p->w, MATH_POW, x, math_number(p->w, take_super(p)));
        else if (parse_take(p, TOK_BANG))
            x = func1(p, FUNC_FACT, x);
        else if (parse_take(p, TOK_DEGREE))
            x = with_unit(p, x, "degree");
        else if (parse_take(p, TOK_PERCENT))
            x = with_unit(p, x, "percent");
        else
            break;
    }
    p->depth--;
    return x;
}
