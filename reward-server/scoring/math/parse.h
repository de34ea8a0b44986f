/* parse.h: the text of an answer into a tree. Recursive descent over the tokens; an answer is a
 * list of items, an item a relation, a union of sets, a ratio or a value with a unit.
 */
#ifndef COHORT_SCORING_MATH_PARSE_H
#define COHORT_SCORING_MATH_PARSE_H

#include "reward-server/scoring/math/lex.h"

/* NULL with *ret_why (a constant) when the text is not mathematics that is known. */
const struct math_node *math_parse(
    struct math_work *w, const char *text, size_t n, const char **ret_why);

/* ---- for the parser's own files ---- */

struct parser {
    struct math_work *w;
    const struct math_token *t; /* the next token */
    unsigned depth;             /* recursion */
    unsigned bars;              /* open absolute values: a bar may close one */
    unsigned brackets;          /* open brackets: no unit within */
    unsigned sets;              /* those of sets: units within */
    unsigned names_i;           /* open sums over i */
    unsigned integrals;         /* open integrals: a d before a name closes one */
    const char *why;
};

struct math_node *parse_fail(struct parser *p, const char *why); /* NULL */
bool parse_take(struct parser *p, enum math_tok kind);
const struct math_node *parse_sum(struct parser *p);
const struct math_node *parse_list(struct parser *p, bool keep_one);
const struct math_node *parse_item(struct parser *p);
const struct math_node *parse_atom(struct parser *p);
const struct math_node *parse_leaf(struct parser *p, enum math_kind kind, const char *text);
const struct math_node *parse_function(struct parser *p);
const struct math_node *parse_product(struct parser *p, bool argument);
bool parse_starts_atom(const struct parser *p);
/* {...}, or one token, of a number without braces one digit: *rest is what is left of that. */
const struct math_node *parse_argument(struct parser *p, const char **rest);
const struct math_node *parse_func(
    struct parser *p, enum math_func f, const struct math_node *const *kids, size_t n);

/* parse_name.c */
const struct math_node *parse_number(struct parser *p);
const struct math_node *parse_name(struct parser *p);
bool parse_at_definition(const struct parser *p); /* "y(x) =" */
const struct math_node *parse_definition(struct parser *p);
bool parse_at_derivative(const struct parser *p);
const struct math_node *parse_derivative(struct parser *p);

/* parse_bracket.c: each at its opening token */
const struct math_node *parse_bracket(struct parser *p);
const struct math_node *parse_braces(struct parser *p);
const struct math_node *parse_angle(struct parser *p);
const struct math_node *parse_enclosed(struct parser *p, enum math_tok close); /* one value */

/* parse_big.c */
bool parse_at_differential(const struct parser *p);
const struct math_node *parse_big(struct parser *p);
const struct math_node *parse_environment(struct parser *p);
const struct math_node *parse_determinant(struct parser *p);

#endif
