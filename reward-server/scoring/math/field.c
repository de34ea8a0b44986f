/* field.c: evaluation modulo a prime. */
#include "reward-server/scoring/math/field.h"

#include <stdio.h>
#include <stdlib.h>

/* Primes under 2^61 that are 1 modulo 4, each with a square root of -1. */
static const struct prime {
    uint64_t p, i;
} primes[] = {
    {2305843009213693921u, 583529827753931384u},
    {2305843009213693693u, 966685122347009555u},
    {2305843009213693669u, 1290453122423660404u},
};

enum { FACTORIAL_MAX = 5000 };

struct field {
    struct math_work *w;
    uint64_t p, i, seed;
    bool irrational; /* met something that is no rational operation */
    bool undefined;
};

static uint64_t mul(const struct field *f, uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b % f->p);
}

static uint64_t add(const struct field *f, uint64_t a, uint64_t b)
{
    return (a + b) % f->p;
}

static uint64_t power(const struct field *f, uint64_t a, uint64_t n)
{
    uint64_t r = 1;
    for (; n > 0; n >>= 1) {
        if (n & 1)
            r = mul(f, r, a);
        a = mul(f, a, a);
    }
    return r;
}

static uint64_t inverse(struct field *f, uint64_t a)
{
    f->undefined = f->undefined || a == 0;
    return power(f, a, f->p - 2);
}

/* ---- values of what is not computed with ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    return h ^ (h >> 32);
}

static uint64_t mix_text(uint64_t h, const char *text)
{
    for (; *text != '\0'; text++)
        h = mix(h, (unsigned char)*text + 1u);
    return h;
}

static uint64_t named(const struct field *f, const struct math_node *x, uint64_t tag)
{
    uint64_t h = mix_text(mix(f->seed, (uint64_t)x->kind + 1), x->text);
    return mix(h, tag) % (f->p - 1) + 1;
}

/* ---- operations ---- */

static uint64_t eval(struct field *f, const struct math_node *x);

static uint64_t number(struct field *f, const struct math_node *x)
{
    uint64_t v = 0;
    (void)math_step(f->w, strlen(x->text) / 16);
    for (const char *c = x->text; *c != '\0'; c++)
        v = add(f, mul(f, v, 10), (uint64_t)(*c - '0'));
    uint64_t scale = power(f, 10, (uint64_t)labs(x->places));
    return mul(f, v, x->places > 0 ? inverse(f, scale) : scale);
}

/* A function of its arguments' values. */
static uint64_t opaque(struct field *f, const struct math_node *x)
{
    uint64_t h = named(f, x, (uint64_t)x->op + 100);
    for (size_t i = 0; i < x->n; i++)
        h = mix(h, eval(f, x->kids[i]));
    return h % (f->p - 1) + 1;
}

/* a_k under a sum over k: the index counts as what the k stands for. */
static uint64_t indexed(const struct field *f, const struct math_node *x)
{
    uint64_t h = mix(f->seed, (uint64_t)x->kind + 1);
    const char *index = strchr(x->text, '_');
    for (const char *c = x->text; *c != '\0'; c++) {
        const struct math_bound *b = c > index ? math_bound_letter(f->w, *c) : NULL;
        char digits[24] = {*c};
        if (b != NULL && b->is_whole)
            (void)snprintf(digits, sizeof(digits), "%lld", (long long)b->value);
        if (b != NULL && !b->is_whole)
            h = mix(h, 1000 + (uint64_t)b->value);
        else
            h = mix_text(h, digits);
    }
    return mix(h, 1) % (f->p - 1) + 1;
}

/* A bound name has its own value while its body is looked at: the number it stands for, or one for
 * its depth, so that how it is called does not matter. */
static uint64_t symbol(const struct field *f, const struct math_node *x)
{
    const struct math_bound *b = math_bound_of(f->w, x);
    if (b == NULL)
        return math_bound_index(f->w, x) ? indexed(f, x) : named(f, x, 1);
    if (!b->is_whole)
        return mix(mix(f->seed, 0x626f756e64), (uint64_t)b->value) % (f->p - 1) + 1;
    uint64_t size = (uint64_t)(b->value < 0 ? -b->value : b->value) % f->p;
    return b->value < 0 ? (f->p - size) % f->p : size;
}

/* A finite sum or product of few terms, term by term. */
static bool expand(struct field *f, const struct math_node *x, uint64_t *ret)
{
    struct math_small low, high;
    struct math_bound at = {x->text, true, 0, f->w->bound};
    if ((x->op != 'S' && x->op != 'P') || x->n != 3 || !math_small(f->w, x->kids[1], &low) ||
        !math_small(f->w, x->kids[2], &high) || low.den != 1 || high.den != 1 ||
        high.num - low.num >= MATH_TERMS_MAX)
        return false;
    uint64_t v = x->op == 'P';
    for (at.value = low.num; at.value <= high.num && f->w->steps_left > 0; at.value++) {
        f->w->bound = &at;
        uint64_t k = eval(f, x->kids[0]);
        f->w->bound = at.outer;
        v = x->op == 'P' ? mul(f, v, k) : add(f, v, k);
    }
    *ret = v;
    return true;
}

/* What is no number for us: a function of its parts, whatever the bound name is. */
static uint64_t big(struct field *f, const struct math_node *x)
{
    uint64_t v;
    if (expand(f, x, &v))
        return v;
    f->irrational = true;
    const struct math_bound *outer = f->w->bound;
    struct math_bound at = {x->text, false, outer != NULL ? outer->value + 1 : 1, outer};
    uint64_t h = mix(mix(f->seed, (uint64_t)x->op), x->n);
    for (size_t i = 1; i < x->n; i++)
        h = mix(h, eval(f, x->kids[i]));
    f->w->bound = &at;
    h = mix(h, eval(f, x->kids[0]));
    f->w->bound = outer;
    return h % (f->p - 1) + 1;
}

/* The value of what math_small knows, as a number of the field. */
static bool rational(struct field *f, const struct math_node *x, uint64_t *ret)
{
    struct math_small v;
    if (!math_small(f->w, x, &v))
        return false;
    uint64_t size = (uint64_t)(v.num < 0 ? -v.num : v.num) % f->p;
    size = v.num < 0 ? (f->p - size) % f->p : size;
    *ret = v.den == 1 ? size : mul(f, size, inverse(f, (uint64_t)v.den % f->p));
    return true;
}

static uint64_t raise(struct field *f, const struct math_node *x)
{
    struct math_small n;
    uint64_t base = eval(f, x->kids[0]);
    if (math_small(f->w, x->kids[1], &n) && n.den == 1) {
        uint64_t e = (uint64_t)(n.num < 0 ? -n.num : n.num) % (f->p - 1);
        if (base == 0) {
            f->undefined = f->undefined || n.num <= 0;
            return 0;
        }
        uint64_t v = power(f, base, e);
        return n.num < 0 ? inverse(f, v) : v;
    }
    f->irrational = true;
    return mix(mix(mix(f->seed, 77), base), eval(f, x->kids[1])) % (f->p - 1) + 1;
}

static uint64_t factorial(struct field *f, const struct math_node *x)
{
    struct math_small n;
    if (!math_small(f->w, x->kids[0], &n) || n.den != 1 || n.num < 0 || n.num > FACTORIAL_MAX ||
        !math_step(f->w, (size_t)n.num / 64)) {
        f->irrational = true;
        return opaque(f, x);
    }
    uint64_t v = 1;
    for (uint64_t k = 2; k <= (uint64_t)n.num; k++)
        v = mul(f, v, k);
    return v;
}

static uint64_t binomial(struct field *f, const struct math_node *x)
{
    struct math_small n, k;
    if (!math_small(f->w, x->kids[0], &n) || !math_small(f->w, x->kids[1], &k) || n.den != 1 ||
        k.den != 1 || n.num < 0 || k.num < 0 || n.num > FACTORIAL_MAX || k.num > n.num) {
        f->irrational = true;
        return opaque(f, x);
    }
    uint64_t top = 1, bottom = 1;
    (void)math_step(f->w, (size_t)k.num / 32);
    for (uint64_t j = 1; j <= (uint64_t)k.num; j++) {
        top = mul(f, top, (uint64_t)n.num - j + 1);
        bottom = mul(f, bottom, j);
    }
    return mul(f, top, inverse(f, bottom));
}

static uint64_t fold(struct field *f, const struct math_node *x)
{
    uint64_t v = x->kind == MATH_MUL;
    for (size_t i = 0; i < x->n; i++) {
        uint64_t k = eval(f, x->kids[i]);
        v = x->kind == MATH_MUL ? mul(f, v, k) : add(f, v, k);
    }
    return v;
}

/* Inside an expression a unit is an unknown factor; percent is one hundredth. */
static uint64_t measured(struct field *f, const struct math_node *x)
{
    uint64_t v = eval(f, x->kids[0]);
    if (strcmp(x->text, "percent") == 0)
        return mul(f, v, inverse(f, 100));
    f->irrational = f->irrational || strcmp(x->text, "degree") == 0;
    return mul(f, v, named(f, x, 1));
}

static uint64_t eval(struct field *f, const struct math_node *x)
{
    uint64_t v;
    if (!math_step(f->w, 1)) {
        f->undefined = true;
        return 0;
    }
    switch (x->kind) {
    case MATH_NUM:
        return number(f, x);
    case MATH_ADD:
    case MATH_MUL:
        return fold(f, x);
    case MATH_NEG:
        return (f->p - eval(f, x->kids[0])) % f->p;
    case MATH_INV:
        return inverse(f, eval(f, x->kids[0]));
    case MATH_POW:
        return raise(f, x);
    case MATH_I:
        return f->i;
    case MATH_UNIT:
        return measured(f, x);
    case MATH_FUNC:
        if (x->op >= FUNC_MOD && rational(f, x, &v))
            return v;
        if (x->op == FUNC_FACT)
            return factorial(f, x);
        if (x->op == FUNC_BINOM)
            return binomial(f, x);
        f->irrational = true;
        return opaque(f, x);
    case MATH_BASED:
        return named(f, x, (uint64_t)x->op);
    case MATH_PI:
    case MATH_E:
        f->irrational = true;
        return named(f, x, 1);
    case MATH_SYM:
        return symbol(f, x);
    case MATH_TEXT:
        return named(f, x, 1);
    case MATH_INF:
        f->irrational = true;
        return named(f, x, 1);
    case MATH_BIG:
        return big(f, x);
    case MATH_CALL:
        return opaque(f, x);
    default:
        f->undefined = true;
        return 0;
    }
}

static struct field field_at(struct math_work *w, size_t i, uint64_t seed)
{
    const struct prime *p = &primes[i % ARRAY_LEN(primes)];
    return (struct field){.w = w, .p = p->p, .i = p->i, .seed = mix(0x6d617468, seed + 1)};
}

enum math_answer field_compare(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    for (size_t i = 0; i < 2; i++) {
        struct field f = field_at(w, i, i);
        uint64_t x = eval(&f, a), y = eval(&f, b);
        if (f.undefined || (x != y && f.irrational))
            return MATH_UNKNOWN;
        if (x != y)
            return MATH_DIFFER;
    }
    return MATH_EQUAL;
}

bool field_proportional(
    struct math_work *w, const struct math_node *const a[2], const struct math_node *const b[2])
{
    for (size_t i = 0; i < 3; i++) {
        uint64_t da[2], db[2];
        for (size_t k = 0; k < 2; k++) {
            struct field f = field_at(w, i, 10 * i + k);
            da[k] = add(&f, eval(&f, a[0]), f.p - eval(&f, a[1]));
            db[k] = add(&f, eval(&f, b[0]), f.p - eval(&f, b[1]));
            if (f.undefined || da[k] == 0 || db[k] == 0)
                return false;
        }
        struct field f = field_at(w, i, 0);
        if (mul(&f, da[0], db[1]) != mul(&f, da[1], db[0]))
            return false;
    }
    return true;
}

bool field_is_rational(struct math_work *w, const struct math_node *x)
{
    struct field f = field_at(w, 0, 0);
    (void)eval(&f, x);
    return !f.undefined && !f.irrational;
}
