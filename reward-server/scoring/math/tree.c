/* tree.c: building trees within the budget, and the small exact arithmetic on them. */
#include "reward-server/scoring/math/tree.h"

#include <limits.h>
#include <stdio.h>

void math_work_init(struct math_work *w, struct arena *a)
{
    *w = (struct math_work){.arena = a, .steps_left = MATH_STEPS_MAX, .nodes_left = MATH_NODES_MAX};
}

static void stop(struct math_work *w, const char *why)
{
    if (w->why == NULL)
        w->why = why;
}

bool math_step(struct math_work *w, size_t n)
{
    if (w->steps_left < n) {
        w->steps_left = 0;
        stop(w, "out of steps");
        return false;
    }
    w->steps_left -= n;
    return true;
}

struct math_node *math_node(
    struct math_work *w, enum math_kind kind, const struct math_node *const *kids, size_t n)
{
    unsigned depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (kids[i] == NULL)
            return NULL;
        if (kids[i]->depth >= depth)
            depth = kids[i]->depth + 1;
    }
    if (w->nodes_left == 0 || depth > MATH_DEPTH_MAX) {
        stop(w, depth > MATH_DEPTH_MAX ? "nested too deeply" : "too many parts");
        return NULL;
    }
    struct math_node *x = arena_alloc(w->arena, sizeof(*x));
    if (x == NULL)
        return NULL;
    w->nodes_left--;
    *x = (struct math_node){.kind = kind, .depth = depth, .n = n, .text = ""};
    if (n > 0)
        x->kids = arena_dup(w->arena, kids, n * sizeof(*kids));
    return n > 0 && x->kids == NULL ? NULL : x;
}

struct math_node *math_node1(struct math_work *w, enum math_kind kind, const struct math_node *a)
{
    return math_node(w, kind, &a, 1);
}

struct math_node *math_node2(
    struct math_work *w, enum math_kind kind, const struct math_node *a, const struct math_node *b)
{
    const struct math_node *kids[] = {a, b};
    return math_node(w, kind, kids, 2);
}

struct math_node *math_leaf(struct math_work *w, enum math_kind kind, const char *text, size_t n)
{
    struct math_node *x = math_node(w, kind, NULL, 0);
    char *copy = x != NULL ? arena_alloc(w->arena, n + 1) : NULL;
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, n);
    x->text = copy;
    return x;
}

struct math_node *math_number(struct math_work *w, long value)
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%lu",
        value < 0 ? 0UL - (unsigned long)value : (unsigned long)value);
    struct math_node *x = math_leaf(w, MATH_NUM, digits, (size_t)n);
    return value < 0 ? math_node1(w, MATH_NEG, x) : x;
}

/* ---- small fractions ---- */

static int64_t gcd(int64_t a, int64_t b)
{
    a = a < 0 ? -a : a;
    while (b != 0) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Values stay under 2^62, so that signs can be changed freely. */
static bool set_small(__int128 num, __int128 den, struct math_small *ret)
{
    const __int128 max = (__int128)1 << 62;
    if (den < 0) {
        num = -num;
        den = -den;
    }
    if (den == 0 || den >= max || num >= max || num <= -max)
        return false;
    int64_t g = gcd((int64_t)num, (int64_t)den);
    *ret = (struct math_small){(int64_t)num / g, (int64_t)den / g};
    return true;
}

static bool small_number(const struct math_node *x, struct math_small *ret)
{
    __int128 num = 0, den = 1;
    const __int128 max = (__int128)1 << 62;
    for (const char *c = x->text; *c != '\0' && num < max; c++)
        num = num * 10 + (*c - '0');
    for (long i = 0; i < x->places && den < max; i++)
        den *= 10;
    for (long i = 0; i > x->places && num != 0 && num < max; i--)
        num *= 10;
    return num < max && set_small(num, den, ret);
}

static bool small_power(struct math_small base, struct math_small exponent, struct math_small *ret)
{
    enum { EXPONENT_MAX = 128 };
    struct math_small v = {1, 1};
    if (exponent.den != 1 || exponent.num > EXPONENT_MAX || exponent.num < -EXPONENT_MAX)
        return false;
    for (int64_t i = exponent.num < 0 ? -exponent.num : exponent.num; i > 0; i--) {
        if (!set_small((__int128)v.num * base.num, (__int128)v.den * base.den, &v))
            return false;
    }
    if (exponent.num < 0 && !set_small(v.den, v.num, &v))
        return false;
    *ret = v;
    return true;
}

static bool small_fold(struct math_work *w, const struct math_node *x, struct math_small *ret)
{
    struct math_small v = {x->kind == MATH_MUL, 1}, k;
    for (size_t i = 0; i < x->n; i++) {
        if (!math_small(w, x->kids[i], &k))
            return false;
        bool ok = x->kind == MATH_MUL
                      ? set_small((__int128)v.num * k.num, (__int128)v.den * k.den, &v)
                      : v.den < INT_MAX && k.den < INT_MAX &&
                            set_small((__int128)v.num * k.den + (__int128)k.num * v.den,
                                (__int128)v.den * k.den, &v);
        if (!ok)
            return false;
    }
    *ret = v;
    return true;
}

const struct math_bound *math_bound_of(const struct math_work *w, const struct math_node *x)
{
    const struct math_bound *b = x->kind == MATH_SYM ? w->bound : NULL;
    while (b != NULL && strcmp(b->name, x->text) != 0)
        b = b->outer;
    return b;
}

const struct math_bound *math_bound_letter(const struct math_work *w, char letter)
{
    const struct math_bound *b = w->bound;
    while (b != NULL && (b->name[0] != letter || b->name[1] != '\0'))
        b = b->outer;
    return b;
}

bool math_bound_index(const struct math_work *w, const struct math_node *x)
{
    const char *index = w->bound != NULL && x->kind == MATH_SYM ? strchr(x->text, '_') : NULL;
    for (const char *c = index; c != NULL && *c != '\0'; c++) {
        if (math_bound_letter(w, *c) != NULL)
            return true;
    }
    return false;
}

/* Whether a comes before b: the order of FUNC_MIN. */
static bool is_less(struct math_small a, struct math_small b)
{
    return (__int128)a.num * b.den < (__int128)b.num * a.den;
}

/* a - b floor(a / b), for b > 0. */
static bool small_modulo(struct math_small a, struct math_small b, struct math_small *ret)
{
    if (b.num <= 0 || b.den != 1 || a.den != 1)
        return false;
    int64_t r = a.num % b.num;
    *ret = (struct math_small){r < 0 ? r + b.num : r, 1};
    return true;
}

static bool small_pair(
    enum math_func f, struct math_small a, struct math_small b, struct math_small *ret)
{
    switch (f) {
    case FUNC_MOD:
        return small_modulo(a, b, ret);
    case FUNC_MAX:
        *ret = is_less(a, b) ? b : a;
        return true;
    case FUNC_MIN:
        *ret = is_less(a, b) ? a : b;
        return true;
    case FUNC_GCD:
    case FUNC_LCM: {
        int64_t g = a.den == 1 && b.den == 1 ? gcd(a.num, b.num) : 0;
        __int128 multiple = g != 0 ? (__int128)(a.num / g) * b.num : 0;
        return g != 0 && set_small(f == FUNC_GCD ? g : multiple < 0 ? -multiple : multiple, 1, ret);
    }
    default:
        return false;
    }
}

/* A function of rational numbers that is rational. */
static bool small_func(struct math_work *w, const struct math_node *x, struct math_small *ret)
{
    struct math_small v, k;
    if (x->op < FUNC_MOD || x->n == 0 || !math_small(w, x->kids[0], &v))
        return false;
    for (size_t i = 1; i < x->n; i++) {
        if (!math_small(w, x->kids[i], &k) || !small_pair((enum math_func)x->op, v, k, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool math_small(struct math_work *w, const struct math_node *x, struct math_small *ret)
{
    const struct math_bound *bound;
    struct math_small a, b;
    if (!math_step(w, 1))
        return false;
    switch (x->kind) {
    case MATH_NUM:
        return small_number(x, ret);
    case MATH_SYM:
        bound = math_bound_of(w, x);
        return bound != NULL && bound->is_whole && set_small(bound->value, 1, ret);
    case MATH_FUNC:
        return small_func(w, x, ret);
    case MATH_NEG:
        return math_small(w, x->kids[0], &a) && set_small(-a.num, a.den, ret);
    case MATH_INV:
        return math_small(w, x->kids[0], &a) && set_small(a.den, a.num, ret);
    case MATH_ADD:
    case MATH_MUL:
        return small_fold(w, x, ret);
    case MATH_POW:
        return math_small(w, x->kids[0], &a) && math_small(w, x->kids[1], &b) &&
               small_power(a, b, ret);
    default:
        return false;
    }
}

/* ---- what a tree holds ---- */

const struct math_node *math_substitute(
    struct math_work *w, const struct math_node *x, const char *name, const struct math_node *value)
{
    if (!math_step(w, 1))
        return NULL;
    if (x->kind == MATH_SYM && strcmp(x->text, name) == 0)
        return value;
    if (x->n == 0 || (x->kind == MATH_BIG && strcmp(x->text, name) == 0))
        return x;
    const struct math_node **kids = arena_alloc(w->arena, x->n * sizeof(*kids));
    if (kids == NULL)
        return NULL;
    for (size_t i = 0; i < x->n; i++)
        kids[i] = math_substitute(w, x->kids[i], name, value);
    struct math_node *y = math_node(w, x->kind, kids, x->n);
    if (y == NULL)
        return NULL;
    y->op = x->op;
    y->text = x->text;
    y->places = x->places;
    return y;
}

bool math_has(struct math_work *w, const struct math_node *x, enum math_kind kind)
{
    if (!math_step(w, 1) || x->kind == kind)
        return true;
    for (size_t i = 0; i < x->n; i++) {
        if (math_has(w, x->kids[i], kind))
            return true;
    }
    return false;
}

bool math_is_constant(struct math_work *w, const struct math_node *x)
{
    return !math_has(w, x, MATH_SYM) && !math_has(w, x, MATH_CALL);
}

bool math_is_value(struct math_work *w, const struct math_node *x)
{
    if (!math_step(w, 1) || x->kind >= MATH_REL || x->kind == MATH_PM || x->kind == MATH_INF)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        const struct math_node *k = x->kids[i];
        bool end = x->kind == MATH_BIG && i > 0; /* of a sum: may be infinite */
        if (end && k->kind == MATH_NEG)
            k = k->kids[0];
        if (!(end && k->kind == MATH_INF) && !math_is_value(w, k))
            return false;
    }
    return true;
}
