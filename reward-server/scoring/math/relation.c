/* relation.c: equations, inequalities, and sets of real numbers as sorted pieces of the line. */
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

/* What may be defined: x, f(2), AB, (x, y). */
static bool is_name(struct math_work *w, const struct math_node *x)
{
    if (x->kind == MATH_SYM || x->kind == MATH_CALL)
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
    if (!true_sum && (!is_name(w, name) || !is_free_of(w, value, name))) {
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

static char turned(char op)
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
        if (a->text[i] != (turn ? turned(b->text[n - 2 - i]) : b->text[i]))
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
    return (sign > 0 && x == y) || (sign < 0 && x == turned(y));
}

enum math_answer compare_relations(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer)
{
    if (reference->kind != MATH_REL || answer->kind != MATH_REL)
        return MATH_DIFFER;
    const struct math_node *name_r = NULL, *name_a = NULL;
    const struct math_node *r = relation_value(w, reference, &name_r);
    const struct math_node *a = relation_value(w, answer, &name_a);
    if (r != NULL && a != NULL && strcmp(name_r->text, name_a->text) == 0 &&
        compare_answers(w, name_r, name_a) == MATH_EQUAL) {
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

/* ---- real sets ---- */

struct piece {
    const struct math_node *low, *high; /* NULL: infinite */
    bool low_closed, high_closed;
};

struct pieces {
    struct piece at[MATH_ITEMS_MAX];
    size_t n;
    const char *name; /* the name of the inequalities, or NULL */
};

static bool add_piece(struct pieces *s, struct piece p)
{
    if (s->n == MATH_ITEMS_MAX)
        return false;
    s->at[s->n++] = p;
    return true;
}

/* 1: +inf, -1: -inf, 0: a value. */
static int infinite(const struct math_node *x)
{
    if (x->kind == MATH_INF)
        return 1;
    if (x->kind == MATH_ADD && x->n == 1)
        return infinite(x->kids[0]);
    return x->kind == MATH_NEG && x->kids[0]->kind == MATH_INF ? -1 : 0;
}

/* The ends of an interval, a closed infinite end being no end at all. */
static bool add_interval(struct math_work *w, struct pieces *s, const struct math_node *low,
    const struct math_node *high, int closed)
{
    int a = infinite(low), b = infinite(high);
    if (a > 0 || b < 0 || (a == 0 && (!math_is_value(w, low) || !math_is_constant(w, low))) ||
        (b == 0 && (!math_is_value(w, high) || !math_is_constant(w, high))))
        return false;
    return add_piece(s, (struct piece){.low = a != 0 ? NULL : low,
                            .high = b != 0 ? NULL : high,
                            .low_closed = a == 0 && (closed & 1),
                            .high_closed = b == 0 && (closed & 2)});
}

static bool is_number(struct math_work *w, const struct math_node *x)
{
    return infinite(x) != 0 || (math_is_value(w, x) && math_is_constant(w, x));
}

/* name OP value, as pieces. */
static bool add_half(struct math_work *w, struct pieces *s, char op, const struct math_node *value)
{
    struct piece below = {.high = value, .high_closed = op == 'l'};
    struct piece above = {.low = value, .low_closed = op == 'g'};
    if (infinite(value) != 0)
        return false;
    switch (op) {
    case '<':
    case 'l':
        return add_piece(s, below);
    case '>':
    case 'g':
        return add_piece(s, above);
    case 'n':
        return add_piece(s, below) && add_piece(s, above);
    case '=':
        below.low = value;
        below.low_closed = below.high_closed = true;
        return add_piece(s, below);
    default:
        return false;
    }
}

static bool set_name(struct pieces *s, const struct math_node *x)
{
    if ((x->kind != MATH_SYM && x->kind != MATH_CALL) ||
        (s->name != NULL && strcmp(s->name, x->text) != 0))
        return false;
    s->name = x->text;
    return true;
}

/* |x + c|: x, with -c in *ret_centre. */
static const struct math_node *distance(
    struct math_work *w, const struct math_node *x, const struct math_node **ret_centre)
{
    if (x->kind != MATH_FUNC || x->op != FUNC_ABS)
        return NULL;
    const struct math_node *u = x->kids[0];
    if (u->kind == MATH_SYM) {
        *ret_centre = math_number(w, 0);
        return u;
    }
    if (u->kind != MATH_ADD || u->n != 2 || u->kids[0]->kind != MATH_SYM ||
        !is_number(w, u->kids[1]))
        return NULL;
    *ret_centre = math_node1(w, MATH_NEG, u->kids[1]);
    return u->kids[0];
}

/* The points nearer to (or farther from) a centre than a radius, which is positive. */
static bool add_distance(struct math_work *w, struct pieces *s, const struct math_node *centre,
    char op, const struct math_node *radius)
{
    int order;
    const struct math_node *zero = math_number(w, 0);
    const struct math_node *low = math_node2(w, MATH_ADD, centre, math_node1(w, MATH_NEG, radius));
    const struct math_node *high = math_node2(w, MATH_ADD, centre, radius);
    if (low == NULL || high == NULL || zero == NULL || !ball_order(w, zero, radius, &order) ||
        order >= 0)
        return false;
    if (op == '<' || op == 'l')
        return add_interval(w, s, low, high, op == 'l' ? 3 : 0);
    char below = op == '>' ? '<' : 'l';
    return (op == '>' || op == 'g') && add_half(w, s, below, low) && add_half(w, s, op, high);
}

/* |x - c| < r, r > |x - c|, a < |x| < b. */
static bool add_distances(struct math_work *w, struct pieces *s, const struct math_node *x)
{
    const struct math_node *const *k = x->kids, *centre = NULL, *name = NULL;
    size_t at = x->n == 2 && k[0]->kind == MATH_FUNC ? 0 : 1;
    name = x->n <= 3 ? distance(w, k[at], &centre) : NULL;
    if (name == NULL || centre == NULL || !set_name(s, name))
        return false;
    if (x->n == 2)
        return is_number(w, k[1 - at]) &&
               add_distance(w, s, centre, at == 0 ? x->text[0] : turned(x->text[0]), k[1 - at]);
    bool rising = strchr("<l", x->text[0]) != NULL && strchr("<l", x->text[1]) != NULL;
    const struct math_node *zero = math_number(w, 0);
    int order;
    if (!rising || !is_number(w, k[0]) || !is_number(w, k[2]) || zero == NULL ||
        !ball_order(w, zero, k[0], &order) || order >= 0)
        return false;
    int a = x->text[0] == 'l', b = x->text[1] == 'l';
    const struct math_node *ends[4];
    for (size_t i = 0; i < 4; i++) {
        const struct math_node *r = k[i % 2 == 0 ? 2 : 0];
        r = i < 2 ? math_node1(w, MATH_NEG, r) : r;
        ends[i] = math_node2(w, MATH_ADD, centre, r);
        if (ends[i] == NULL)
            return false;
    }
    return add_interval(w, s, ends[0], ends[1], b | a << 1) &&
           add_interval(w, s, ends[3], ends[2], a | b << 1);
}

static bool add_relation(struct math_work *w, struct pieces *s, const struct math_node *x)
{
    const struct math_node *const *k = x->kids;
    if (add_distances(w, s, x))
        return true;
    if (x->n == 2 && is_number(w, k[1]) && set_name(s, k[0]))
        return add_half(w, s, x->text[0], k[1]);
    if (x->n == 2 && is_number(w, k[0]) && set_name(s, k[1]))
        return add_half(w, s, turned(x->text[0]), k[0]);
    if (x->n != 3 || !is_number(w, k[0]) || !is_number(w, k[2]) || !set_name(s, k[1]))
        return false;
    char a = x->text[0], b = x->text[1];
    if ((a == '<' || a == 'l') && (b == '<' || b == 'l'))
        return add_interval(w, s, k[0], k[2], (a == 'l' ? 1 : 0) | (b == 'l' ? 2 : 0));
    if ((a == '>' || a == 'g') && (b == '>' || b == 'g'))
        return add_interval(w, s, k[2], k[0], (b == 'g' ? 1 : 0) | (a == 'g' ? 2 : 0));
    return false;
}

/* The line without finitely many points, which are in order. */
static bool add_gaps(struct math_work *w, struct pieces *s, const struct math_node *set)
{
    const struct math_node *low = NULL;
    for (size_t i = 0; i < set->n; i++) {
        int order;
        if (!is_number(w, set->kids[i]) ||
            (low != NULL && (!ball_order(w, low, set->kids[i], &order) || order >= 0)) ||
            !add_piece(s, (struct piece){.low = low, .high = set->kids[i]}))
            return false;
        low = set->kids[i];
    }
    return add_piece(s, (struct piece){.low = low});
}

static bool add_set(struct math_work *w, struct pieces *s, const struct math_node *x)
{
    switch (x->kind) {
    case MATH_INTERVAL:
        return add_interval(w, s, x->kids[0], x->kids[1], x->op);
    case MATH_TUPLE:
        return x->n == 2 && add_interval(w, s, x->kids[0], x->kids[1], 0);
    case MATH_REALS:
        return add_piece(s, (struct piece){0});
    case MATH_REL:
        return add_relation(w, s, x);
    case MATH_MINUS:
        return x->kids[0]->kind == MATH_REALS && x->kids[1]->kind == MATH_SET &&
               add_gaps(w, s, x->kids[1]);
    case MATH_UNION:
    case MATH_LIST:
    case MATH_SET:
        for (size_t i = 0; i < x->n; i++) {
            bool point =
                x->kind == MATH_SET || (x->kids[i]->kind != MATH_REL && x->kind == MATH_LIST);
            if (point ? !is_number(w, x->kids[i]) || !add_half(w, s, '=', x->kids[i])
                      : !add_set(w, s, x->kids[i]))
                return false;
        }
        return x->n > 0;
    default:
        return false;
    }
}

/* x != 1 and x != 2, written as a list, are gaps and no union. */
static bool all_gaps(const struct math_node *x)
{
    if (x->kind != MATH_LIST)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        if (x->kids[i]->kind != MATH_REL || strcmp(x->kids[i]->text, "n") != 0)
            return false;
    }
    return true;
}

/* x > 1 and x < 3: the part of the line between two half lines. */
static bool add_both(struct math_work *w, struct pieces *s, const struct math_node *x)
{
    int order;
    if (!add_set(w, s, x->kids[0]) || !add_set(w, s, x->kids[1]) || s->n != 2)
        return false;
    struct piece *a = &s->at[0], *b = &s->at[1];
    if (a->low == NULL) {
        struct piece t = *a;
        *a = *b;
        *b = t;
    }
    if (a->low == NULL || a->high != NULL || b->low != NULL || b->high == NULL ||
        !ball_order(w, a->low, b->high, &order) || order >= 0)
        return false;
    a->high = b->high;
    a->high_closed = b->high_closed;
    s->n = 1;
    return true;
}

static bool collect(struct math_work *w, const struct math_node *x, struct pieces *s)
{
    s->n = 0;
    s->name = NULL;
    if (x->kind == MATH_LIST && x->op == 1 && x->n == 2 && x->kids[0]->kind == MATH_REL &&
        x->kids[1]->kind == MATH_REL && !all_gaps(x))
        return add_both(w, s, x);
    if (!all_gaps(x))
        return add_set(w, s, x);
    const struct math_node *points[MATH_ITEMS_MAX];
    for (size_t i = 0; i < x->n; i++) {
        if (!set_name(s, x->kids[i]->kids[0]))
            return false;
        points[i] = x->kids[i]->kids[1];
    }
    const struct math_node *set = math_node(w, MATH_SET, points, x->n);
    return set != NULL && add_gaps(w, s, set);
}

/* Pieces by their lower ends; a few, so insertion. */
static bool sort(struct math_work *w, struct pieces *s)
{
    for (size_t i = 1; i < s->n; i++) {
        for (size_t k = i; k > 0; k--) {
            const struct math_node *a = s->at[k - 1].low, *b = s->at[k].low;
            int order = a == NULL ? -1 : 1;
            if (a != NULL && b != NULL && !ball_order(w, a, b, &order))
                return false;
            if (order <= 0)
                break;
            struct piece t = s->at[k];
            s->at[k] = s->at[k - 1];
            s->at[k - 1] = t;
        }
    }
    return true;
}

/* Pieces that touch in a point which one of them holds are one. */
static void merge(struct math_work *w, struct pieces *s)
{
    size_t n = 0;
    for (size_t i = 1; i < s->n; i++) {
        struct piece *last = &s->at[n], *next = &s->at[i];
        int order = 1;
        bool touch = last->high != NULL && next->low != NULL &&
                     ball_order(w, last->high, next->low, &order) && order == 0 &&
                     (last->high_closed || next->low_closed);
        if (touch) {
            last->high = next->high;
            last->high_closed = next->high_closed;
        } else {
            s->at[++n] = *next;
        }
    }
    s->n = s->n > 0 ? n + 1 : 0;
}

static enum math_answer compare_ends(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (a == NULL || b == NULL)
        return a == b ? MATH_EQUAL : MATH_DIFFER;
    return compare_exact(w, a, b);
}

enum math_answer compare_real_sets(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    struct pieces r, s;
    if (!collect(w, a, &r) || !collect(w, b, &s) || !sort(w, &r) || !sort(w, &s))
        return MATH_UNKNOWN;
    merge(w, &r);
    merge(w, &s);
    if (r.n != s.n || (r.name != NULL && s.name != NULL && strcmp(r.name, s.name) != 0))
        return MATH_DIFFER;
    enum math_answer result = MATH_EQUAL;
    for (size_t i = 0; i < r.n && result == MATH_EQUAL; i++) {
        const struct piece *x = &r.at[i], *y = &s.at[i];
        if (x->low_closed != y->low_closed || x->high_closed != y->high_closed)
            return MATH_DIFFER;
        result = compare_ends(w, x->low, y->low);
        if (result == MATH_EQUAL)
            result = compare_ends(w, x->high, y->high);
    }
    return result;
}
