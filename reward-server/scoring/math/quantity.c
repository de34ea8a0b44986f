/* quantity.c: values with units, ratios, numerals of a base, times of the day. */
#include <stdio.h>

#include "reward-server/scoring/math/compare.h"
#include "reward-server/scoring/math/unit.h"

/* ---- units ---- */

static const struct math_node *bare(const struct math_node *x)
{
    return x->kind == MATH_UNIT ? x->kids[0] : x;
}

static const struct math_node *scaled(
    struct math_work *w, const struct math_node *x, struct math_small factor)
{
    const struct math_node *kids[] = {
        x, math_number(w, factor.num), math_node1(w, MATH_INV, math_number(w, factor.den))};
    return math_node(w, MATH_MUL, kids, 3);
}

/* Degrees of a scale, "degree c", beside degrees. */
static bool are_degrees(const char *a, const char *b)
{
    size_t n = strlen("degree");
    return strncmp(a, "degree", n) == 0 && strncmp(b, "degree", n) == 0 &&
           (a[n] == '\0' || b[n] == '\0');
}

/* Both carry a unit. */
static enum math_answer compare_measures(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    const char *da, *db;
    struct math_small fa, fb;
    if (strcmp(a->text, b->text) == 0 || are_degrees(a->text, b->text))
        return compare_answers(w, a->kids[0], b->kids[0]);
    if (!unit_factor(a->text, &da, &fa) || !unit_factor(b->text, &db, &fb) || strcmp(da, db) != 0)
        return MATH_DIFFER;
    const struct math_node *x = scaled(w, a->kids[0], fa), *y = scaled(w, b->kids[0], fb);
    return x == NULL || y == NULL ? MATH_UNKNOWN : compare_exact(w, x, y);
}

/* "2500 m" in plain text is a product of a number and a name: the unit that its letters are. */
static const struct math_node *unit_of_names(struct math_work *w, const struct math_node *x)
{
    char words[MATH_UNIT_BYTES_MAX] = "", name[MATH_UNIT_BYTES_MAX];
    if (x->kind != MATH_MUL || x->n < 2 || !math_is_value(w, x->kids[0]) ||
        !math_is_constant(w, x->kids[0]))
        return NULL;
    for (size_t i = 1, n = 0; i < x->n; i++, n = strlen(words)) {
        const struct math_node *u = x->kids[i];
        bool under = u->kind == MATH_INV, power;
        u = under ? u->kids[0] : u;
        power = u->kind == MATH_POW && u->kids[1]->kind == MATH_NUM;
        const char *letter = power ? u->kids[0]->text : u->text;
        if ((power ? u->kids[0]->kind : u->kind) != MATH_SYM || !unit_known(letter, strlen(letter)))
            return NULL;
        (void)snprintf(words + n, sizeof(words) - n, "%s%s%s%s",
            under   ? "/"
            : i > 1 ? " "
                    : "",
            letter, power ? "^" : "", power ? u->kids[1]->text : "");
    }
    struct math_node *y = math_node1(w, MATH_UNIT, x->kids[0]);
    const struct math_node *text =
        unit_canonical(words, name) ? math_leaf(w, MATH_UNIT, name, strlen(name)) : NULL;
    if (y == NULL || text == NULL)
        return NULL;
    y->text = text->text;
    return y;
}

/* A unit on one side only may be left out when the value is a number: of 2x + 3 h nothing may be.
 */
enum math_answer compare_units(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (a->kind == MATH_UNIT && b->kind == MATH_UNIT)
        return compare_measures(w, a, b);
    const struct math_node *named = unit_of_names(w, a->kind == MATH_UNIT ? b : a);
    if (named != NULL)
        return compare_measures(
            w, a->kind == MATH_UNIT ? a : named, a->kind == MATH_UNIT ? named : b);
    const struct math_node *unit = a->kind == MATH_UNIT ? a : b;
    if (!math_is_value(w, bare(a)) || !math_is_value(w, bare(b)) || !math_is_constant(w, bare(a)) ||
        !math_is_constant(w, bare(b)))
        return MATH_DIFFER;
    enum math_answer r = compare_values(w, bare(a), bare(b));
    bool converts = strcmp(unit->text, "percent") == 0 || strcmp(unit->text, "degree") == 0;
    return r == MATH_DIFFER && converts ? compare_exact(w, a, b) : r;
}

/* ---- ratios, numerals ---- */

static bool is_zero(struct math_work *w, const struct math_node *x)
{
    const struct math_node *zero = math_number(w, 0);
    return zero == NULL || !math_is_value(w, x) || compare_exact(w, x, zero) != MATH_DIFFER;
}

/* Proportions; with a zero in one, its parts. */
enum math_answer compare_ratios(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (a->kind != MATH_RATIO || b->kind != MATH_RATIO) {
        const struct math_node *ratio = a->kind == MATH_RATIO ? a : b;
        const struct math_node *value = a->kind == MATH_RATIO ? b : a;
        if (ratio->n != 2 || !math_is_value(w, value))
            return MATH_DIFFER;
        const struct math_node *q =
            math_node2(w, MATH_MUL, ratio->kids[0], math_node1(w, MATH_INV, ratio->kids[1]));
        return q == NULL ? MATH_UNKNOWN : compare_exact(w, q, value);
    }
    if (a->n != b->n)
        return MATH_DIFFER;
    for (size_t i = 0; i < a->n; i++) {
        if (is_zero(w, a->kids[i]) || is_zero(w, b->kids[i]))
            return compare_in_order(w, a, b);
    }
    for (size_t i = 1; i < a->n; i++) {
        const struct math_node *x = math_node2(w, MATH_MUL, a->kids[0], b->kids[i]);
        const struct math_node *y = math_node2(w, MATH_MUL, b->kids[0], a->kids[i]);
        enum math_answer r = x == NULL || y == NULL ? MATH_UNKNOWN : compare_exact(w, x, y);
        if (r != MATH_EQUAL)
            return r;
    }
    return MATH_EQUAL;
}

/* 52_8: the digits are the answer. The base may be left out, as it stands in the question, but not
 * added, and the value in another base is another answer. */
enum math_answer compare_numerals(const struct math_node *a, const struct math_node *b)
{
    const char *x = a->text + strspn(a->text, "0"), *y = b->text + strspn(b->text, "0");
    bool same = a->kind == MATH_BASED && strcmp(x, y) == 0 &&
                (b->kind == MATH_BASED ? a->op == b->op : b->kind == MATH_NUM && b->places == 0);
    return same ? MATH_EQUAL : MATH_DIFFER;
}

enum math_answer compare_times(const struct math_node *a, const struct math_node *b)
{
    struct math_small h = {0, 1}, m = {0, 1};
    const struct math_node *ratio = a->kind == MATH_RATIO ? a : b;
    const struct math_node *time = a->kind == MATH_TIME ? a : b;
    if (a->kind == MATH_TIME && b->kind == MATH_TIME)
        return a->places == b->places ? MATH_EQUAL : MATH_DIFFER;
    if (ratio->kind != MATH_RATIO || ratio->n != 2 || compare_literal(ratio->kids[0]) == NULL ||
        compare_literal(ratio->kids[1]) == NULL || strlen(ratio->kids[1]->text) != 2)
        return MATH_DIFFER;
    struct math_work w = {.steps_left = 16};
    if (!math_small(&w, ratio->kids[0], &h) || !math_small(&w, ratio->kids[1], &m) || h.num < 0 ||
        h.num > 24)
        return MATH_DIFFER;
    long minutes = (long)(h.num * 60 + m.num);
    bool same = minutes == time->places || (h.num <= 12 && minutes % 720 == time->places % 720);
    return same ? MATH_EQUAL : MATH_DIFFER;
}
