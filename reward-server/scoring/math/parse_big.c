/* parse_big.c: what spans more than a line of text: sums, integrals, limits, environments. */
#include "reward-server/scoring/math/matrix.h"
#include "reward-server/scoring/math/parse.h"

/* ---- sums, products, integrals, limits ---- */

bool parse_at_differential(const struct parser *p)
{
    return p->integrals > 0 && p->t->kind == TOK_SYM && strcmp(p->t->text, "d") == 0 &&
           p->t[1].kind == TOK_SYM;
}

/* What stands below or above a sign: a sum, or within braces a relation. */
static const struct math_node *parse_limit(struct parser *p, bool relation)
{
    const char *rest = NULL;
    if (!relation || p->t->kind != TOK_LBRACE)
        return parse_argument(p, &rest);
    p->t++;
    p->brackets++;
    const struct math_node *x = parse_item(p);
    p->brackets--;
    return x != NULL && parse_take(p, TOK_RBRACE) ? x : NULL;
}

/* _{x \to a}: one-sided limits and those of more than one name are not known. */
static bool parse_approach(struct parser *p, const char **ret_name, const struct math_node **ret)
{
    bool brace = parse_take(p, TOK_LBRACE);
    if (p->t->kind != TOK_SYM || p->t[1].kind != TOK_TO)
        return false;
    *ret_name = p->t->text;
    p->t += 2;
    *ret = parse_sum(p);
    return *ret != NULL && (!brace || parse_take(p, TOK_RBRACE));
}

static const struct math_node *big_node(
    struct parser *p, int op, const char *name, const struct math_node *const *kids, size_t n)
{
    struct math_node *x = math_node(p->w, MATH_BIG, kids, n);
    if (x != NULL) {
        x->op = op;
        x->text = name;
    }
    return x;
}

static const struct math_node *parse_limes(struct parser *p)
{
    const struct math_node *kids[2];
    const char *name;
    if (!parse_take(p, TOK_UNDER) || !parse_approach(p, &name, &kids[1]))
        return parse_fail(p, "a limit in a form that is not known");
    kids[0] = parse_product(p, false);
    return big_node(p, 'L', name, kids, 2);
}

/* Both ends, in any order. */
static bool parse_ends(struct parser *p, bool relation, const struct math_node *ret[2])
{
    while (p->t->kind == TOK_UNDER || p->t->kind == TOK_CARET) {
        bool high = p->t->kind == TOK_CARET;
        p->t++;
        ret[high] = parse_limit(p, relation && !high);
        if (ret[high] == NULL)
            return false;
    }
    return true;
}

static const struct math_node *parse_integral(struct parser *p)
{
    const struct math_node *ends[2] = {NULL, NULL}, *kids[3];
    if (!parse_ends(p, false, ends) || (ends[0] == NULL) != (ends[1] == NULL))
        return parse_fail(p, "an integral in a form that is not known");
    p->integrals++;
    kids[0] = parse_at_differential(p) ? math_number(p->w, 1) : parse_sum(p);
    bool closed = kids[0] != NULL && parse_at_differential(p);
    p->integrals--;
    if (!closed)
        return parse_fail(p, "an integral without its d");
    const char *name = p->t[1].text;
    p->t += 2;
    kids[1] = ends[0];
    kids[2] = ends[1];
    return big_node(p, 'I', name, kids, ends[0] != NULL ? 3 : 1);
}

/* "i" below a sign is a name there, and not the imaginary unit. */
static bool binds_i(const struct math_token *t)
{
    t += t->kind == TOK_UNDER;
    t += t->kind == TOK_LBRACE;
    return t->kind == TOK_SYM && strcmp(t->text, "i") == 0 &&
           (t[1].kind == TOK_REL || t[1].kind == TOK_TO);
}

const struct math_node *parse_big(struct parser *p)
{
    int op = p->t->op;
    bool i = binds_i(p->t + 1);
    const struct math_node *ends[2] = {NULL, NULL};
    if (p->depth >= MATH_DEPTH_MAX)
        return parse_fail(p, "nested too deeply");
    p->t++;
    p->depth++;
    p->names_i += i;
    const struct math_node *x = NULL;
    if (op == 'L') {
        x = parse_limes(p);
    } else if (op == 'I') {
        x = parse_integral(p);
    } else if ((op == 'S' || op == 'P') && parse_ends(p, true, ends) && ends[0] != NULL &&
               ends[1] != NULL && ends[0]->kind == MATH_REL && ends[0]->n == 2 &&
               ends[0]->text[0] == '=' && ends[0]->kids[0]->kind == MATH_SYM) {
        const struct math_node *kids[] = {parse_product(p, false), ends[0]->kids[1], ends[1]};
        x = big_node(p, op, ends[0]->kids[0]->text, kids, 3);
    } else {
        x = parse_fail(p, "a sum in a form that is not known");
    }
    p->names_i -= i;
    p->depth--;
    return x;
}

/* ---- environments ---- */

struct rows {
    const struct math_node *cells[MATH_ITEMS_MAX];
    size_t n, columns; /* columns: 0 when rows differ in length */
};

/* Up to \end. Cells may be empty in none but the last row, which then is no row. */
static bool parse_rows(
    struct parser *p, const struct math_node *(*cell)(struct parser *p), struct rows *ret)
{
    size_t in_row = 0;
    bool even = true;
    ret->n = ret->columns = 0;
    while (p->t->kind != TOK_END_ENV) {
        if (ret->n == MATH_ITEMS_MAX) {
            (void)parse_fail(p, "a matrix of more than 64 cells");
            return false;
        }
        ret->cells[ret->n] = cell(p);
        if (ret->cells[ret->n] == NULL)
            return false;
        ret->n++;
        in_row++;
        if (parse_take(p, TOK_AMP))
            continue;
        if (p->t->kind != TOK_ROW && p->t->kind != TOK_END_ENV) {
            (void)parse_fail(p, "an environment that is not closed");
            return false;
        }
        even = even && (ret->columns == 0 || in_row == ret->columns);
        ret->columns = in_row;
        in_row = 0;
        (void)parse_take(p, TOK_ROW);
    }
    p->t++;
    ret->columns = even ? ret->columns : 0;
    if (ret->n == 0 || in_row != 0)
        (void)parse_fail(p, "an environment that is not closed");
    return ret->n > 0 && in_row == 0;
}

/* "if x > 0", ", x > 0", "otherwise": the words go, but for the last one. */
static const struct math_node *parse_condition(struct parser *p)
{
    static const char *const lead[] = {"if", "for", "when", "where"};
    while (p->t->kind == TOK_COMMA)
        p->t++;
    for (size_t i = 0; i < ARRAY_LEN(lead); i++) {
        if ((p->t->kind == TOK_WORD || p->t->kind == TOK_TEXT) &&
            strcmp(p->t->text, lead[i]) == 0) {
            p->t++;
            i = 0;
        }
    }
    if (p->t->kind == TOK_WORD || p->t->kind == TOK_TEXT) {
        bool rest = strcmp(p->t->text, "otherwise") == 0 || strcmp(p->t->text, "else") == 0;
        p->t++;
        return rest ? math_leaf(p->w, MATH_TEXT, "otherwise", 9) : parse_fail(p, "words");
    }
    const struct math_node *x = parse_item(p);
    while (p->t->kind == TOK_COMMA &&
           (p->t[1].kind == TOK_AMP || p->t[1].kind == TOK_ROW || p->t[1].kind == TOK_END_ENV))
        p->t++;
    return x;
}

/* Values and conditions; or, in one column, relations that all hold. */
static const struct math_node *parse_cases(struct parser *p)
{
    struct rows rows;
    if (!parse_rows(p, parse_condition, &rows))
        return NULL;
    if (rows.columns == 1)
        return rows.n == 1 ? rows.cells[0] : math_node(p->w, MATH_LIST, rows.cells, rows.n);
    return rows.columns == 2 ? math_node(p->w, MATH_CASES, rows.cells, rows.n)
                             : parse_fail(p, "cases of a form that is not known");
}

/* "x &= 1 \\ y &= 2": rows of one list, without their marks of alignment. */
static const struct math_node *parse_aligned(struct parser *p)
{
    const struct math_node *items[MATH_ITEMS_MAX];
    size_t n = 0;
    while (p->t->kind != TOK_END_ENV) {
        if (n == MATH_ITEMS_MAX)
            return parse_fail(p, "more than 64 members");
        items[n] = parse_item(p);
        if (items[n] == NULL)
            return NULL;
        n++;
        while (p->t->kind == TOK_ROW || p->t->kind == TOK_COMMA || p->t->kind == TOK_AND)
            p->t++;
    }
    p->t++;
    if (n == 0)
        return parse_fail(p, "an environment that is empty");
    return n == 1 ? items[0] : math_node(p->w, MATH_LIST, items, n);
}

static const struct math_node *parse_matrix(struct parser *p)
{
    struct rows rows;
    if (!parse_rows(p, parse_sum, &rows))
        return NULL;
    if (rows.columns == 0)
        return parse_fail(p, "rows of different lengths");
    struct math_node *x = math_node(p->w, MATH_MATRIX, rows.cells, rows.n);
    if (x != NULL)
        x->op = (int)rows.columns;
    return x;
}

static bool is_alignment(const char *name)
{
    static const char *const names[] = {
        "aligned", "align", "align*", "gathered", "gather", "gather*", "split", "alignedat"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

const struct math_node *parse_environment(struct parser *p)
{
    const char *name = p->t->text;
    const struct math_node *x;
    if (p->depth >= MATH_DEPTH_MAX)
        return parse_fail(p, "nested too deeply");
    p->t++;
    p->depth++;
    p->brackets++;
    if (strcmp(name, "cases") == 0)
        x = parse_cases(p);
    else if (is_alignment(name))
        x = parse_aligned(p);
    else if (strstr(name, "matrix") != NULL || strcmp(name, "array") == 0)
        x = parse_matrix(p);
    else
        x = parse_fail(p, "an environment that is not known");
    p->brackets--;
    p->depth--;
    return x != NULL && strcmp(name, "vmatrix") == 0 ? matrix_determinant(p->w, x) : x;
}

/* \det of a matrix that is written out, or of a name. */
const struct math_node *parse_determinant(struct parser *p)
{
    p->t++;
    const struct math_node *x = parse_atom(p);
    if (x != NULL && x->kind == MATH_MATRIX)
        return matrix_determinant(p->w, x);
    struct math_node *y = math_node1(p->w, MATH_CALL, x);
    if (y != NULL)
        y->text = "det";
    return y;
}
