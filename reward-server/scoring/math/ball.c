/* ball.c: evaluation in complex balls. */
#include "reward-server/scoring/math/ball.h"

#include <acb.h>
#include <flint/fmpz.h>

#include "reward-server/scoring/math/ball_func.h"

enum { PRECISION_LOW = 128, PRECISION_HIGH = 512, POINTS = 4, EQUAL_BITS = 300 };

struct ball {
    struct math_work *w;
    slong prec;
    uint64_t point;
    bool negative; /* points */
};

static bool eval(const struct ball *b, acb_t r, const struct math_node *x);

/* ---- leaves ---- */

static bool number(const struct ball *b, acb_t r, const struct math_node *x)
{
    enum { PLACES_MAX = 1 << 28 };
    fmpz_t digits;
    if (!math_step(b->w, strlen(x->text) / 8) || x->places > PLACES_MAX || x->places < -PLACES_MAX)
        return false;
    fmpz_init(digits);
    bool ok = fmpz_set_str(digits, x->text[0] != '\0' ? x->text : "0", 10) == 0;
    acb_set_fmpz(r, digits);
    fmpz_clear(digits);
    if (ok && x->places != 0) {
        acb_t ten;
        acb_init(ten);
        acb_set_ui(ten, 10);
        acb_pow_si(ten, ten, -x->places, b->prec + 32);
        acb_mul(r, r, ten, b->prec);
        acb_clear(ten);
    }
    return ok;
}

/* A real point between 1/4 and 9/4 with 20 bits after the point. */
static void symbol(const struct ball *b, acb_t r, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u ^ b->point;
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
    slong v = (slong)(h >> 43) + (1 << 18);
    acb_set_si(r, b->negative ? -v : v);
    acb_mul_2exp_si(r, r, -20);
}

/* ---- operations ---- */

static bool fold(const struct ball *b, acb_t r, const struct math_node *x)
{
    acb_t k;
    bool ok = true;
    acb_init(k);
    acb_set_si(r, x->kind == MATH_MUL);
    for (size_t i = 0; ok && i < x->n; i++) {
        ok = eval(b, k, x->kids[i]);
        if (x->kind == MATH_MUL)
            acb_mul(r, r, k, b->prec);
        else
            acb_add(r, r, k, b->prec);
    }
    acb_clear(k);
    return ok;
}

static bool root_power(const struct ball *b, acb_t r, const struct math_node *x)
{
    acb_t base, exponent;
    struct math_small n;
    acb_init(base);
    acb_init(exponent);
    bool ok = eval(b, base, x->kids[0]) && math_step(b->w, (size_t)b->prec / 16);
    if (ok && math_small(b->w, x->kids[1], &n) && n.den <= 2) {
        ok = n.num < (1 << 30) && n.num > -(1 << 30);
        if (ok && n.den == 2)
            acb_sqrt(base, base, b->prec);
        if (ok)
            acb_pow_si(r, base, n.num, b->prec);
    } else if (ok) {
        /* An odd root of a negative number is the real one. */
        bool turned = math_small(b->w, x->kids[1], &n) && n.den % 2 == 1 && acb_is_real(base) &&
                      arb_is_negative(acb_realref(base));
        if (turned)
            acb_neg(base, base);
        ok = eval(b, exponent, x->kids[1]) && ball_power(r, base, exponent, b->prec);
        if (turned && n.num % 2 != 0)
            acb_neg(r, r);
    }
    acb_clear(base);
    acb_clear(exponent);
    return ok;
}

static bool call(const struct ball *b, acb_t r, const struct math_node *x)
{
    acb_t args[2];
    bool ok = x->n <= 2 && math_step(b->w, ball_func_cost(x->op, b->prec));
    for (size_t i = 0; i < 2; i++)
        acb_init(args[i]);
    for (size_t i = 0; ok && i < x->n; i++)
        ok = eval(b, args[i], x->kids[i]);
    ok = ok && ball_func(r, (enum math_func)x->op, args, b->prec);
    for (size_t i = 0; i < 2; i++)
        acb_clear(args[i]);
    return ok;
}

/* A finite sum or product of few terms. */
static bool expand(const struct ball *b, acb_t r, const struct math_node *x)
{
    struct math_small low, high;
    struct math_bound at = {x->text, true, 0, b->w->bound};
    bool ok = (x->op == 'S' || x->op == 'P') && x->n == 3 && math_small(b->w, x->kids[1], &low) &&
              math_small(b->w, x->kids[2], &high) && low.den == 1 && high.den == 1 &&
              high.num - low.num < MATH_TERMS_MAX;
    acb_t k;
    if (!ok)
        return false;
    acb_init(k);
    acb_set_si(r, x->op == 'P');
    for (at.value = low.num; ok && at.value <= high.num; at.value++) {
        b->w->bound = &at;
        ok = eval(b, k, x->kids[0]);
        b->w->bound = at.outer;
        if (x->op == 'P')
            acb_mul(r, r, k, b->prec);
        else
            acb_add(r, r, k, b->prec);
    }
    acb_clear(k);
    return ok;
}

/* A name: its point, or the whole number that it is bound to. */
static bool name(const struct ball *b, acb_t r, const struct math_node *x)
{
    const struct math_bound *bound = math_bound_of(b->w, x);
    if (bound == NULL && math_bound_index(b->w, x))
        return false;
    if (bound == NULL)
        symbol(b, r, x->text);
    else if (bound->is_whole)
        acb_set_si(r, bound->value);
    return bound == NULL || bound->is_whole;
}

/* The functions of rational numbers. */
static bool rational(const struct ball *b, acb_t r, const struct math_node *x)
{
    struct math_small v;
    if (!math_small(b->w, x, &v))
        return false;
    acb_set_si(r, v.num);
    acb_div_si(r, r, v.den, b->prec);
    return true;
}

static bool measured(const struct ball *b, acb_t r, const struct math_node *x)
{
    acb_t factor;
    if (!eval(b, r, x->kids[0]))
        return false;
    acb_init(factor);
    if (strcmp(x->text, "percent") == 0) {
        acb_set_ui(factor, 100);
        acb_inv(factor, factor, b->prec);
    } else if (strcmp(x->text, "degree") == 0) {
        acb_const_pi(factor, b->prec);
        acb_div_ui(factor, factor, 180, b->prec);
    } else {
        symbol(b, factor, x->text);
    }
    acb_mul(r, r, factor, b->prec);
    acb_clear(factor);
    return true;
}

static bool eval(const struct ball *b, acb_t r, const struct math_node *x)
{
    if (!math_step(b->w, 1 + (size_t)b->prec / 256))
        return false;
    switch (x->kind) {
    case MATH_NUM:
        return number(b, r, x);
    case MATH_SYM:
        return name(b, r, x);
    case MATH_TEXT:
        symbol(b, r, x->text);
        return true;
    case MATH_BIG:
        return expand(b, r, x);
    case MATH_PI:
        acb_const_pi(r, b->prec);
        return true;
    case MATH_E:
        acb_one(r);
        acb_exp(r, r, b->prec);
        return math_step(b->w, 4);
    case MATH_I:
        acb_onei(r);
        return true;
    case MATH_ADD:
    case MATH_MUL:
        return fold(b, r, x);
    case MATH_NEG:
        if (!eval(b, r, x->kids[0]))
            return false;
        acb_neg(r, r);
        return true;
    case MATH_INV:
        if (!eval(b, r, x->kids[0]))
            return false;
        acb_inv(r, r, b->prec);
        return acb_is_finite(r);
    case MATH_POW:
        return root_power(b, r, x);
    case MATH_FUNC:
        return x->op >= FUNC_MOD ? rational(b, r, x) : call(b, r, x);
    case MATH_UNIT:
        return measured(b, r, x);
    default:
        return false;
    }
}

/* ---- comparing ---- */

/* Whether the radius of d is under 2^-EQUAL_BITS of the size of a, or of 1 when a is zero. */
static bool is_tight(const acb_t d, const acb_t a)
{
    mag_t radius, size;
    mag_init(radius);
    mag_init(size);
    acb_get_mag(radius, d);
    acb_get_mag_lower(size, a);
    if (mag_is_zero(size))
        mag_one(size);
    mag_mul_2exp_si(radius, radius, EQUAL_BITS);
    bool tight = mag_cmp(radius, size) < 0;
    mag_clear(radius);
    mag_clear(size);
    return tight;
}

static bool is_real(const acb_t v)
{
    return arb_contains_zero(acb_imagref(v)) &&
           mag_cmp_2exp_si(arb_radref(acb_imagref(v)), -60) < 0;
}

/* At one point and precision. */
static enum math_answer compare_at(
    const struct ball *b, const struct math_node *x, const struct math_node *y)
{
    acb_t u, v, d;
    enum math_answer result = MATH_UNKNOWN;
    acb_init(u);
    acb_init(v);
    acb_init(d);
    if (eval(b, u, x) && eval(b, v, y) && acb_is_finite(u) && acb_is_finite(v) &&
        (!b->negative || (is_real(u) && is_real(v)))) {
        acb_sub(d, u, v, b->prec);
        if (!acb_contains_zero(d))
            result = MATH_DIFFER;
        else if (b->prec >= PRECISION_HIGH && is_tight(d, u))
            result = MATH_EQUAL;
    }
    acb_clear(u);
    acb_clear(v);
    acb_clear(d);
    return result;
}

enum math_answer ball_compare(
    struct math_work *w, const struct math_node *x, const struct math_node *y)
{
    bool constant = math_is_constant(w, x) && math_is_constant(w, y);
    size_t points = constant ? 1 : POINTS, equal = 0;
    for (size_t i = 0; i < points; i++) {
        struct ball low = {.w = w, .prec = PRECISION_LOW, .point = i};
        if (compare_at(&low, x, y) == MATH_DIFFER)
            return MATH_DIFFER;
        if (constant)
            continue;
        low.negative = true;
        if (compare_at(&low, x, y) == MATH_DIFFER)
            return MATH_DIFFER;
    }
    for (size_t i = 0; i < points; i++) {
        struct ball high = {.w = w, .prec = PRECISION_HIGH, .point = i};
        enum math_answer r = compare_at(&high, x, y);
        if (r == MATH_DIFFER)
            return r;
        equal += r == MATH_EQUAL;
    }
    return equal == points ? MATH_EQUAL : MATH_UNKNOWN;
}

/* a - b of two real constants, in r. */
static bool real_difference(
    struct math_work *w, const struct math_node *a, const struct math_node *b, arb_t r)
{
    const struct ball at = {.w = w, .prec = PRECISION_HIGH};
    acb_t u, v;
    acb_init(u);
    acb_init(v);
    bool ok = eval(&at, u, a) && eval(&at, v, b) && is_real(u) && is_real(v);
    if (ok)
        arb_sub(r, acb_realref(u), acb_realref(v), at.prec);
    acb_clear(u);
    acb_clear(v);
    return ok;
}

bool ball_near(struct math_work *w, const struct math_node *a, const struct math_node *b,
    long places, unsigned unit)
{
    enum { PLACES_MAX = 2000 };
    arb_t d, scale;
    if (places > PLACES_MAX || places < -PLACES_MAX)
        return false;
    arb_init(d);
    arb_init(scale);
    bool near = real_difference(w, a, b, d);
    if (near) {
        arb_set_ui(scale, 10);
        arb_pow_ui(scale, scale, (ulong)(places < 0 ? -places : places), PRECISION_HIGH);
        if (places < 0)
            arb_inv(scale, scale, PRECISION_HIGH);
        arb_mul(d, d, scale, PRECISION_HIGH);
        arb_abs(d, d);
        arb_mul_2exp_si(d, d, 1);
        arb_set_ui(scale, unit);
        near = arb_le(d, scale);
    }
    arb_clear(d);
    arb_clear(scale);
    return near;
}

bool ball_order(struct math_work *w, const struct math_node *a, const struct math_node *b, int *ret)
{
    arb_t d;
    arb_init(d);
    bool ok = real_difference(w, a, b, d);
    if (ok)
        *ret = arb_is_positive(d) ? 1 : arb_is_negative(d) ? -1 : 0;
    arb_clear(d);
    return ok;
}

bool ball_whole(struct math_work *w, const struct math_node *x, long *ret)
{
    const struct ball at = {.w = w, .prec = PRECISION_LOW};
    fmpz_t n;
    acb_t v;
    acb_init(v);
    fmpz_init(n);
    bool ok =
        eval(&at, v, x) && is_real(v) && arb_get_unique_fmpz(n, acb_realref(v)) && fmpz_fits_si(n);
    if (ok)
        *ret = fmpz_get_si(n);
    fmpz_clear(n);
    acb_clear(v);
    return ok;
}

int ball_ratio_sign(
    struct math_work *w, const struct math_node *const a[2], const struct math_node *const b[2])
{
    const struct ball at = {.w = w, .prec = PRECISION_LOW};
    acb_t v[4];
    int sign = 0;
    for (size_t i = 0; i < 4; i++)
        acb_init(v[i]);
    if (eval(&at, v[0], a[0]) && eval(&at, v[1], a[1]) && eval(&at, v[2], b[0]) &&
        eval(&at, v[3], b[1])) {
        acb_sub(v[0], v[0], v[1], at.prec);
        acb_sub(v[2], v[2], v[3], at.prec);
        acb_div(v[0], v[0], v[2], at.prec);
        if (is_real(v[0]))
            sign = arb_is_positive(acb_realref(v[0])) - arb_is_negative(acb_realref(v[0]));
    }
    for (size_t i = 0; i < 4; i++)
        acb_clear(v[i]);
    return sign;
}

void ball_thread_done(void)
{
    flint_cleanup();
}
