/* expression.c: countdown's expressions: recursive descent with a bounded depth, exact values. The
 * first problem ends the evaluation, so that no more numbers are computed with than the task has.
 */
#include <stdio.h>
#include <string.h>

#include "reward-server/scoring/number.h"

struct eval {
    const char *begin, *at, *end;
    const int64_t *nums; /* borrowed */
    size_t count;
    bool used[SCORER_NUMS_MAX];
    unsigned depth;
    struct arena *arena; /* borrowed */
    enum expression_status status;
    const char *why;
};

static bool eval_fail(struct eval *v, enum expression_status status, const char *why)
{
    v->status = status;
    v->why = why;
    return false;
}

static bool eval_unexpected(struct eval *v, const char *expected)
{
    if (v->at == v->end)
        return eval_fail(v, EXPRESSION_MALFORMED,
            reason_text(v->arena, "the expression ends, expected %s", expected));
    unsigned char c = (unsigned char)*v->at;
    char found[8];
    (void)snprintf(found, sizeof(found), c > ' ' && c < 0x7f ? "'%c'" : "0x%02x", c);
    return eval_fail(v, EXPRESSION_MALFORMED,
        reason_text(v->arena, "byte %zu of the expression is %s, expected %s",
            (size_t)(v->at - v->begin), found, expected));
}

/* The next character that is no blank, or NUL at the end. */
static char eval_peek(struct eval *v)
{
    while (v->at < v->end && (*v->at == ' ' || (*v->at >= '\t' && *v->at <= '\r')))
        v->at++;
    return v->at < v->end ? *v->at : '\0';
}

static bool eval_number(struct eval *v, mpq_t ret)
{
    int64_t value = 0;
    const char *from = v->at;
    bool overflow = false;
    for (; v->at < v->end && *v->at >= '0' && *v->at <= '9'; v->at++) {
        overflow |= __builtin_mul_overflow(value, 10, &value);
        overflow |= __builtin_add_overflow(value, *v->at - '0', &value);
    }
    size_t i = 0;
    while (i < v->count && (overflow || v->used[i] || v->nums[i] != value))
        i++;
    if (i == v->count)
        return eval_fail(v, EXPRESSION_WRONG,
            reason_text(v->arena, "%.*s is not among the numbers, or used once too often",
                (int)(v->at - from), from));
    v->used[i] = true;
    mpz_set_si(mpq_numref(ret), value);
    mpz_set_ui(mpq_denref(ret), 1);
    return true;
}

static bool eval_sum(struct eval *v, mpq_t ret);

static bool eval_factor(struct eval *v, mpq_t ret)
{
    char c = eval_peek(v);
    if (c >= '0' && c <= '9')
        return eval_number(v, ret);
    if (c != '(')
        return eval_unexpected(v, "a number or '('");
    if (++v->depth > EXPRESSION_DEPTH_MAX)
        return eval_fail(v, EXPRESSION_MALFORMED, "more than 64 open parentheses");
    v->at++;
    if (!eval_sum(v, ret))
        return false;
    if (eval_peek(v) != ')')
        return eval_unexpected(v, "')' or an operator");
    v->at++;
    v->depth--;
    return true;
}

static bool eval_apply(struct eval *v, char op, mpq_t left, const mpq_t right)
{
    if (op == '+')
        mpq_add(left, left, right);
    else if (op == '-')
        mpq_sub(left, left, right);
    else if (op == '*')
        mpq_mul(left, left, right);
    else if (mpq_sgn(right) == 0)
        return eval_fail(v, EXPRESSION_WRONG, "a division by zero");
    else
        mpq_div(left, left, right);
    return true;
}

/* One level of operators of equal rank, from left to right. */
static bool eval_chain(
    struct eval *v, const char *ops, bool (*operand)(struct eval *v, mpq_t ret), mpq_t ret)
{
    mpq_t right;
    if (!operand(v, ret))
        return false;
    mpq_init(right);
    bool ok = true;
    for (char op; ok && (op = eval_peek(v)) != '\0' && strchr(ops, op) != NULL;) {
        v->at++;
        ok = operand(v, right) && eval_apply(v, op, ret, right);
    }
    mpq_clear(right);
    return ok;
}

static bool eval_product(struct eval *v, mpq_t ret)
{
    return eval_chain(v, "*/", eval_factor, ret);
}

static bool eval_sum(struct eval *v, mpq_t ret)
{
    return eval_chain(v, "+-", eval_product, ret);
}

static bool eval_all(struct eval *v, mpq_t ret)
{
    if (!eval_sum(v, ret))
        return false;
    if (eval_peek(v) != '\0' || v->at != v->end)
        return eval_unexpected(v, "an operator");
    for (size_t i = 0; i < v->count; i++) {
        if (!v->used[i])
            return eval_fail(v, EXPRESSION_WRONG,
                reason_text(v->arena, "%lld is not used", (long long)v->nums[i]));
    }
    return true;
}

enum expression_status expression_value(struct span s, const int64_t *nums, size_t count, mpq_t ret,
    struct arena *a, const char **ret_why)
{
    struct eval v = {
        .begin = s.at, .at = s.at, .end = s.at + s.n, .nums = nums, .count = count, .arena = a};
    if (s.n > EXPRESSION_BYTES_MAX) {
        *ret_why = "the expression is longer than 1024 bytes";
        return EXPRESSION_MALFORMED;
    }
    if (!eval_all(&v, ret))
        *ret_why = v.why;
    return v.status;
}
