/* parse_bracket.c: values, sets, tuples and intervals in brackets and braces. */
#include "reward-server/scoring/math/parse.h"

static const struct math_node *close_bracket(
    struct parser *p, const struct math_node *list, bool open_square, bool close_square)
{
    if (list->n == 1 && !open_square && !close_square)
        return list->kids[0]; /* brackets around a value */
    if (list->n == 1)
        return open_square == close_square ? list->kids[0]
                                           : parse_fail(p, "an interval with one end");
    if (list->n == 2 && (open_square || close_square)) {
        struct math_node *x = math_node(p->w, MATH_INTERVAL, list->kids, 2);
        if (x != NULL)
            x->op = (open_square ? 1 : 0) | (close_square ? 2 : 0);
        return x;
    }
    return math_node(p->w, MATH_TUPLE, list->kids, list->n);
}

/* ( ) and [ ] in any mix; ]a, b[ has its ends turned. */
const struct math_node *parse_bracket(struct parser *p)
{
    bool turned = p->t->kind == TOK_RBRACK, square = p->t->kind == TOK_LBRACK;
    p->t++;
    p->brackets++;
    unsigned bars = p->bars;
    p->bars = 0;
    const struct math_node *list = parse_list(p, true);
    p->bars = bars;
    p->brackets--;
    if (list == NULL)
        return NULL;
    bool round = p->t->kind == TOK_RPAR;
    if (turned && p->t->kind == TOK_LBRACK && list->n == 2) {
        p->t++;
        struct math_node *x = math_node(p->w, MATH_INTERVAL, list->kids, 2);
        return x;
    }
    if (!round && p->t->kind != TOK_RBRACK)
        return parse_fail(p, "a bracket that is not closed");
    p->t++;
    return close_bracket(p, list, square, !round);
}

const struct math_node *parse_enclosed(struct parser *p, enum math_tok close)
{
    p->t++;
    p->brackets++;
    unsigned bars = p->bars;
    p->bars = close == TOK_BAR ? 1 : 0;
    const struct math_node *x = parse_sum(p);
    p->bars = bars;
    p->brackets--;
    if (x != NULL && !parse_take(p, close))
        return parse_fail(p, "a bracket that is not closed");
    return x;
}

/* {a \over b}, {n \choose k}: a list of one. */
static const struct math_node *parse_over(struct parser *p, const struct math_node *top)
{
    bool binomial = p->t->op == 1;
    p->t++;
    const struct math_node *kids[] = {top, parse_sum(p)};
    const struct math_node *x =
        binomial ? parse_func(p, FUNC_BINOM, kids, 2)
                 : math_node2(p->w, MATH_MUL, top, math_node1(p->w, MATH_INV, kids[1]));
    return math_node(p->w, MATH_LIST, &x, 1);
}

static bool is_names(const struct math_node *x)
{
    if (x->kind == MATH_SYM || (x->kind == MATH_DECL && x->op == 'R'))
        return true;
    bool all = x->kind == MATH_TUPLE;
    for (size_t i = 0; all && i < x->n; i++)
        all = x->kids[i]->kind == MATH_SYM;
    return all;
}

/* \{x | condition\} is the condition; \{2k | k in Z\} a value with its declaration; else the
 * two belong together as they stand. */
static const struct math_node *built_set(
    struct parser *p, const struct math_node *head, const struct math_node *condition)
{
    const struct math_node *kids[] = {head, condition};
    if (is_names(head))
        return condition;
    if (condition->kind == MATH_DECL && head->kind != MATH_DECL)
        return math_node(p->w, MATH_LIST, kids, 2);
    struct math_node *x = math_node(p->w, MATH_CALL, kids, 2);
    if (x != NULL)
        x->text = "built set";
    return x;
}

/* {a, b} in plain text is a set; in LaTeX braces only group. \{x | condition\} is the condition. */
const struct math_node *parse_braces(struct parser *p)
{
    enum math_tok close = p->t->kind == TOK_LSET ? TOK_RSET : TOK_RBRACE;
    p->t++;
    if (close == TOK_RSET && parse_take(p, close))
        return math_node(p->w, MATH_SET, NULL, 0);
    p->brackets++;
    unsigned bars = p->bars;
    p->bars = close == TOK_RSET ? 1 : 0;
    p->sets++;
    const struct math_node *list = parse_list(p, true);
    p->sets--;
    if (list != NULL && list->n == 1 && p->t->kind == TOK_OVER)
        list = parse_over(p, list->kids[0]);
    bool builder = list != NULL && close == TOK_RSET && list->n == 1 &&
                   (p->t->kind == TOK_BAR || p->t->kind == TOK_COLON);
    const struct math_node *condition = NULL;
    if (builder) {
        p->t++;
        condition = parse_list(p, false);
    }
    p->bars = bars;
    p->brackets--;
    if (list == NULL || (builder && condition == NULL))
        return NULL;
    if (!parse_take(p, close))
        return parse_fail(p, "a brace that is not closed");
    if (builder)
        return built_set(p, list->kids[0], condition);
    if (close == TOK_RBRACE && list->n == 1)
        return list->kids[0];
    return math_node(p->w, MATH_SET, list->kids, list->n);
}

const struct math_node *parse_angle(struct parser *p)
{
    p->t++;
    p->brackets++;
    const struct math_node *list = parse_list(p, true);
    p->brackets--;
    if (list == NULL || !parse_take(p, TOK_RANGLE))
        return parse_fail(p, "a bracket that is not closed");
    return math_node(p->w, MATH_TUPLE, list->kids, list->n);
}
