/* parse_name.c: numbers, names, unknown functions and derivatives. */
#include <ctype.h>

#include "reward-server/scoring/math/parse.h"

static const struct math_node *power_of_ten(struct parser *p, long exponent)
{
    struct math_node *x = math_number(p->w, 1);
    if (x != NULL)
        x->places = -exponent;
    return x;
}

/* 0.1(6): (16 - 1) / (10 x 9). */
static const struct math_node *repeating(
    struct parser *p, const struct math_node *head, const struct math_token *t)
{
    size_t n = strlen(t->text), r = strlen(t->repeat);
    char *digits = arena_alloc(p->w->arena, n + r + 1), *nines = arena_alloc(p->w->arena, r + 1);
    if (digits == NULL || nines == NULL)
        return NULL;
    memcpy(digits, t->text, n);
    memcpy(digits + n, t->repeat, r);
    memset(nines, '9', r);
    const struct math_node *whole =
        n > 0 ? math_leaf(p->w, MATH_NUM, t->text, n) : math_number(p->w, 0);
    const struct math_node *top = math_node2(p->w, MATH_ADD,
        math_leaf(p->w, MATH_NUM, digits, n + r), math_node1(p->w, MATH_NEG, whole));
    const struct math_node *kids[] = {top, power_of_ten(p, -t->places),
        math_node1(p->w, MATH_INV, math_leaf(p->w, MATH_NUM, nines, r))};
    return head != NULL ? math_node(p->w, MATH_MUL, kids, 3) : NULL;
}

const struct math_node *parse_number(struct parser *p)
{
    const struct math_token *t = p->t++;
    struct math_node *x = math_leaf(p->w, MATH_NUM, t->text, strlen(t->text));
    if (x == NULL)
        return NULL;
    x->places = t->places;
    x->op = t->op;
    return t->repeat != NULL ? repeating(p, x, t) : x;
}

/* The raw text of what stands below a name: letters and digits only. */
static bool take_index(struct parser *p, struct buf *out)
{
    if (p->t->kind == TOK_NUM || p->t->kind == TOK_SYM) {
        buf_printf(out, "_%s", p->t->text);
        p->t++;
        return true;
    }
    if (!parse_take(p, TOK_LBRACE))
        return false;
    buf_puts(out, "_");
    for (unsigned n = 0; p->t->kind != TOK_RBRACE; p->t++) {
        static const char marks[] = "+-";
        if (p->t->kind == TOK_PLUS || p->t->kind == TOK_MINUS)
            buf_append(out, &marks[p->t->kind == TOK_MINUS], 1);
        else if (p->t->kind == TOK_NUM || p->t->kind == TOK_SYM || p->t->kind == TOK_WORD ||
                 p->t->kind == TOK_TEXT)
            buf_puts(out, p->t->text);
        else if (p->t->kind == TOK_COMMA)
            buf_puts(out, ",");
        else
            return false;
        if (++n > 16)
            return false;
    }
    p->t++;
    return true;
}

/* Letters that stand for functions when a bracket follows directly. */
static bool names_function(const struct math_token *t)
{
    return t[0].text[1] == '\0' && t[1].kind == TOK_LPAR && !t[1].space &&
           (isupper((unsigned char)t[0].text[0]) || strchr("fgh", t[0].text[0]) != NULL);
}

static const struct math_node *parse_call(struct parser *p, const char *name)
{
    p->t++; /* the bracket */
    p->brackets++;
    const struct math_node *list = parse_list(p, true);
    p->brackets--;
    if (list == NULL || !parse_take(p, TOK_RPAR))
        return parse_fail(p, "a bracket that is not closed");
    struct math_node *x = math_node(p->w, MATH_CALL, list->kids, list->n);
    if (x != NULL)
        x->text = name;
    return x;
}

/* f', y'', A^{\prime}: how many. */
static unsigned take_primes(struct parser *p)
{
    unsigned n = 0;
    for (;;) {
        const struct math_token *t = p->t;
        bool raised = t->kind == TOK_CARET, brace = raised && t[1].kind == TOK_LBRACE;
        if (t[raised + brace].kind != TOK_PRIME)
            return n;
        for (t += raised + brace; t->kind == TOK_PRIME; t++)
            n++;
        if (brace && t->kind != TOK_RBRACE)
            return n;
        p->t = t + brace;
    }
}

static const struct math_node *parse_primed(
    struct parser *p, const struct math_token *name, unsigned primes)
{
    CLEANUP_BUF struct buf text = {0};
    buf_puts(&text, name->text);
    while (primes-- > 0)
        buf_puts(&text, "'");
    const struct math_node *x = parse_leaf(p, MATH_SYM, (const char *)text.data);
    if (x == NULL || p->t->kind != TOK_LPAR || name->text[1] != '\0')
        return x;
    return parse_call(p, x->text);
}

/* The inverse function: f^{-1}(x), where f is at the cursor. */
static bool at_inverse(const struct parser *p)
{
    const struct math_token *t = p->t;
    return t[0].kind == TOK_SYM && strlen(t[0].text) == 1 && strchr("fgh", t[0].text[0]) != NULL &&
           t[1].kind == TOK_CARET && t[2].kind == TOK_LBRACE && t[3].kind == TOK_MINUS &&
           t[4].kind == TOK_NUM && strcmp(t[4].text, "1") == 0 && t[5].kind == TOK_RBRACE &&
           t[6].kind == TOK_LPAR;
}

const struct math_node *parse_name(struct parser *p)
{
    if (at_inverse(p)) {
        static const char *const names[] = {"f^-1", "g^-1", "h^-1"};
        const char *name = names[p->t->text[0] - 'f'];
        p->t += 6;
        return parse_call(p, name);
    }
    const struct math_token *t = p->t++;
    unsigned primes = take_primes(p);
    if (primes > 0)
        return parse_primed(p, t, primes);
    if (names_function(t))
        return parse_call(p, t->text);
    if (t->kind == TOK_SYM && strcmp(t->text, "e") == 0 && p->t->kind != TOK_UNDER)
        return parse_leaf(p, MATH_E, "");
    if (t->kind == TOK_SYM && strcmp(t->text, "i") == 0 && p->t->kind != TOK_UNDER &&
        p->names_i == 0)
        return parse_leaf(p, MATH_I, "");
    if (!parse_take(p, TOK_UNDER))
        return parse_leaf(p, MATH_SYM, t->text);
    CLEANUP_BUF struct buf name = {0};
    buf_puts(&name, t->text);
    if (!take_index(p, &name))
        return parse_fail(p, "an index that is not known");
    return parse_leaf(p, MATH_SYM, (const char *)name.data);
}

/* "y(x) = ...": a letter that is no function elsewhere, defined over names. */
bool parse_at_definition(const struct parser *p)
{
    const struct math_token *t = p->t;
    if (t[0].kind != TOK_SYM || strlen(t[0].text) != 1 || t[1].kind != TOK_LPAR || t[1].space)
        return false;
    bool number = t[2].kind == TOK_NUM && t[2].places == 0 && strchr("pquv", t[0].text[0]) != NULL;
    t += 2;
    while (t[0].kind == TOK_SYM && t[1].kind == TOK_COMMA)
        t += 2;
    return (t[0].kind == TOK_SYM || number) && t[1].kind == TOK_RPAR && t[2].kind == TOK_REL &&
           t[2].op == '=' && strcmp(t[0].text, p->t->text) != 0;
}

const struct math_node *parse_definition(struct parser *p)
{
    const char *name = p->t->text;
    p->t++;
    return parse_call(p, name);
}

/* ---- derivatives ---- */

/* d, d^2, \partial^{2}: the token after it, NULL for something else. */
static const struct math_token *after_d(const struct math_token *t)
{
    if (t->kind != TOK_SYM || (strcmp(t->text, "d") != 0 && strcmp(t->text, "partial") != 0))
        return NULL;
    t++;
    if (t->kind != TOK_CARET)
        return t;
    bool brace = t[1].kind == TOK_LBRACE;
    const struct math_token *number = t + 1 + brace;
    if (number->kind != TOK_NUM || (brace && number[1].kind != TOK_RBRACE))
        return NULL;
    return number + 1 + brace;
}

/* The brace that closes \frac{d y}{d x}, NULL when the fraction is none of these. */
static const struct math_token *derivative_end(const struct math_token *t)
{
    if (t[0].kind != TOK_FRAC || t[1].kind != TOK_LBRACE || (t = after_d(t + 2)) == NULL)
        return NULL;
    t += t->kind == TOK_SYM;
    if (t[0].kind != TOK_RBRACE || t[1].kind != TOK_LBRACE || (t = after_d(t + 2)) == NULL ||
        t->kind != TOK_SYM)
        return NULL;
    t++;
    if (t->kind == TOK_CARET)
        t += t[1].kind == TOK_LBRACE ? 4 : 2;
    return t->kind == TOK_RBRACE ? t : NULL;
}

bool parse_at_derivative(const struct parser *p)
{
    return derivative_end(p->t) != NULL;
}

/* dy/dx is a name; d/dx a function of what follows that nothing is known of. */
const struct math_node *parse_derivative(struct parser *p)
{
    const struct math_token *end = derivative_end(p->t);
    CLEANUP_BUF struct buf name = {0};
    for (const struct math_token *t = p->t + 2; t < end; t++)
        buf_puts(&name, t->kind == TOK_RBRACE && t[1].kind == TOK_LBRACE ? "/" : t->text);
    bool operates = after_d(p->t + 2)->kind == TOK_RBRACE;
    p->t = end + 1;
    if (!operates)
        return parse_leaf(p, MATH_SYM, (const char *)name.data);
    const struct math_node *body = parse_product(p, false);
    struct math_node *x = math_node1(p->w, MATH_CALL, body);
    const struct math_node *text = parse_leaf(p, MATH_SYM, (const char *)name.data);
    if (x == NULL || text == NULL)
        return NULL;
    x->text = text->text;
    return x;
}
