/* line.c: sets of real numbers as sorted pieces of the line. */
#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/math/compare.h"

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
               add_distance(
                   w, s, centre, at == 0 ? x->text[0] : relation_turned(x->text[0]), k[1 - at]);
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
        return add_half(w, s, relation_turned(x->text[0]), k[0]);
    if (x->n != 3 || !is_number(w, k[0]) || !is_number(w, k[2]) || !set_name(s, k[1]))
        return false;
    char a = x->text[0], b = x->text[1];
    if ((a == '<' || a == 'l') && (b == '<' || b == 'l'))
        return add_interval(w, s, k[0], k[2], (a == 'l' ? 1 : 0) | (b == 'l' ? 2 : 0));
    if ((a == '>' || a == 'g') && (b == '>' || b == 'g'))
        return add_interval(w, s, k[2], k[0], (b == 'g' ? 1 : 0) | (a == 'g' ? 2 : 0));
    return false;
}

static bool collect(struct math_work *w, const struct math_node *x, struct pieces *s);

/* The end that cuts off more: of two lower ends the higher (sign 1), of two upper ends the lower
 * (sign -1). */
static bool inner_end(struct math_work *w, int sign, const struct math_node **end, bool *closed,
    const struct math_node *other, bool other_closed)
{
    int order;
    if (other == NULL)
        return true;
    if (*end == NULL) {
        *end = other;
        *closed = other_closed;
        return true;
    }
    if (!ball_order(w, *end, other, &order))
        return false;
    *closed = order == 0 ? *closed && other_closed : order * sign < 0 ? other_closed : *closed;
    *end = order * sign < 0 ? other : *end;
    return true;
}

/* s without what is not in t; false when it is too much. */
static bool intersect(struct math_work *w, struct pieces *s, const struct pieces *t)
{
    struct pieces all = {.name = s->name != NULL ? s->name : t->name};
    for (size_t i = 0; i < s->n * t->n; i++) {
        struct piece p = s->at[i / t->n];
        const struct piece *q = &t->at[i % t->n];
        int order = -1;
        if (!inner_end(w, 1, &p.low, &p.low_closed, q->low, q->low_closed) ||
            !inner_end(w, -1, &p.high, &p.high_closed, q->high, q->high_closed) ||
            (p.low != NULL && p.high != NULL && !ball_order(w, p.low, p.high, &order)))
            return false;
        bool empty = order > 0 || (order == 0 && !(p.low_closed && p.high_closed));
        if (!empty && !add_piece(&all, p))
            return false;
    }
    *s = all;
    return true;
}

/* s without the points of a finite set. */
static bool remove_points(struct math_work *w, struct pieces *s, const struct math_node *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct pieces rest = {.n = 0};
        if (!is_number(w, set->kids[i]) || !add_half(w, &rest, 'n', set->kids[i]) ||
            !intersect(w, s, &rest))
            return false;
    }
    return true;
}

static bool add_difference(struct math_work *w, struct pieces *s, const struct math_node *x)
{
    struct pieces rest;
    if (x->kids[1]->kind != MATH_SET || !collect(w, x->kids[0], &rest) ||
        !remove_points(w, &rest, x->kids[1]))
        return false;
    for (size_t i = 0; i < rest.n; i++) {
        if (!add_piece(s, rest.at[i]))
            return false;
    }
    return true;
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
        return add_difference(w, s, x);
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

/* Relations that all hold: joined by "and", or by commas with one among them that leaves out a
 * point ("x > 0, x != 1"). */
static bool is_conjunction(const struct math_node *x)
{
    bool gap = false;
    if (x->kind != MATH_LIST || x->op == 2)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        if (x->kids[i]->kind != MATH_REL)
            return false;
        gap = gap || strcmp(x->kids[i]->text, "n") == 0;
    }
    return gap || x->op == 1;
}

static bool collect(struct math_work *w, const struct math_node *x, struct pieces *s)
{
    *s = (struct pieces){.n = 0};
    if (!is_conjunction(x))
        return add_set(w, s, x);
    if (!add_piece(s, (struct piece){0}))
        return false;
    for (size_t i = 0; i < x->n; i++) {
        struct pieces one = {.name = s->name};
        if (!add_set(w, &one, x->kids[i]) || !intersect(w, s, &one))
            return false;
    }
    return true;
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
