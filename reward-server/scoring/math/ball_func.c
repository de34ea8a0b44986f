/* ball_func.c: the table of functions. */
#include "reward-server/scoring/math/ball_func.h"

enum { ARGUMENT_BITS_MAX = 40 };

/* Arguments of exponentials and periodic functions are under 2^40 in size, so that Arb's argument
 * reduction stays cheap and its exponents short. */
static bool is_moderate(const acb_t x)
{
    mag_t size;
    mag_init(size);
    acb_get_mag(size, x);
    bool ok = mag_cmp_2exp_si(size, ARGUMENT_BITS_MAX) < 0;
    mag_clear(size);
    return ok;
}

static void floor_of(acb_t r, const acb_t x, slong prec)
{
    arb_floor(acb_realref(r), acb_realref(x), prec);
    arb_zero(acb_imagref(r));
}

static void ceil_of(acb_t r, const acb_t x, slong prec)
{
    arb_ceil(acb_realref(r), acb_realref(x), prec);
    arb_zero(acb_imagref(r));
}

static void abs_of(acb_t r, const acb_t x, slong prec)
{
    arb_t size;
    arb_init(size);
    acb_abs(size, x, prec);
    acb_set_arb(r, size);
    arb_clear(size);
}

static void factorial_of(acb_t r, const acb_t x, slong prec)
{
    acb_add_ui(r, x, 1, prec);
    acb_gamma(r, r, prec);
}

/* By the reciprocal; of a negative number arccot has two conventions, so it has no value. */
static void acot_of(acb_t r, const acb_t x, slong prec)
{
    if (arb_is_negative(acb_realref(x))) {
        acb_indeterminate(r);
        return;
    }
    acb_inv(r, x, prec);
    acb_atan(r, r, prec);
}

static void asec_of(acb_t r, const acb_t x, slong prec)
{
    acb_inv(r, x, prec);
    acb_acos(r, r, prec);
}

static void acsc_of(acb_t r, const acb_t x, slong prec)
{
    acb_inv(r, x, prec);
    acb_asin(r, r, prec);
}

static void cis_of(acb_t r, const acb_t x, slong prec)
{
    acb_mul_onei(r, x);
    acb_exp(r, r, prec);
}

static const struct {
    void (*f)(acb_t r, const acb_t x, slong prec);
    size_t cost; /* steps at 128 bits */
} table[] = {
    [FUNC_SIN] = {acb_sin, 8},
    [FUNC_COS] = {acb_cos, 8},
    [FUNC_TAN] = {acb_tan, 16},
    [FUNC_COT] = {acb_cot, 16},
    [FUNC_SEC] = {acb_sec, 16},
    [FUNC_CSC] = {acb_csc, 16},
    [FUNC_ASIN] = {acb_asin, 16},
    [FUNC_ACOS] = {acb_acos, 16},
    [FUNC_ATAN] = {acb_atan, 16},
    [FUNC_SINH] = {acb_sinh, 16},
    [FUNC_COSH] = {acb_cosh, 16},
    [FUNC_TANH] = {acb_tanh, 16},
    [FUNC_LN] = {acb_log, 8},
    [FUNC_LOG] = {NULL, 16},
    [FUNC_EXP] = {acb_exp, 8},
    [FUNC_ABS] = {abs_of, 2},
    [FUNC_FLOOR] = {floor_of, 2},
    [FUNC_CEIL] = {ceil_of, 2},
    [FUNC_FACT] = {factorial_of, 300},
    [FUNC_BINOM] = {NULL, 900},
    [FUNC_ACOT] = {acot_of, 16},
    [FUNC_ASEC] = {asec_of, 16},
    [FUNC_ACSC] = {acsc_of, 16},
    [FUNC_COTH] = {acb_coth, 16},
    [FUNC_SECH] = {acb_sech, 16},
    [FUNC_CSCH] = {acb_csch, 16},
    [FUNC_ASINH] = {acb_asinh, 16},
    [FUNC_ACOSH] = {acb_acosh, 16},
    [FUNC_ATANH] = {acb_atanh, 16},
    [FUNC_CIS] = {cis_of, 8},
};

size_t ball_func_cost(int func, slong prec)
{
    return table[func].cost * (size_t)(prec / 128);
}

/* log of the second to the base of the first. */
static bool logarithm(acb_t r, acb_t args[2], slong prec)
{
    acb_t base;
    acb_init(base);
    acb_log(base, args[0], prec);
    acb_log(r, args[1], prec);
    acb_div(r, r, base, prec);
    acb_clear(base);
    return acb_is_finite(r);
}

/* n! / (k! (n - k)!) through the gamma function. */
static bool binomial(acb_t r, acb_t args[2], slong prec)
{
    acb_t v;
    acb_init(v);
    factorial_of(r, args[0], prec);
    factorial_of(v, args[1], prec);
    acb_div(r, r, v, prec);
    acb_sub(v, args[0], args[1], prec);
    factorial_of(v, v, prec);
    acb_div(r, r, v, prec);
    acb_clear(v);
    return acb_is_finite(r);
}

bool ball_func(acb_t r, enum math_func func, acb_t args[2], slong prec)
{
    if (!is_moderate(args[0]) || !is_moderate(args[1]))
        return false;
    if (func == FUNC_LOG)
        return logarithm(r, args, prec);
    if (func == FUNC_BINOM)
        return binomial(r, args, prec);
    table[func].f(r, args[0], prec);
    return acb_is_finite(r);
}

bool ball_power(acb_t r, const acb_t base, const acb_t exponent, slong prec)
{
    acb_t log;
    bool ok = false;
    acb_init(log);
    if (acb_is_zero(base)) {
        acb_zero(r);
        ok = arb_is_positive(acb_realref(exponent));
    } else {
        acb_log(log, base, prec);
        acb_mul(log, log, exponent, prec);
        if (acb_is_finite(log) && is_moderate(log)) {
            acb_exp(r, log, prec);
            ok = acb_is_finite(r);
        }
    }
    acb_clear(log);
    return ok;
}
