/* parse_whole.c: a whole answer: a time, words, a row of boxes, a list with its declarations, a
 * value with its name. */
#include <ctype.h>
#include <stdio.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/math/parse.h"
#include "reward-server/scoring/math/phrase.h"

/* "3:05 p.m.", "9 am": the text without blanks, \text and braces. */
static const struct math_node *parse_time(struct math_work *w, const char *s, size_t n)
{
    char flat[32];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\') {
            while (i + 1 < n && isalpha((unsigned char)s[i + 1]))
                i++;
        } else if (strchr(" {}.$~,\n", s[i]) == NULL) {
            if (len + 1 >= sizeof(flat))
                return NULL;
            flat[len++] = (char)tolower((unsigned char)s[i]);
        }
    }
    flat[len] = '\0';
    unsigned hour, minute = 0;
    char half;
    int end = 0;
    if (!(sscanf(flat, "%2u:%2u%cm%n", &hour, &minute, &half, &end) == 3 && end > 0) &&
        !(sscanf(flat, "%2u%cm%n", &hour, &half, &end) == 2 && end > 0))
        return NULL;
    if (flat[end] != '\0' || hour < 1 || hour > 12 || minute > 59 || (half != 'a' && half != 'p'))
        return NULL;
    struct math_node *x = math_node(w, MATH_TIME, NULL, 0);
    if (x != NULL) {
        x->places = (long)((hour % 12 + (half == 'p' ? 12 : 0)) * 60 + minute);
        x->op = half == 'p' ? 2 : 1;
    }
    return x;
}

/* A list with the declarations that a clause behind it makes. */
static const struct math_node *declare(
    struct math_work *w, const struct math_node *list, const struct phrase_clause *clause)
{
    const struct math_node *items[MATH_ITEMS_MAX];
    size_t n = 0;
    if (list->n + clause->n > MATH_ITEMS_MAX)
        return NULL;
    for (; n < list->n; n++)
        items[n] = list->kids[n];
    for (size_t i = 0; i < clause->n; i++) {
        struct math_node *d = math_leaf(w, MATH_DECL, clause->names[i], strlen(clause->names[i]));
        if (d == NULL)
            return NULL;
        d->op = clause->domain;
        items[n++] = d;
    }
    struct math_node *x = math_node(w, MATH_LIST, items, n);
    if (x != NULL)
        x->op = list->op;
    return x;
}

/* A row of boxes, "\boxed{1} and \boxed{2}": what they hold, as one list; what stands between them
 * was looked at when they were found. NULL when the text is no such row. */
static const struct math_node *parse_boxes(struct math_work *w, struct span text)
{
    static const char mark[] = "\\boxed{";
    const struct math_node *items[MATH_ITEMS_MAX];
    size_t n = 0, begin, len;
    while (n < MATH_ITEMS_MAX && boxed_last(text.at, text.n, &begin, &len) &&
           begin >= sizeof(mark) - 1) {
        const char *why;
        const struct math_node *x = math_parse(w, text.at + begin, len, &why);
        if (x == NULL)
            return NULL;
        items[n++] = x;
        text.n = begin - (sizeof(mark) - 1);
    }
    if (n < 2 || text.n != 0)
        return NULL;
    for (size_t i = 0; i < n / 2; i++) {
        const struct math_node *t = items[i];
        items[i] = items[n - 1 - i];
        items[n - 1 - i] = t;
    }
    return math_node(w, MATH_LIST, items, n);
}

/* "all x != 3" is x != 3. */
static struct span without_all(struct span s)
{
    static const char *const leads[] = {"all ", "\\text{all }", "\\text{all} "};
    for (size_t i = 0; i < ARRAY_LEN(leads); i++) {
        size_t n = strlen(leads[i]);
        if (s.n > n + 1 && memcmp(s.at, leads[i], n) == 0) {
            const char *name = s.at + n + (s.at[n] == '$' || s.at[n] == ' ');
            bool letter = name + 1 < s.at + s.n && isalpha((unsigned char)name[0]) &&
                          !isalpha((unsigned char)name[1]);
            return letter ? (struct span){s.at + n, s.n - n} : s;
        }
    }
    return s;
}

static const struct math_node *parse_whole(
    struct math_work *w, const char *text, size_t n, const char **ret_why)
{
    struct math_tokens tokens;
    const struct math_node *x = parse_time(w, text, n);
    if (x == NULL)
        x = phrase_parse(w, (struct span){text, n});
    if (x == NULL && n > 16 && memcmp(text, "\\boxed{", 7) == 0)
        x = parse_boxes(w, (struct span){text, n});
    if (x != NULL)
        return x;
    *ret_why = NULL;
    struct phrase_clause clause;
    struct span head = phrase_take_clause(without_all((struct span){text, n}), &clause);
    if (math_lex(w, head.at, head.n, &tokens, ret_why)) {
        struct parser p = {.w = w, .t = tokens.at};
        x = parse_list(&p, clause.n > 0);
        if (x != NULL && p.t->kind != TOK_END)
            x = parse_fail(&p, "something left over");
        *ret_why = p.why;
    }
    x = x != NULL && clause.n > 0 ? declare(w, x, &clause) : x;
    if (x != NULL && x->kind == MATH_DECL) /* "x in R" alone is its set */
        x = x->op == 'R' ? math_node(w, MATH_REALS, NULL, 0) : x;
    if (x == NULL && *ret_why == NULL)
        *ret_why = w->why != NULL ? w->why : "not read";
    return x;
}

/* Words, as of a sentence, but for those in commands and in braces; \text with something after it.
 */
static bool has_plain_words(const char *s, size_t n)
{
    static const char mark[] = "\\text{";
    size_t depth = 0, run = 0;
    for (size_t i = 0; i < n; i++) {
        bool command = s[i] == '\\', words = false;
        if (command && depth == 0 && n - i > sizeof(mark) - 1 &&
            memcmp(s + i, mark, sizeof(mark) - 1) == 0) {
            const char *end = memchr(s + i, '}', n - i);
            words = end != NULL && end + 1 < s + n && strchr("([_", end[1]) == NULL;
        }
        while (command && i + 1 < n && isalpha((unsigned char)s[i + 1]))
            i++;
        depth += s[i] == '{';
        depth -= s[i] == '}' && depth > 0;
        run = depth == 0 && !command && islower((unsigned char)s[i]) ? run + 1 : 0;
        if (words || run > 1 || (s[i] == ',' && i + 1 < n && s[i + 1] == ' '))
            return true;
    }
    return false;
}

/* "P(A|B) = 1/3", "E[X] = 7": the last equals sign outside braces, when what stands before it looks
 * like the name of something; NULL for none. */
static const char *label_end(const char *text, size_t n)
{
    enum { LABEL_BYTES_MAX = 64 };
    static const char *const none[] = {
        "=", "<", ">", "\n", ". ", "?", "\\ne", "\\leq", "\\le ", "\\ge", "\\approx", "not"};
    const char *end = NULL;
    size_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        depth += text[i] == '{';
        depth -= text[i] == '}' && depth > 0;
        if (text[i] == '=' && depth == 0)
            end = text + i;
    }
    size_t len = end != NULL ? (size_t)(end - text) : 0;
    for (size_t i = 0; i < ARRAY_LEN(none) && end != NULL; i++) {
        if (memmem(text, len, none[i], strlen(none[i])) != NULL)
            end = NULL;
    }
    return len > 0 && len <= LABEL_BYTES_MAX && !isdigit((unsigned char)text[0]) &&
                   !has_plain_words(text, len)
               ? end
               : NULL;
}

/* A value whose name is in a form that is not known: the name is text then. */
static const struct math_node *parse_labelled(struct math_work *w, const char *text, size_t n)
{
    const char *why, *end = label_end(text, n);
    if (end == NULL || w->why != NULL || parse_whole(w, text, (size_t)(end - text), &why) != NULL)
        return NULL;
    const struct math_node *value = parse_whole(w, end + 1, n - (size_t)(end + 1 - text), &why);
    if (value == NULL || !math_is_value(w, value->kind == MATH_UNIT ? value->kids[0] : value))
        return NULL;
    CLEANUP_BUF struct buf name = {0};
    for (const char *c = text; c < end; c++) {
        if (strchr(" $", *c) == NULL)
            buf_append(&name, c, 1);
    }
    struct math_node *x =
        math_node2(w, MATH_REL, math_leaf(w, MATH_TEXT, (const char *)name.data, name.len), value);
    if (x != NULL)
        x->text = "=";
    return x;
}

const struct math_node *math_parse(
    struct math_work *w, const char *text, size_t n, const char **ret_why)
{
    const struct math_node *x = parse_whole(w, text, n, ret_why);
    return x != NULL ? x : parse_labelled(w, text, n);
}
