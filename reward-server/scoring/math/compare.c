/* compare.c: answers by type: values, lists, sets, tuples, matrices. */
#include "reward-server/scoring/math/compare.h"

#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/math/family.h"
#include "reward-server/scoring/math/matrix.h"

static bool is_same(struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (!math_step(w, 1) || a->kind != b->kind || a->op != b->op || a->places != b->places ||
        a->n != b->n || strcmp(a->text, b->text) != 0)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!is_same(w, a->kids[i], b->kids[i]))
            return false;
    }
    return true;
}

/* ---- plain values ---- */

enum math_answer compare_exact(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    enum math_answer r = field_compare(w, a, b);
    return r == MATH_UNKNOWN ? ball_compare(w, a, b) : r;
}

/* The decimal literal that x is, with or without a sign; NULL when it is none. */
const struct math_node *compare_literal(const struct math_node *x)
{
    if (x->kind == MATH_NEG)
        x = x->kids[0];
    return x->kind == MATH_NUM ? x : NULL;
}

static size_t significant(const struct math_node *x)
{
    return strlen(x->text + strspn(x->text, "0"));
}

/* Whether x may have a decimal form that ends: then a decimal must equal it. */
static bool may_terminate(struct math_work *w, const struct math_node *x)
{
    struct math_small v;
    if (!field_is_rational(w, x))
        return false;
    if (!math_small(w, x, &v))
        return true;
    while (v.den % 2 == 0)
        v.den /= 2;
    while (v.den % 5 == 0)
        v.den /= 5;
    return v.den == 1;
}

/* The digits of a value without those that follow: nearer to zero by less than one in the last. */
static bool is_cut_off(struct math_work *w, const struct math_node *value,
    const struct math_node *decimal, const struct math_node *digits)
{
    int order;
    return ball_near(w, value, decimal, digits->places, 2) &&
           ball_order(w, value, decimal, &order) && order == (decimal->kind == MATH_NEG ? -1 : 1);
}

/* Led by the reference's precision: a decimal reference stands for what rounds to it, when the
 * answer is an exact value without a decimal form that ends; a decimal answer stands for such a
 * reference when it has six digits or more, rounded or cut off. */
static enum math_answer compare_rounded(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    enum { REFERENCE_DIGITS_MIN = 2, ANSWER_DIGITS_MIN = 6 };
    const struct math_node *r = compare_literal(reference), *a = compare_literal(answer);
    bool near = false;
    if (r != NULL && a == NULL && r->op == 1 && r->places >= 2 &&
        significant(r) >= REFERENCE_DIGITS_MIN && math_is_constant(w, answer) &&
        !may_terminate(w, answer))
        near = ball_near(w, reference, answer, r->places, 1);
    else if (r == NULL && a != NULL && a->op == 1 && significant(a) >= ANSWER_DIGITS_MIN &&
             math_is_constant(w, reference) && !may_terminate(w, reference))
        near = ball_near(w, reference, answer, a->places, 1) || is_cut_off(w, reference, answer, a);
    return near ? MATH_EQUAL : MATH_DIFFER;
}

enum math_answer compare_values(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    enum math_answer r = compare_exact(w, reference, answer);
    return r == MATH_DIFFER ? compare_rounded(w, reference, answer) : r;
}

/* ---- members ---- */

struct members {
    const struct math_node *at[MATH_ITEMS_MAX];
    size_t n;
};

/* A copy with each "plus or minus" read as plus (sign 1) or minus. */
static const struct math_node *with_sign(struct math_work *w, const struct math_node *x, int sign)
{
    const struct math_node *kids[MATH_ITEMS_MAX];
    if (x->n > MATH_ITEMS_MAX)
        return NULL;
    for (size_t i = 0; i < x->n; i++)
        kids[i] = with_sign(w, x->kids[i], sign);
    if (x->kind == MATH_PM)
        return x->op * sign > 0 ? kids[0] : math_node1(w, MATH_NEG, kids[0]);
    if (x->n == 0)
        return x;
    struct math_node *y = math_node(w, x->kind, kids, x->n);
    if (y == NULL)
        return NULL;
    y->op = x->op;
    y->text = x->text;
    return y;
}

/* What is written twice is one member. */
static bool members_add_one(struct math_work *w, struct members *m, const struct math_node *x)
{
    for (size_t i = 0; i < m->n; i++) {
        if (x != NULL && is_same(w, m->at[i], x))
            return true;
    }
    if (x == NULL || m->n == MATH_ITEMS_MAX)
        return false;
    m->at[m->n++] = x;
    return true;
}

static bool members_add(struct math_work *w, struct members *m, const struct math_node *x)
{
    if (!math_has(w, x, MATH_PM))
        return members_add_one(w, m, x);
    return members_add_one(w, m, with_sign(w, x, 1)) && members_add_one(w, m, with_sign(w, x, -1));
}

static bool members_of(struct math_work *w, const struct math_node *x, struct members *ret)
{
    ret->n = 0;
    if (x->kind != MATH_LIST && x->kind != MATH_SET)
        return members_add(w, ret, x);
    for (size_t i = 0; i < x->n; i++) {
        if (!members_add(w, ret, x->kids[i]))
            return false;
    }
    return true;
}

static bool is_real_set(const struct math_node *x)
{
    return x->kind == MATH_INTERVAL || x->kind == MATH_UNION || x->kind == MATH_MINUS ||
           x->kind == MATH_REALS || (x->kind == MATH_REL && strpbrk(x->text, "<>lgn") != NULL);
}

/* "x > 1 and x < 3": conditions on one name, which may be a set of the line. */
static bool is_condition(const struct math_node *x)
{
    bool inequality = false;
    for (size_t i = 0; x->kind == MATH_LIST && i < x->n; i++) {
        if (x->kids[i]->kind != MATH_REL)
            return false;
        inequality = inequality || is_real_set(x->kids[i]);
    }
    return inequality;
}

/* Each member of one is a member of the other, one to one. */
static enum math_answer compare_members(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    struct members r, s;
    bool used[MATH_ITEMS_MAX] = {false}, unknown = false;
    if (!members_of(w, a, &r) || !members_of(w, b, &s))
        return MATH_UNKNOWN;
    if (r.n != s.n || (r.n > 0 && is_real_set(r.at[0]) && (a->op == 2) != (b->op == 2)))
        return MATH_DIFFER;
    for (size_t i = 0; i < r.n; i++) {
        size_t k = 0;
        for (; k < s.n; k++) {
            enum math_answer one = used[k] ? MATH_DIFFER : compare_answers(w, r.at[i], s.at[k]);
            unknown = unknown || one == MATH_UNKNOWN;
            if (one == MATH_EQUAL)
                break;
        }
        if (k == s.n)
            return unknown ? MATH_UNKNOWN : MATH_DIFFER;
        used[k] = true;
    }
    return MATH_EQUAL;
}

enum math_answer compare_in_order(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    enum math_answer result = MATH_EQUAL;
    if (a->n != b->n)
        return MATH_DIFFER;
    for (size_t i = 0; i < a->n && result != MATH_DIFFER; i++) {
        enum math_answer one = compare_answers(w, a->kids[i], b->kids[i]);
        result = one == MATH_EQUAL ? result : one;
    }
    return result;
}

/* ---- the ladder by type ---- */

static bool is_vector(const struct math_node *x)
{
    return x->kind == MATH_MATRIX && (x->op == 1 || (size_t)x->op == x->n);
}

/* "x = y = z = 1" for (1, 1, 1). */
static const struct math_node *spread_chain(
    struct math_work *w, const struct math_node *x, const struct math_node *other)
{
    const struct math_node *values[MATH_ITEMS_MAX];
    bool chain = x->kind == MATH_REL && other->kind == MATH_TUPLE && x->n == other->n + 1 &&
                 strspn(x->text, "=") == other->n;
    for (size_t i = 0; chain && i < other->n; i++) {
        chain = x->kids[i]->kind == MATH_SYM;
        values[i] = x->kids[x->n - 1];
    }
    const struct math_node *y = chain ? math_node(w, MATH_TUPLE, values, other->n) : NULL;
    return y != NULL ? y : x;
}

/* {(1, 2)} for (1, 2). */
static const struct math_node *only_tuple(const struct math_node *x, const struct math_node *other)
{
    bool only = x->kind == MATH_SET && x->n == 1 && x->kids[0]->kind == MATH_TUPLE;
    return only && other->kind == MATH_TUPLE ? x->kids[0] : x;
}

/* "1/2, or 0.5": one value said twice or three times. */
static bool is_repeated(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    bool said = answer->kind == MATH_LIST && answer->op == 2 && answer->n <= 3 &&
                math_is_value(w, reference) && !math_has(w, reference, MATH_PM);
    for (size_t i = 0; said && i < answer->n; i++)
        said = math_is_value(w, answer->kids[i]) &&
               compare_values(w, reference, answer->kids[i]) == MATH_EQUAL;
    return said;
}

static bool is_ordered(const struct math_node *x)
{
    return x->kind == MATH_TUPLE || x->kind == MATH_LIST || is_vector(x);
}

static bool either(const struct math_node *a, const struct math_node *b, enum math_kind kind)
{
    return a->kind == kind || b->kind == kind;
}

/* "w = 1, d = 2": values that belong to names, so that values alone must keep the order. */
static bool are_labelled_apart(struct math_work *w, const struct math_node *x)
{
    const struct math_node *first = NULL, *name = NULL;
    bool apart = false;
    for (size_t i = 0; i < x->n && x->kind == MATH_LIST; i++) {
        if (x->kids[i]->kind != MATH_REL || relation_value(w, x->kids[i], &name) == NULL)
            return false;
        first = first == NULL ? name : first;
        apart = apart || !is_same(w, first, name);
    }
    return apart;
}

/* "x = 1, y = 2" stands for (1, 2), but "y = 2, x = 1" does not stand for (2, 1). */
static bool labels_ascend(struct math_work *w, const struct math_node *x)
{
    const char *last = "";
    for (size_t i = 0; i < x->n; i++) {
        const struct math_node *name = NULL;
        if (x->kids[i]->kind != MATH_REL || relation_value(w, x->kids[i], &name) == NULL)
            continue;
        if (strcmp(last, name->text) >= 0)
            return false;
        last = name->text;
    }
    return true;
}

static enum math_answer compare_collections(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (a->kind == MATH_MATRIX && b->kind == MATH_MATRIX)
        return a->op == b->op || (is_vector(a) && is_vector(b)) ? compare_in_order(w, a, b)
                                                                : MATH_DIFFER;
    bool tuple = either(a, b, MATH_TUPLE) || either(a, b, MATH_MATRIX);
    if (a->kind == MATH_TUPLE && b->kind == MATH_SET)
        return compare_in_order(w, a, b);
    if (tuple) {
        if (!is_ordered(a) || !is_ordered(b) || !labels_ascend(w, a) || !labels_ascend(w, b))
            return MATH_DIFFER;
        if (!math_has(w, a, MATH_PM) && !math_has(w, b, MATH_PM))
            return compare_in_order(w, a, b);
    }
    if (are_labelled_apart(w, a) != are_labelled_apart(w, b))
        return compare_in_order(w, a, b);
    return compare_members(w, a, b);
}

/* (3, -2, 1) as 3i - 2j + k, when the other side is written so; else itself. */
static const struct math_node *along_axes(
    struct math_work *w, const struct math_node *x, const struct math_node *other)
{
    bool vector = x->kind == MATH_TUPLE || is_vector(x);
    if (!vector || x->n < 2 || x->n > 3 || !math_is_value(w, other) ||
        !math_has(w, other, MATH_SYM))
        return x;
    const struct math_node *axes[] = {math_node(w, MATH_I, NULL, 0), math_leaf(w, MATH_SYM, "j", 1),
        math_leaf(w, MATH_SYM, "k", 1)};
    const struct math_node *terms[ARRAY_LEN(axes)];
    for (size_t i = 0; i < x->n; i++)
        terms[i] = math_node2(w, MATH_MUL, x->kids[i], axes[i]);
    const struct math_node *sum = math_node(w, MATH_ADD, terms, x->n);
    return sum != NULL && math_is_value(w, sum) ? sum : x;
}

static bool is_collection(const struct math_node *x)
{
    return x->kind == MATH_LIST || x->kind == MATH_SET || x->kind == MATH_TUPLE ||
           x->kind == MATH_MATRIX;
}

/* Modulo the same number; a name may stand on one side only. */
static enum math_answer compare_congruences(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    struct math_small x, y, m, n;
    if (a->kind != MATH_CONG || b->kind != MATH_CONG)
        return MATH_DIFFER;
    const struct math_node *r = a->kids[0], *s = b->kids[0];
    if (r->kind == MATH_REL && s->kind == MATH_REL &&
        (r->n != 2 || s->n != 2 || !is_same(w, r->kids[0], s->kids[0])))
        return MATH_DIFFER;
    r = r->kind == MATH_REL ? r->kids[r->n - 1] : r;
    s = s->kind == MATH_REL ? s->kids[s->n - 1] : s;
    if (!math_small(w, a->kids[1], &m) || !math_small(w, b->kids[1], &n) || !math_small(w, r, &x) ||
        !math_small(w, s, &y))
        return is_same(w, r, s) && is_same(w, a->kids[1], b->kids[1]) ? MATH_EQUAL : MATH_UNKNOWN;
    bool whole = m.den == 1 && n.den == 1 && x.den == 1 && y.den == 1 && m.num > 0;
    return whole && m.num == n.num && (x.num - y.num) % m.num == 0 ? MATH_EQUAL : MATH_DIFFER;
}

/* Values with their conditions, in any order. */
static enum math_answer compare_cases(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    bool used[MATH_ITEMS_MAX] = {false};
    if (a->kind != MATH_CASES || b->kind != MATH_CASES || a->n != b->n)
        return MATH_DIFFER;
    for (size_t i = 0; i < a->n; i += 2) {
        size_t k = 0;
        while (k < b->n && (used[k] || compare_answers(w, a->kids[i], b->kids[k]) != MATH_EQUAL ||
                               compare_answers(w, a->kids[i + 1], b->kids[k + 1]) != MATH_EQUAL))
            k += 2;
        if (k >= b->n)
            return MATH_UNKNOWN; /* "otherwise" may be what the other spells out */
        used[k] = true;
    }
    return MATH_EQUAL;
}

/* Sums and products of matrices become matrices. */
static bool fold_matrices(
    struct math_work *w, const struct math_node **a, const struct math_node **b)
{
    const struct math_node *x = NULL, *y = NULL;
    if (math_has(w, *a, MATH_MATRIX) || math_has(w, *a, MATH_TUPLE))
        x = matrix_fold(w, *a);
    if (math_has(w, *b, MATH_MATRIX) || math_has(w, *b, MATH_TUPLE))
        y = matrix_fold(w, *b);
    *a = x != NULL ? x : *a;
    *b = y != NULL ? y : *b;
    return x != NULL || y != NULL;
}

static enum math_answer compare_kinds(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (family_is(a) || family_is(b))
        return family_compare(w, a, b);
    if (fold_matrices(w, &a, &b))
        return compare_answers(w, a, b);
    if (either(a, b, MATH_CONG))
        return compare_congruences(w, a, b);
    if (either(a, b, MATH_CASES))
        return compare_cases(w, a, b);
    bool sets = is_real_set(a) || is_real_set(b);
    if (sets || is_condition(a) || is_condition(b)) {
        enum math_answer r = compare_real_sets(w, a, b);
        if (r != MATH_UNKNOWN || (sets && (a->kind != MATH_REL || b->kind != MATH_REL)))
            return r;
    }
    if (is_collection(a) || is_collection(b) || math_has(w, a, MATH_PM) || math_has(w, b, MATH_PM))
        return compare_collections(w, a, b);
    if (either(a, b, MATH_REL))
        return compare_relations(w, a, b);
    if (either(a, b, MATH_TIME))
        return compare_times(a, b);
    if (either(a, b, MATH_BASED))
        return compare_numerals(a, b);
    if (either(a, b, MATH_UNIT))
        return compare_units(w, a, b);
    if (either(a, b, MATH_RATIO))
        return compare_ratios(w, a, b);
    if (either(a, b, MATH_INF))
        return a->kind == b->kind ? MATH_EQUAL : MATH_DIFFER;
    if (!math_is_value(w, a) || !math_is_value(w, b))
        return MATH_UNKNOWN;
    return compare_values(w, a, b);
}

/* A(1, 2) is the point (1, 2) called A. */
static const struct math_node *without_point(
    struct math_work *w, const struct math_node *x, const struct math_node *other)
{
    bool point = x->kind == MATH_CALL && x->n >= 2 && other->kind == MATH_TUPLE &&
                 x->text[0] >= 'A' && x->text[0] <= 'Z' && x->text[1] == '\0';
    return point ? math_node(w, MATH_TUPLE, x->kids, x->n) : x;
}

static enum math_answer compare_trees(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    const struct math_node *a = without_point(w, reference, answer);
    const struct math_node *b = without_point(w, answer, reference);
    if (a == NULL || b == NULL)
        return MATH_UNKNOWN;
    a = only_tuple(along_axes(w, a, b), b);
    b = only_tuple(along_axes(w, b, a), a);
    a = spread_chain(w, a, b);
    b = spread_chain(w, b, a);
    if (is_repeated(w, a, b))
        return MATH_EQUAL;
    const struct math_node *value = NULL;
    if (a->kind == MATH_REL && b->kind != MATH_REL && !is_real_set(a) && !family_is(b)) {
        value = relation_value(w, a, NULL);
        a = value != NULL ? value : relation_last_value(w, a);
    } else if (b->kind == MATH_REL && a->kind != MATH_REL && !is_real_set(b) && !family_is(a)) {
        b = relation_value(w, b, NULL);
    }
    if (a == NULL || b == NULL)
        return MATH_DIFFER;
    return w->steps_left == 0 ? MATH_UNKNOWN : compare_kinds(w, a, b);
}

/* Equal trees are equal, whatever they mean; an equation may stand for what it defines. */
enum math_answer compare_answers(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    if (is_same(w, reference, answer))
        return MATH_EQUAL;
    const struct math_node *a = reference, *b = family_rename_arguments(w, reference, answer);
    enum math_answer r = compare_trees(w, a, b);
    for (unsigned turn = 0; turn < FAMILY_TURNS && r != MATH_EQUAL; turn++) {
        const struct math_node *x = a, *y = b;
        if (!family_rename_constants(w, &x, &y, turn))
            break;
        r = compare_trees(w, x, y);
    }
    return r;
}
