/* relation.c: equations and inequalities. */
#include <ctype.h>
#include <stdlib.h>

#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/math/compare.h"

/* ---- equations ---- */

/* A length, a quotient of lengths and the like: capital letters and no numbers. */
static bool is_figure(struct math_work *w, const struct math_node *x)
{
    if (!math_step(w, 1) || x->kind == MATH_NUM || x->kind == MATH_ADD || x->kind == MATH_REL)
        return false;
    if (x->n == 0)
        return x->kind == MATH_SYM && isupper((unsigned char)x->text[0]);
    for (size_t i = 0; i < x->n; i++) {
        if (!is_figure(w, x->kids[i]))
            return false;
    }
    return true;
}

struct names {
    const char *at[4];
    size_t n;
};

/* The names in x but for the one that a sum binds; false when there are more than four, or one of
 * those that equations are written in. */
static bool names_of(
    struct math_work *w, const struct math_node *x, const char *bound, struct names *ret)
{
    if (!math_step(w, 1))
        return false;
    for (size_t i = 0; i < x->n; i++) {
        if (!names_of(w, x->kids[i], bound, ret))
            return false;
    }
    if (x->kind != MATH_SYM || (bound != NULL && strcmp(x->text, bound) == 0))
        return true;
    for (size_t i = 0; i < ret->n; i++) {
        if (strcmp(ret->at[i], x->text) == 0)
            return true;
    }
    if (ret->n == ARRAY_LEN(ret->at) || (x->text[1] == '\0' && strchr("xyt", x->text[0]) != NULL))
        return false;
    ret->at[ret->n++] = x->text;
    return true;
}

/* Sums, products, quotients and powers of names, with powers of ten as factors: 100m + n. */
static bool is_plain_form(struct math_work *w, const struct math_node *x)
{
    if (!math_step(w, 1))
        return false;
    if (x->kind == MATH_NUM)
        return x->text[0] == '1' && strspn(x->text + 1, "0") == strlen(x->text + 1) && x->op == 0;
    if (x->kind == MATH_POW)
        return x->kids[0]->kind == MATH_SYM && x->kids[1]->kind == MATH_NUM;
    if (x->kind != MATH_ADD && x->kind != MATH_MUL && x->kind != MATH_NEG && x->kind != MATH_INV)
        return x->kind == MATH_SYM;
    for (size_t i = 0; i < x->n; i++) {
        if (!is_plain_form(w, x->kids[i]) || (x->kind == MATH_ADD && x->kids[i]->kind == MATH_NUM))
            return false;
    }
    return true;
}

/* What a question may ask the value of, so that "m + n = 17" is 17 and "sin A = 1/2" is 1/2. An
 * equation of one unknown ("2x = 6"), in x and y, or with a zero is none: its right side is no
 * answer. */
static bool is_asked(struct math_work *w, const struct math_node *x, const struct math_node *value)
{
    struct names names = {.n = 0};
    const char *bound = x->kind == MATH_BIG ? x->text : NULL;
    if (x->kind == MATH_BIG && (x->op == 'L' || !math_is_constant(w, value)))
        return true;
    if (!math_is_constant(w, value) || !names_of(w, x, bound, &names))
        return false;
    if (x->kind == MATH_BIG)
        return names.n == 0;
    if (x->kind == MATH_FUNC)
        return names.n > 0 &&
               (x->op <= FUNC_CSC || x->op == FUNC_ABS || x->op == FUNC_GCD || x->op == FUNC_LCM);
    return names.n > 1 && is_plain_form(w, x) && strcmp(value->text, "0") != 0;
}

/* What may be defined: x, f(2), AB, (x, y). */
static bool is_name(struct math_work *w, const struct math_node *x)
{
    if (x->kind == MATH_SYM || x->kind == MATH_CALL || x->kind == MATH_TEXT)
        return true;
    bool all = x->kind == MATH_TUPLE;
    for (size_t i = 0; all && i < x->n; i++)
        all = x->kids[i]->kind == MATH_SYM;
    return all || is_figure(w, x);
}

static bool occurs(struct math_work *w, const struct math_node *x, const char *name)
{
    if (!math_step(w, 1))
        return true;
    if ((x->kind == MATH_SYM || x->kind == MATH_CALL) && strcmp(x->text, name) == 0)
        return true;
    for (size_t i = 0; i < x->n; i++) {
        if (occurs(w, x->kids[i], name))
            return true;
    }
    return false;
}

static bool is_free_of(struct math_work *w, const struct math_node *x, const struct math_node *name)
{
    return name->kind == MATH_SYM || name->kind == MATH_CALL ? !occurs(w, x, name->text)
                                                             : math_is_constant(w, x);
}

/* "sqrt(10) ~ 3.162": an exact value with what it rounds to. */
static bool is_with_approximation(struct math_work *w, const struct math_node *x)
{
    const struct math_node *decimal = x->kids[1];
    return x->n == 2 && x->text[0] == '~' && decimal->kind == MATH_NUM && decimal->op == 1 &&
           math_is_value(w, x->kids[0]) && math_is_constant(w, x->kids[0]) &&
           ball_near(w, x->kids[0], decimal, decimal->places, 1);
}

/* The last side of "x = ... = value", before an approximation of it; of numbers alone, as in
 * "12 + 4 = 16", when it is true. */
const struct math_node *relation_value(
    struct math_work *w, const struct math_node *x, const struct math_node **ret_name)
{
    if (x->kind != MATH_REL || strspn(x->text, "=~") != x->n - 1)
        return NULL;
    if (ret_name == NULL && is_with_approximation(w, x))
        return x->kids[0];
    size_t last = x->n - 1;
    while (last > 1 && x->text[last - 1] == '~')
        last--;
    const struct math_node *name = x->kids[0], *value = x->kids[last];
    bool true_sum = name->kind != MATH_NUM && math_is_value(w, name) && math_is_value(w, value) &&
                    math_is_constant(w, x) && compare_exact(w, name, value) == MATH_EQUAL;
    if (!true_sum && !is_asked(w, name, value) &&
        (!is_name(w, name) || !is_free_of(w, value, name))) {
        if (x->n != 2 || !is_name(w, value) || !is_free_of(w, name, value))
            return NULL;
        const struct math_node *t = name; /* "3 = x" */
        name = value;
        value = t;
    }
    if (ret_name != NULL)
        *ret_name = name;
    return value;
}

char relation_turned(char op)
{
    switch (op) {
    case '<':
        return '>';
    case '>':
        return '<';
    case 'l':
        return 'g';
    case 'g':
        return 'l';
    default:
        return op;
    }
}

/* Side by side, or read from the right. */
static enum math_answer compare_sides(
    struct math_work *w, const struct math_node *a, const struct math_node *b, bool turn)
{
    size_t n = a->n;
    enum math_answer result = MATH_EQUAL;
    if (b->n != n)
        return MATH_DIFFER;
    for (size_t i = 0; i + 1 < n; i++) {
        if (a->text[i] != (turn ? relation_turned(b->text[n - 2 - i]) : b->text[i]))
            return MATH_DIFFER;
    }
    for (size_t i = 0; i < n && result != MATH_DIFFER; i++) {
        enum math_answer one = compare_answers(w, a->kids[i], b->kids[turn ? n - 1 - i : i]);
        result = one == MATH_EQUAL ? result : one;
    }
    return result;
}

/* The difference of the sides of one is a constant multiple of the other's; for an inequality the
 * constant's sign must suit the direction. */
static bool is_multiple(struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    for (size_t i = 0; i < 2; i++) {
        if (!math_is_value(w, a->kids[i]) || !math_is_value(w, b->kids[i]))
            return false;
    }
    if (math_is_constant(w, a) || !field_proportional(w, a->kids, b->kids))
        return false;
    char x = a->text[0], y = b->text[0];
    if (x == '=' || x == 'n')
        return x == y;
    int sign = ball_ratio_sign(w, a->kids, b->kids);
    return (sign > 0 && x == y) || (sign < 0 && x == relation_turned(y));
}

/* y, y(x) and f(x) are one name. */
static bool is_same_name(struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    const struct math_node *call = a->kind == MATH_CALL ? a : b;
    const struct math_node *bare = a->kind == MATH_CALL ? b : a;
    if (call->kind != MATH_CALL || bare->kind != MATH_SYM)
        return strcmp(a->text, b->text) == 0 && compare_answers(w, a, b) == MATH_EQUAL;
    bool graph = strcmp(bare->text, "y") == 0 && strcmp(call->text, "f") == 0 && call->n == 1;
    if (!graph && strcmp(a->text, b->text) != 0)
        return false;
    for (size_t i = 0; i < call->n; i++) {
        if (call->kids[i]->kind != MATH_SYM)
            return false;
    }
    return true;
}

/* The value of a reference that no rule reads: that of its last equation, "1 = a = x = 0". */
const struct math_node *relation_last_value(struct math_work *w, const struct math_node *x)
{
    bool chain = x->n > 2 && strspn(x->text, "=") == x->n - 1 && is_name(w, x->kids[x->n - 2]);
    return chain ? x->kids[x->n - 1] : NULL;
}

enum math_answer compare_relations(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    if (reference->kind != MATH_REL || answer->kind != MATH_REL)
        return MATH_DIFFER;
    const struct math_node *name_r = NULL, *name_a = NULL;
    const struct math_node *r = relation_value(w, reference, &name_r);
    const struct math_node *a = relation_value(w, answer, &name_a);
    if (r != NULL && a != NULL && is_same_name(w, name_r, name_a)) {
        enum math_answer same = compare_answers(w, r, a);
        if (same == MATH_EQUAL || math_is_constant(w, r))
            return same;
    }
    enum math_answer straight = compare_sides(w, reference, answer, false);
    if (straight == MATH_EQUAL || compare_sides(w, reference, answer, true) == MATH_EQUAL)
        return MATH_EQUAL;
    if (reference->n == 2 && answer->n == 2 && is_multiple(w, reference, answer))
        return MATH_EQUAL;
    return straight;
}
