/* family.c: see family.h. */
#include "reward-server/scoring/math/family.h"

#include <ctype.h>

#include "reward-server/scoring/math/ball.h"

enum { NAMES_MAX = 4 };

/* Names that no text can hold. */
static const char *const fresh[NAMES_MAX] = {"\x01"
                                             "1",
    "\x01"
    "2",
    "\x01"
    "3",
    "\x01"
    "4"};

static const struct math_node *put(
    struct math_work *w, const struct math_node *x, const char *name, const char *other)
{
    const struct math_node *y = math_leaf(w, MATH_SYM, other, strlen(other));
    return y != NULL ? math_substitute(w, x, name, y) : NULL;
}

/* ---- families ---- */

struct family {
    const struct math_node *heads[MATH_ITEMS_MAX];
    const struct math_node *declared[NAMES_MAX];
    size_t n, declared_n;
};

bool family_is(const struct math_node *x)
{
    for (size_t i = 0; x->kind == MATH_LIST && i < x->n; i++) {
        if (x->kids[i]->kind == MATH_DECL)
            return true;
    }
    return false;
}

/* What is written of one list or several: their members. */
static bool split(const struct math_node *x, struct family *ret)
{
    *ret = (struct family){.n = 0};
    if (x->kind != MATH_LIST && x->kind != MATH_SET) {
        ret->heads[ret->n++] = x;
        return true;
    }
    for (size_t i = 0; i < x->n; i++) {
        bool declared = x->kids[i]->kind == MATH_DECL;
        if (ret->n == MATH_ITEMS_MAX || (declared && ret->declared_n == NAMES_MAX))
            return false;
        if (declared)
            ret->declared[ret->declared_n++] = x->kids[i];
        else
            ret->heads[ret->n++] = x->kids[i];
    }
    return ret->n > 0;
}

/* Whether two declarations may stand for each other: real and complex parameters are free, whole
 * ones keep their kind. */
static bool same_domain(const struct math_node *a, const struct math_node *b)
{
    bool whole_a = strchr("ZN", a->op) != NULL, whole_b = strchr("ZN", b->op) != NULL;
    return whole_a || whole_b ? a->op == b->op : (a->op == 'P') == (b->op == 'P');
}

static const struct math_node *at(
    struct math_work *w, const struct math_node *x, const char *name, long value)
{
    const struct math_node *v = math_number(w, value);
    return v != NULL ? math_substitute(w, x, name, v) : NULL;
}

static const struct math_node *minus(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    return math_node2(w, MATH_ADD, a, math_node1(w, MATH_NEG, b));
}

/* Values a + k step of a whole k; false when x is not of this form. */
static bool progression(struct math_work *w, const struct math_node *x, const char *name,
    const struct math_node **ret_first, const struct math_node **ret_step)
{
    const struct math_node *x0 = at(w, x, name, 0), *x1 = at(w, x, name, 1),
                           *x2 = at(w, x, name, 2);
    if (x0 == NULL || x1 == NULL || x2 == NULL || !math_is_value(w, x))
        return false;
    const struct math_node *step = minus(w, x1, x0), *next = minus(w, x2, x1);
    if (step == NULL || next == NULL || compare_exact(w, step, next) != MATH_EQUAL)
        return false;
    *ret_first = x0;
    *ret_step = step;
    return true;
}

/* Both run through all whole k: the same step up to its sign, and first values that are whole steps
 * apart. */
static bool same_progression(
    struct math_work *w, const struct math_node *a, const struct math_node *b, const char *name)
{
    const struct math_node *first_a, *first_b, *step_a, *step_b, *label_a = NULL, *label_b = NULL;
    if (a->kind == MATH_REL)
        a = relation_value(w, a, &label_a);
    if (b->kind == MATH_REL)
        b = relation_value(w, b, &label_b);
    if (a == NULL || b == NULL || !progression(w, a, name, &first_a, &step_a) ||
        !progression(w, b, name, &first_b, &step_b))
        return false;
    if (label_a != NULL && label_b != NULL && compare_answers(w, label_a, label_b) != MATH_EQUAL)
        return false;
    const struct math_node *turned = math_node1(w, MATH_NEG, step_b);
    if (turned == NULL || (compare_exact(w, step_a, step_b) != MATH_EQUAL &&
                              compare_exact(w, step_a, turned) != MATH_EQUAL))
        return false;
    const struct math_node *apart =
        math_node2(w, MATH_MUL, minus(w, first_a, first_b), math_node1(w, MATH_INV, step_a));
    long whole;
    if (apart == NULL || !ball_whole(w, apart, &whole))
        return false;
    const struct math_node *number = math_number(w, whole);
    return number != NULL && compare_exact(w, apart, number) == MATH_EQUAL;
}

/* One to one, in any order. */
static enum math_answer compare_heads(
    struct math_work *w, const struct family *a, const struct family *b, const char *whole)
{
    bool used[MATH_ITEMS_MAX] = {false};
    if (a->n != b->n)
        return MATH_DIFFER;
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        for (; k < b->n; k++) {
            if (!used[k] &&
                (compare_answers(w, a->heads[i], b->heads[k]) == MATH_EQUAL ||
                    (whole != NULL && same_progression(w, a->heads[i], b->heads[k], whole))))
                break;
        }
        if (k == b->n)
            return MATH_DIFFER;
        used[k] = true;
    }
    return MATH_EQUAL;
}

static bool mentions(struct math_work *w, const struct math_node *x, const char *name)
{
    if (!math_step(w, 1) || (x->kind == MATH_SYM && strcmp(x->text, name) == 0))
        return true;
    for (size_t i = 0; i < x->n; i++) {
        if (mentions(w, x->kids[i], name))
            return true;
    }
    return false;
}

/* "x = k pi" beside "x = n pi, n in Z": k is declared with it, when it is the only letter for a
 * whole number. */
static void declare_alike(struct math_work *w, struct family *x, const struct family *other)
{
    static const char *const letters[] = {"k", "n", "m"};
    const char *found = NULL;
    if (x->declared_n != 0 || other->declared_n != 1 || other->declared[0]->op != 'Z')
        return;
    for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
        bool all = true, any = false;
        for (size_t k = 0; k < x->n; k++) {
            bool here = mentions(w, x->heads[k], letters[i]);
            all = all && here;
            any = any || here;
        }
        if (any && (!all || found != NULL))
            return;
        found = any ? letters[i] : found;
    }
    struct math_node *d = found != NULL ? math_leaf(w, MATH_DECL, found, 1) : NULL;
    if (d == NULL)
        return;
    d->op = 'Z';
    x->declared[x->declared_n++] = d;
}

/* Equations of names without an index: "a_n = 2n + 1" is no family of values. Values are one, when
 * they may be. */
static bool are_equations(const struct family *x, bool values_too)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct math_node *h = x->heads[i];
        if (h->kind == MATH_REL ? h->kids[0]->kind != MATH_SYM || h->kids[0]->text[1] != '\0'
                                : !values_too)
            return false;
    }
    return true;
}

enum math_answer family_compare(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    struct family x, y;
    if (!split(a, &x) || !split(b, &y))
        return MATH_UNKNOWN;
    if (are_equations(&y, true))
        declare_alike(w, &y, &x);
    if (are_equations(&x, false))
        declare_alike(w, &x, &y);
    size_t both = x.declared_n < y.declared_n ? x.declared_n : y.declared_n;
    if (both > 0 && x.declared_n != y.declared_n)
        return MATH_DIFFER;
    for (size_t i = 0; i < both; i++) {
        if (!same_domain(x.declared[i], y.declared[i]))
            return MATH_DIFFER;
        for (size_t k = 0; k < x.n; k++)
            x.heads[k] = put(w, x.heads[k], x.declared[i]->text, fresh[i]);
        for (size_t k = 0; k < y.n; k++)
            y.heads[k] = put(w, y.heads[k], y.declared[i]->text, fresh[i]);
    }
    for (size_t k = 0; k < x.n || k < y.n; k++) {
        if ((k < x.n && x.heads[k] == NULL) || (k < y.n && y.heads[k] == NULL))
            return MATH_UNKNOWN;
    }
    bool whole = both == 1 && x.declared[0]->op == 'Z';
    return compare_heads(w, &x, &y, whole ? fresh[0] : NULL);
}

/* ---- definitions ---- */

static bool defines(const struct math_node *x)
{
    bool ok = x->kind == MATH_REL && x->n == 2 && x->kids[0]->kind == MATH_CALL &&
              x->kids[0]->n <= NAMES_MAX && strcmp(x->kids[0]->text, "det") != 0;
    for (size_t i = 0; ok && i < x->kids[0]->n; i++)
        ok = x->kids[0]->kids[i]->kind == MATH_SYM;
    return ok;
}

const struct math_node *family_rename_arguments(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    if (!defines(a) || !defines(b) || a->kids[0]->n != b->kids[0]->n ||
        strcmp(a->kids[0]->text, b->kids[0]->text) != 0)
        return b;
    const struct math_node *x = b;
    size_t n = a->kids[0]->n;
    for (size_t i = 0; x != NULL && i < n; i++)
        x = put(w, x, b->kids[0]->kids[i]->text, fresh[i]);
    for (size_t i = 0; x != NULL && i < n; i++) {
        if (mentions(w, x, a->kids[0]->kids[i]->text)) /* f(t) = 2x: another x */
            return b;
    }
    for (size_t i = 0; x != NULL && i < n; i++)
        x = put(w, x, fresh[i], a->kids[0]->kids[i]->text);
    return x != NULL ? x : b;
}

/* ---- constants ---- */

struct constants {
    const char *names[NAMES_MAX];
    size_t n;
    bool argument; /* x, y or t occurs, so that this is a function */
    bool shared;   /* a capital of the other side, which then is no constant of this one */
    bool too_many;
};

static bool has_index(const char *s)
{
    return s[1] == '_' && isdigit((unsigned char)s[2]) && s[3] == '\0';
}

static bool is_constant_name(const char *s)
{
    return (s[0] == 'C' || s[0] == 'c') && (s[1] == '\0' || has_index(s));
}

/* Names that may stand for constants beside the C of the other side. */
static bool is_other_constant_name(const char *s, const char *letters)
{
    return s[0] != '\0' && strchr(letters, s[0]) != NULL && (s[1] == '\0' || has_index(s));
}

static void add_constant(struct constants *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->names[i], name) == 0)
            return;
    }
    c->too_many = c->too_many || c->n == NAMES_MAX;
    if (c->n < NAMES_MAX)
        c->names[c->n++] = name;
}

/* The constants of x; with letters those of the names that begin so and that the other side does
 * not mention. */
static void collect(struct math_work *w, const struct math_node *x, const struct math_node *other,
    const char *letters, struct constants *c)
{
    if (!math_step(w, 1))
        return;
    bool name = x->kind == MATH_SYM;
    if (name && letters == NULL && is_constant_name(x->text))
        add_constant(c, x->text);
    if (name && letters != NULL && is_other_constant_name(x->text, letters)) {
        bool shared = mentions(w, other, x->text);
        c->shared = c->shared || (shared && x->text[0] <= 'Z');
        if (!shared)
            add_constant(c, x->text);
    }
    c->argument = c->argument || (name && x->text[0] != '\0' && x->text[1] == '\0' &&
                                     strchr("xyt", x->text[0]) != NULL);
    for (size_t i = 0; i < x->n; i++)
        collect(w, x->kids[i], other, letters, c);
}

static const struct math_node *rename_all(
    struct math_work *w, const struct math_node *x, const struct constants *c, unsigned turn)
{
    for (size_t i = 0; x != NULL && i < c->n; i++)
        x = put(w, x, c->names[i], fresh[(i + turn) % c->n]);
    return x;
}

bool family_rename_constants(
    struct math_work *w, const struct math_node **a, const struct math_node **b, unsigned turn)
{
    struct constants x = {.n = 0}, y = {.n = 0};
    collect(w, *a, NULL, NULL, &x);
    collect(w, *b, NULL, NULL, &y);
    if (x.n == 0 && y.n > 0)
        collect(w, *a, *b, "ABDKk", &x); /* a and b are more often given */
    else if (y.n == 0 && x.n > 0)
        collect(w, *b, *a, "ABDKabk", &y);
    if (x.shared || y.shared || x.n == 0 || x.n != y.n || turn >= x.n || x.too_many || y.too_many ||
        !x.argument || !y.argument)
        return false;
    const struct math_node *r = rename_all(w, *a, &x, 0), *s = rename_all(w, *b, &y, turn);
    if (r == NULL || s == NULL)
        return false;
    *a = r;
    *b = s;
    return true;
}
