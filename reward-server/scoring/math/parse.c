/* parse.c: answers, items, sums, products and powers. */
#include "reward-server/scoring/math/parse.h"

#include <stdio.h>

#include "reward-server/scoring/math/unit.h"

struct math_node *parse_fail(struct parser *p, const char *why)
{
    if (p->why == NULL)
        p->why = why;
    return NULL;
}

bool parse_take(struct parser *p, enum math_tok kind)
{
    if (p->t->kind != kind)
        return false;
    p->t++;
    return true;
}

/* ---- units ---- */

static bool at_unit(const struct parser *p)
{
    return p->brackets == p->sets && (p->t->kind == TOK_TEXT || p->t->kind == TOK_WORD);
}

/* Words after a value, with a power and a quotient: "square feet", "cm^2", "km/h". */
static const struct math_node *parse_unit(struct parser *p, const struct math_node *value)
{
    char words[MATH_UNIT_BYTES_MAX] = "", name[MATH_UNIT_BYTES_MAX];
    if (value != NULL && at_unit(p) && value->kind == MATH_UNIT &&
        strcmp(value->text, "degree") == 0) {
        (void)snprintf(words, sizeof(words), "degree");
        value = value->kids[0];
    }
    for (size_t n = strlen(words); value != NULL && at_unit(p); n = strlen(words)) {
        (void)snprintf(words + n, sizeof(words) - n, "%s%s", n > 0 ? " " : "", p->t->text);
        if (strlen(words) + 1 >= sizeof(words))
            return parse_fail(p, "words that are too long");
        p->t++;
        n = strlen(words);
        bool brace = p->t->kind == TOK_CARET && p->t[1].kind == TOK_LBRACE;
        const struct math_token *number = p->t + 1 + brace;
        if (p->t->kind == TOK_CARET && number->kind == TOK_NUM && strlen(number->text) == 1 &&
            (!brace || number[1].kind == TOK_RBRACE)) {
            (void)snprintf(words + n, sizeof(words) - n, "^%s", number->text);
            p->t = number + 1 + brace;
        } else if (p->t->kind == TOK_SUPER) {
            (void)snprintf(words + n, sizeof(words) - n, "^%d", p->t->op);
            p->t++;
        }
        n = strlen(words);
        if (p->t->kind == TOK_DIVIDE && (p->t[1].kind == TOK_WORD || p->t[1].kind == TOK_TEXT)) {
            (void)snprintf(words + n, sizeof(words) - n, "/");
            p->t++;
        } else if (p->t->kind == TOK_DIVIDE && p->t[1].kind == TOK_SYM &&
                   unit_known(p->t[1].text, strlen(p->t[1].text))) {
            (void)snprintf(words + n, sizeof(words) - n, "/%s", p->t[1].text);
            p->t += 2;
        }
    }
    if (value == NULL || words[0] == '\0')
        return value;
    if (!unit_canonical(words, name) || name[0] == '\0')
        return parse_fail(p, "words that are no unit");
    struct math_node *x = math_leaf(p->w, MATH_UNIT, name, strlen(name));
    struct math_node *y = math_node1(p->w, MATH_UNIT, value);
    if (x == NULL || y == NULL)
        return NULL;
    y->text = x->text;
    return y;
}

static const struct math_node *unit_of(
    struct parser *p, const struct math_node *value, const char *name)
{
    struct math_node *x = math_node1(p->w, MATH_UNIT, value);
    if (x != NULL)
        x->text = name;
    return x;
}

/* ---- items ---- */

/* A sum with a currency before it or a unit after it; a ratio. */
static const struct math_node *parse_quantity(struct parser *p)
{
    const struct math_node *terms[MATH_ITEMS_MAX];
    const char *money = NULL;
    size_t n = 0;
    bool negative = p->t->kind == TOK_MINUS && p->t[1].kind == TOK_MONEY;
    p->t += negative;
    if (p->t->kind == TOK_MONEY) {
        money = p->t->text;
        p->t++;
    }
    do {
        terms[n] = parse_unit(p, parse_sum(p));
        if (terms[n] == NULL)
            return NULL;
        n++;
    } while (n < MATH_ITEMS_MAX && p->brackets == 0 && parse_take(p, TOK_COLON));
    if (n > 1)
        return math_node(p->w, MATH_RATIO, terms, n);
    const struct math_node *x = negative ? math_node1(p->w, MATH_NEG, terms[0]) : terms[0];
    return money != NULL && x != NULL && terms[0]->kind != MATH_UNIT ? unit_of(p, x, money) : x;
}

static const struct math_node *parse_union(struct parser *p)
{
    const struct math_node *x = parse_quantity(p);
    while (x != NULL && (p->t->kind == TOK_CUP || p->t->kind == TOK_MINUS_SET)) {
        enum math_kind kind = p->t->kind == TOK_CUP ? MATH_UNION : MATH_MINUS;
        p->t++;
        x = math_node2(p->w, kind, x, parse_quantity(p));
    }
    return x;
}

/* "1, 3, 5, ...": a member that equals itself only. */
static const struct math_node *parse_dots(struct parser *p)
{
    p->t++;
    return math_leaf(p->w, MATH_SYM, "...", 3);
}

/* The letter of a set of numbers, with what restricts it behind it: Z^+ and N are 'N', Z is 'Z'. */
static int parse_domain(struct parser *p)
{
    int letter = 0;
    if (p->t->kind == TOK_REALS)
        letter = 'R';
    else if (p->t->kind == TOK_SYM && strncmp(p->t->text, "bb", 2) == 0)
        letter = p->t->text[2];
    else if (p->t->kind == TOK_SYM && strcmp(p->t->text, "Z") == 0)
        letter = 'Z';
    if (letter == 0)
        return 0;
    p->t++;
    if (p->t->kind == TOK_CARET || p->t->kind == TOK_UNDER) {
        bool brace = p->t[1].kind == TOK_LBRACE;
        const struct math_token *mark = p->t + 1 + brace;
        bool known = mark->kind == TOK_PLUS || mark->kind == TOK_TIMES;
        if (!known || (brace && mark[1].kind != TOK_RBRACE))
            return 0;
        p->t = mark + 1 + brace;
        letter = letter == 'Z' ? 'N' : letter == 'R' ? 'P' : letter;
    }
    return letter;
}

/* After "x in": x that runs through a known set of numbers, or the set alone. */
static const struct math_node *parse_member(struct parser *p, const struct math_node *name)
{
    const struct math_token *t = p->t;
    int letter = parse_domain(p);
    bool alone = letter == 0 || p->t->kind == TOK_MINUS_SET || p->t->kind == TOK_CUP;
    if (alone) {
        p->t = t;
        return parse_union(p);
    }
    struct math_node *x = math_leaf(p->w, MATH_DECL, name->text, strlen(name->text));
    if (x != NULL)
        x->op = letter;
    return x;
}

/* \pmod{7}, (mod 7); of "x = 3 mod 7" the modulus was read with the 3. */
static const struct math_node *parse_modulus(struct parser *p, const struct math_node *x)
{
    const struct math_node *modulus;
    const char *rest = NULL;
    if (p->t->kind == TOK_LPAR && p->t[1].kind == TOK_MOD) {
        p->t += 2;
        modulus = parse_sum(p);
        if (modulus == NULL || !parse_take(p, TOK_RPAR))
            return parse_fail(p, "a bracket that is not closed");
    } else if (p->t->kind == TOK_MOD && p->t->op == 1) {
        p->t++;
        modulus = parse_argument(p, &rest);
    } else {
        return x;
    }
    return math_node2(p->w, MATH_CONG, x, modulus);
}

static const struct math_node *relation(
    struct parser *p, const struct math_node *const *sides, const char *ops, size_t n)
{
    struct math_node *text = math_leaf(p->w, MATH_REL, ops, n);
    struct math_node *x = math_node(p->w, MATH_REL, sides, n + 1);
    if (text == NULL || x == NULL)
        return NULL;
    x->text = text->text;
    return x;
}

/* Relations in a row make one node: a < b < c. "x in S" is S. */
const struct math_node *parse_item(struct parser *p)
{
    enum { RELATIONS_MAX = 8 };
    const struct math_node *sides[RELATIONS_MAX + 1], *modulus = NULL;
    char ops[RELATIONS_MAX + 1];
    size_t n = 0;
    if (p->t->kind == TOK_REL && (p->t->op == '=' || p->t->op == '~')) /* "= 5" */
        p->t++;
    sides[0] = parse_at_definition(p) ? parse_definition(p) : parse_union(p);
    if (sides[0] != NULL && sides[0]->kind == MATH_SYM && parse_take(p, TOK_IN))
        return parse_member(p, sides[0]);
    while (sides[n] != NULL && n < RELATIONS_MAX && p->t->kind == TOK_REL) {
        ops[n++] = (char)p->t->op;
        p->t++;
        sides[n] = parse_union(p);
    }
    if (sides[n] == NULL)
        return NULL;
    if (n > 0 && ops[n - 1] == '#' && sides[n]->kind == MATH_FUNC && sides[n]->op == FUNC_MOD) {
        modulus = sides[n]->kids[1];
        sides[n] = sides[n]->kids[0];
    }
    const struct math_node *x = n == 0 ? sides[0] : relation(p, sides, ops, n);
    if (x != NULL && modulus != NULL)
        return math_node2(p->w, MATH_CONG, x, modulus);
    return x != NULL ? parse_modulus(p, x) : NULL;
}

/* ---- lists ---- */

struct items {
    const struct math_node *at[MATH_ITEMS_MAX];
    int joint[MATH_ITEMS_MAX]; /* what stands before: 0 a comma, 1 "and", 2 "or", ';' */
    size_t n;
};

/* "x = 1, 3 (mod 4)": the modulus is that of all. */
static bool spread_modulus(struct parser *p, struct items *list)
{
    const struct math_node *last = list->at[list->n - 1];
    if (list->n < 2 || last->kind != MATH_CONG)
        return true;
    for (size_t i = 0; i + 1 < list->n; i++) {
        if (list->at[i]->kind != MATH_CONG)
            list->at[i] = math_node2(p->w, MATH_CONG, list->at[i], last->kids[1]);
        if (list->at[i] == NULL)
            return false;
    }
    return true;
}

/* Items that a separator of that kind begins: equal numbers of equations between each two of them
 * ("x = 1, y = 2 or x = 3, y = 4") are groups of one answer each. 0: there are none. */
static size_t group_size(const struct items *list, int joint)
{
    size_t size = 0, run = 0;
    for (size_t i = 0; i < list->n; i++) {
        bool begins = i > 0 && list->joint[i] == joint;
        if (begins && size != 0 && run != size)
            return 0;
        if (begins)
            size = run;
        run = begins ? 1 : run + 1;
        if (list->at[i]->kind != MATH_REL)
            return 0;
    }
    return size >= 2 && run == size ? size : 0;
}

static const struct math_node *make_list(
    struct parser *p, const struct math_node *const *items, size_t n, int joint)
{
    struct math_node *list = math_node(p->w, MATH_LIST, items, n);
    if (list != NULL)
        list->op = joint;
    return list;
}

static const struct math_node *close_list(struct parser *p, struct items *list)
{
    static const int joints[] = {';', 2, 1};
    int joint = 0;
    if (!spread_modulus(p, list))
        return NULL;
    for (size_t k = 0; k < ARRAY_LEN(joints); k++) {
        size_t size = group_size(list, joints[k]), groups = 0;
        for (size_t i = 0; size > 0 && i < list->n; i += size)
            list->at[groups++] = make_list(p, list->at + i, size, 0);
        if (size > 0)
            return make_list(p, list->at, groups, 0);
    }
    for (size_t i = 0; i < list->n; i++)
        joint = list->joint[i] == 1 || list->joint[i] == 2 ? list->joint[i] : joint;
    return make_list(p, list->at, list->n, joint);
}

/* Items with commas, semicolons, "and" or "or" between them; one alone is itself. */
const struct math_node *parse_list(struct parser *p, bool keep_one)
{
    struct items list = {.n = 0};
    for (int joint = 0;; joint = 0) {
        if (list.n == MATH_ITEMS_MAX)
            return parse_fail(p, "more than 64 members");
        for (; p->t->kind == TOK_COMMA || p->t->kind == TOK_AND; p->t++) {
            if (list.n == 0)
                return parse_fail(p, "a value is missing");
            joint = p->t->op != 0 ? p->t->op : joint;
        }
        list.joint[list.n] = joint;
        list.at[list.n] = p->t->kind == TOK_DOTS ? parse_dots(p) : parse_item(p);
        if (list.at[list.n] == NULL)
            return NULL;
        list.n++;
        if (p->t->kind != TOK_COMMA && p->t->kind != TOK_AND)
            break;
    }
    if (list.n == 1 && !keep_one)
        return list.at[0];
    return close_list(p, &list);
}

/* ---- sums and products ---- */

const struct math_node *parse_sum(struct parser *p)
{
    const struct math_node *terms[MATH_ITEMS_MAX], *group[2];
    size_t n = 0;
    if (p->depth >= MATH_DEPTH_MAX || !math_step(p->w, 1))
        return parse_fail(p, "nested too deeply");
    p->depth++;
    for (bool first = true;; first = false) {
        int sign = 1, either = 0;
        if (p->t->kind != TOK_PLUS && p->t->kind != TOK_MINUS && p->t->kind != TOK_PM && !first)
            break;
        for (unsigned signs = 0;
             p->t->kind == TOK_PLUS || p->t->kind == TOK_MINUS || p->t->kind == TOK_PM; p->t++) {
            if (++signs > 2)
                return parse_fail(p, "signs in a row");
            sign = p->t->kind == TOK_MINUS ? -sign : sign;
            either = p->t->kind == TOK_PM ? p->t->op : either;
        }
        const struct math_node *x =
            p->t->kind == TOK_DOTS ? parse_dots(p) : parse_product(p, false);
        if (x != NULL && sign < 0)
            x = math_node1(p->w, MATH_NEG, x);
        if (x != NULL && either != 0) {
            struct math_node *pm = math_node1(p->w, MATH_PM, x);
            if (pm != NULL)
                pm->op = either;
            x = pm;
        }
        if (x == NULL)
            return NULL;
        terms[n++] = x;
        if (n == MATH_ITEMS_MAX) { /* a long sum becomes a sum of sums */
            group[0] = math_node(p->w, MATH_ADD, terms, n);
            if (group[0] == NULL)
                return NULL;
            terms[0] = group[0];
            n = 1;
        }
    }
    p->depth--;
    return n == 1 ? terms[0] : math_node(p->w, MATH_ADD, terms, n);
}

/* A whole number directly before a proper fraction of whole numbers is a mixed number. */
static bool is_mixed(const struct parser *p, const struct math_node *x)
{
    const struct math_token *t = p->t;
    if (x->kind != MATH_NUM || x->op != 0 || x->places != 0)
        return false;
    if (t->kind == TOK_NUM)
        return t->space && t[1].kind == TOK_DIVIDE && t[2].kind == TOK_NUM;
    if (t->kind != TOK_FRAC)
        return false;
    bool a = t[1].kind == TOK_LBRACE;
    const struct math_token *num = t + 1 + a;
    if (num->kind != TOK_NUM)
        return false;
    if (!a) /* \frac12 */
        return strlen(num->text) == 2 || (num[1].kind == TOK_NUM || num[1].kind == TOK_LBRACE);
    if (num[1].kind != TOK_RBRACE)
        return false;
    bool b = num[2].kind == TOK_LBRACE;
    const struct math_token *den = num + 2 + b;
    size_t n = strlen(num->text), d = den->kind == TOK_NUM ? strlen(den->text) : 0;
    return d > 0 && (!b || den[1].kind == TOK_RBRACE) &&
           (n < d || (n == d && strcmp(num->text, den->text) < 0));
}

static const struct math_node *parse_factor(struct parser *p)
{
    bool negative = false;
    for (unsigned signs = 0; p->t->kind == TOK_PLUS || p->t->kind == TOK_MINUS; p->t++) {
        if (++signs > 1)
            return parse_fail(p, "signs in a row");
        negative = p->t->kind == TOK_MINUS;
    }
    const struct math_node *x = parse_atom(p);
    return negative ? math_node1(p->w, MATH_NEG, x) : x;
}

static const struct math_node *parse_mixed(struct parser *p, const struct math_node *whole)
{
    const struct math_node *x = parse_atom(p);
    if (x != NULL && parse_take(p, TOK_DIVIDE))
        x = math_node2(p->w, MATH_MUL, x, math_node1(p->w, MATH_INV, parse_atom(p)));
    return math_node2(p->w, MATH_ADD, whole, x);
}

/* Factors with or without a sign between them. As the argument of a function written without
 * brackets a product ends before the next sign or function. */
const struct math_node *parse_product(struct parser *p, bool argument)
{
    const struct math_node *factors[MATH_ITEMS_MAX];
    size_t n = 0;
    const struct math_node *x = parse_factor(p);
    for (;;) {
        if (x != NULL && n == 0 && is_mixed(p, x))
            x = parse_mixed(p, x);
        if (x == NULL)
            return NULL;
        factors[n++] = x;
        if (n == MATH_ITEMS_MAX) {
            factors[0] = math_node(p->w, MATH_MUL, factors, n);
            n = 1;
        }
        bool sign = !argument && (p->t->kind == TOK_TIMES || p->t->kind == TOK_DIVIDE);
        bool inverse = sign && p->t->kind == TOK_DIVIDE;
        if (sign)
            p->t++;
        else if (!parse_starts_atom(p) || (argument && p->t->kind == TOK_FUNC))
            break;
        else if (p->t->kind == TOK_NUM && p->t[-1].kind == TOK_NUM)
            return parse_fail(p, "two numbers without a sign between them");
        x = sign ? parse_factor(p) : parse_atom(p);
        x = inverse ? math_node1(p->w, MATH_INV, x) : x;
    }
    x = n == 1 ? factors[0] : math_node(p->w, MATH_MUL, factors, n);
    if (x == NULL || argument || p->t->kind != TOK_MOD || p->t->op != 0)
        return x;
    p->t++;
    const struct math_node *kids[] = {x, parse_factor(p)};
    return parse_func(p, FUNC_MOD, kids, 2);
}
