/* matrix.c: see matrix.h. */
#include "reward-server/scoring/math/matrix.h"

static size_t columns(const struct math_node *m)
{
    return (size_t)m->op;
}

static size_t rows(const struct math_node *m)
{
    return m->n / columns(m);
}

static const struct math_node *make(
    struct math_work *w, const struct math_node *const *cells, size_t n, size_t in_row)
{
    struct math_node *m = math_node(w, MATH_MATRIX, cells, n);
    if (m != NULL)
        m->op = (int)in_row;
    return m;
}

/* A tuple counts as a column. */
static const struct math_node *as_matrix(struct math_work *w, const struct math_node *x)
{
    if (x->kind == MATH_TUPLE && x->n <= MATH_ITEMS_MAX)
        return make(w, x->kids, x->n, 1);
    return x->kind == MATH_MATRIX ? x : NULL;
}

static const struct math_node *sum(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    const struct math_node *cells[MATH_ITEMS_MAX];
    if (a->n != b->n || a->op != b->op)
        return NULL;
    for (size_t i = 0; i < a->n; i++)
        cells[i] = math_node2(w, MATH_ADD, a->kids[i], b->kids[i]);
    return make(w, cells, a->n, columns(a));
}

static const struct math_node *scaled(
    struct math_work *w, const struct math_node *factor, const struct math_node *m)
{
    const struct math_node *cells[MATH_ITEMS_MAX];
    for (size_t i = 0; i < m->n; i++)
        cells[i] = math_node2(w, MATH_MUL, factor, m->kids[i]);
    return make(w, cells, m->n, columns(m));
}

static const struct math_node *product(
    struct math_work *w, const struct math_node *a, const struct math_node *b)
{
    const struct math_node *cells[MATH_ITEMS_MAX], *terms[MATH_ITEMS_MAX];
    size_t n = rows(a), k = columns(a), m = columns(b), count = 0;
    if (k != rows(b) || n * m > MATH_ITEMS_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < m; j++) {
            for (size_t l = 0; l < k; l++)
                terms[l] = math_node2(w, MATH_MUL, a->kids[i * k + l], b->kids[l * m + j]);
            cells[count++] = math_node(w, MATH_ADD, terms, k);
        }
    }
    return make(w, cells, count, m);
}

/* ---- folding ---- */

static const struct math_node *fold(struct math_work *w, const struct math_node *x);

static const struct math_node *fold_sum(struct math_work *w, const struct math_node *x)
{
    const struct math_node *total = NULL;
    for (size_t i = 0; i < x->n; i++) {
        const struct math_node *k = fold(w, x->kids[i]);
        if (k == NULL)
            return NULL;
        total = i == 0 ? k : sum(w, total, k);
        if (total == NULL)
            return NULL;
    }
    return total;
}

/* Values commute with all, but stand before a matrix, or divide it: "(0,0)7" is no product.
 * Matrices keep their order. */
static const struct math_node *fold_product(struct math_work *w, const struct math_node *x)
{
    const struct math_node *total = NULL, *values[MATH_ITEMS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        if (math_is_value(w, x->kids[i])) {
            if (total != NULL && x->kids[i]->kind != MATH_INV)
                return NULL;
            values[n++] = x->kids[i];
            continue;
        }
        const struct math_node *k = fold(w, x->kids[i]);
        if (k == NULL)
            return NULL;
        total = total == NULL ? k : product(w, total, k);
        if (total == NULL)
            return NULL;
    }
    return total == NULL || n == 0 ? total : scaled(w, math_node(w, MATH_MUL, values, n), total);
}

static const struct math_node *transposed(struct math_work *w, const struct math_node *m)
{
    const struct math_node *cells[MATH_ITEMS_MAX];
    for (size_t i = 0; i < m->n; i++)
        cells[i] = m->kids[i % rows(m) * columns(m) + i / rows(m)];
    return make(w, cells, m->n, rows(m));
}

/* A^T, A^\top. */
static bool is_transpose(const struct math_node *exponent)
{
    static const char *const marks[] = {"T", "top", "intercal"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (exponent->kind == MATH_SYM && strcmp(exponent->text, marks[i]) == 0)
            return true;
    }
    return false;
}

static const struct math_node *fold_power(struct math_work *w, const struct math_node *x)
{
    enum { POWER_MAX = 16 };
    struct math_small n;
    const struct math_node *base = fold(w, x->kids[0]), *total = base;
    if (base != NULL && is_transpose(x->kids[1]))
        return base->n <= MATH_ITEMS_MAX ? transposed(w, base) : NULL;
    if (base == NULL || !math_small(w, x->kids[1], &n) || n.den != 1 || n.num < 1 ||
        n.num > POWER_MAX)
        return NULL;
    for (int64_t i = 1; total != NULL && i < n.num; i++)
        total = product(w, total, base);
    return total;
}

static const struct math_node *fold(struct math_work *w, const struct math_node *x)
{
    switch (x->kind) {
    case MATH_TUPLE:
    case MATH_MATRIX:
        return as_matrix(w, x);
    case MATH_ADD:
        return fold_sum(w, x);
    case MATH_MUL:
        return x->n <= MATH_ITEMS_MAX ? fold_product(w, x) : NULL;
    case MATH_POW:
        return fold_power(w, x);
    case MATH_NEG: {
        const struct math_node *k = fold(w, x->kids[0]);
        return k != NULL ? scaled(w, math_number(w, -1), k) : NULL;
    }
    default:
        return NULL;
    }
}

const struct math_node *matrix_fold(struct math_work *w, const struct math_node *x)
{
    bool arithmetic =
        x->kind == MATH_ADD || x->kind == MATH_MUL || x->kind == MATH_POW || x->kind == MATH_NEG;
    return arithmetic ? fold(w, x) : NULL;
}

/* ---- determinants ---- */

/* Along the first of the rows that are left; taken: the columns that are gone. */
static const struct math_node *expand(
    struct math_work *w, const struct math_node *m, size_t row, unsigned taken)
{
    const struct math_node *terms[MATRIX_DETERMINANT_MAX];
    size_t n = 0;
    if (row == rows(m))
        return math_number(w, 1);
    for (size_t j = 0; j < columns(m); j++) {
        if (taken & (1u << j))
            continue;
        const struct math_node *rest = expand(w, m, row + 1, taken | (1u << j));
        terms[n] = math_node2(w, MATH_MUL, m->kids[row * columns(m) + j], rest);
        if (n % 2 == 1)
            terms[n] = math_node1(w, MATH_NEG, terms[n]);
        n++;
    }
    return math_node(w, MATH_ADD, terms, n);
}

const struct math_node *matrix_determinant(struct math_work *w, const struct math_node *x)
{
    if (x->kind != MATH_MATRIX || rows(x) != columns(x) || rows(x) > MATRIX_DETERMINANT_MAX)
        return NULL;
    return expand(w, x, 0, 0);
}
