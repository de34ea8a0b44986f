/* phrase.c: see phrase.h. */
#include "reward-server/scoring/math/phrase.h"

#include <ctype.h>
#include <stdio.h>

/* ---- words ---- */

enum { WORDS_BYTES_MAX = 160 };

/* The text in lower case with one blank between words, without commands, braces, dollars and
 * punctuation; false when it is too long or holds something else. */
static bool plain_words(struct span text, char ret[WORDS_BYTES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '\\') {
            while (i + 1 < text.n && isalpha((unsigned char)text.at[i + 1]))
                i++;
            c = ' ';
        }
        bool gap = strchr(" {}$~,.-()\n\t:;!", c) != NULL;
        if (!gap && !isalpha((unsigned char)c))
            return false;
        if (gap && (n == 0 || ret[n - 1] == ' '))
            continue;
        if (n + 2 >= WORDS_BYTES_MAX)
            return false;
        ret[n++] = gap ? ' ' : (char)tolower((unsigned char)c);
    }
    n -= n > 0 && ret[n - 1] == ' ';
    ret[n] = '\0';
    return n > 0;
}

static const struct {
    const char *word;
    long value;
} numbers[] = {{"zero", 0}, {"one", 1}, {"two", 2}, {"three", 3}, {"four", 4}, {"five", 5},
    {"six", 6}, {"seven", 7}, {"eight", 8}, {"nine", 9}, {"ten", 10}, {"eleven", 11},
    {"twelve", 12}, {"thirteen", 13}, {"fourteen", 14}, {"fifteen", 15}, {"sixteen", 16},
    {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19}, {"twenty", 20}, {"thirty", 30},
    {"forty", 40}, {"fifty", 50}, {"sixty", 60}, {"seventy", 70}, {"eighty", 80}, {"ninety", 90}};

/* The value of a word, -1 for none. */
static long number_word(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (strlen(numbers[i].word) == n && memcmp(numbers[i].word, s, n) == 0)
            return numbers[i].value;
    }
    return -1;
}

/* "two hundred and five thousand three": words of falling size; -1 when they are no number. */
static long number_words(const char *s)
{
    long total = 0, part = 0, last = 1000;
    bool any = false;
    for (size_t n; *s != '\0'; s += n + (s[n] == ' ')) {
        n = strcspn(s, " ");
        long v = number_word(s, n);
        if (v >= 0) {
            long size = v >= 20 ? 20 : 1;
            if (size >= last || (last == 20 && v > 9) || (v == 0 && any))
                return -1;
            part += v;
            last = v >= 20 ? 20 : 1;
        } else if (n == 7 && memcmp(s, "hundred", n) == 0 && part > 0 && part < 10) {
            part *= 100;
            last = 100;
        } else if (n == 8 && memcmp(s, "thousand", n) == 0 && part > 0 && total == 0) {
            total = part * 1000;
            part = 0;
            last = 1000;
        } else if (n != 3 || memcmp(s, "and", n) != 0 || last < 100) {
            return -1;
        }
        any = true;
    }
    return any ? total + part : -1;
}

static bool is_one_of(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s, list[i]) == 0)
            return true;
    }
    return false;
}

const struct math_node *phrase_parse(struct math_work *w, struct span text)
{
    static const char *const none[] = {"no solution", "no solutions", "no real solution",
        "no real solutions", "there is no solution", "there are no solutions",
        "the equation has no solution", "there are no real solutions", "empty set", "the empty set",
        "no such numbers exist", "no integer solutions"};
    static const char *const line[] = {"all real numbers", "all reals", "all real values",
        "any real number", "every real number", "all real numbers x", "the set of all real numbers",
        "the set of real numbers", "set of all real numbers", "the real numbers", "real numbers",
        "x is any real number", "all real x", "any real x", "all real values of x"};
    char words[WORDS_BYTES_MAX];
    if (text.n < 3 || text.n >= WORDS_BYTES_MAX || !plain_words(text, words) ||
        !math_step(w, text.n))
        return NULL;
    if (is_one_of(words, none, ARRAY_LEN(none)))
        return math_node(w, MATH_SET, NULL, 0);
    if (is_one_of(words, line, ARRAY_LEN(line)))
        return math_node(w, MATH_REALS, NULL, 0);
    long value = number_words(words);
    return value >= 0 ? math_number(w, value) : NULL;
}

/* ---- numbers of other countries ---- */

/* Groups of digits and what stands between them. */
struct groups {
    size_t size[8], n;
    char mark[8]; /* before group i > 0 */
};

static bool take_groups(const char *s, size_t n, struct groups *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < n;) {
        size_t from = i;
        if (ret->n == ARRAY_LEN(ret->size))
            return false;
        if (ret->n > 0)
            ret->mark[ret->n] = s[i++];
        for (from = i; i < n && isdigit((unsigned char)s[i]); i++)
            continue;
        ret->size[ret->n++] = i - from;
        if (i == from || (i < n && strchr(".,' ", s[i]) == NULL))
            return false;
    }
    return ret->n > 1;
}

/* Whether groups 1 to last - 1 have one mark and size, and the first is no longer. */
static bool is_grouped(const struct groups *g, size_t last, char mark, size_t size)
{
    for (size_t i = 1; i < last; i++) {
        if (g->mark[i] != mark || g->size[i] != size)
            return false;
    }
    return g->size[0] <= size;
}

/* Which group begins the fraction: g->n for none, 0 when this is no number of another country. */
static size_t fraction_group(const struct groups *g, const char *s)
{
    size_t last = g->n - 1;
    char end = g->mark[last];
    if (end == ',' && g->n == 2)
        return (g->size[1] >= 2 && g->size[1] != 3) || s[0] == '0' ? 1 : 0;
    if (end == ',' && (g->mark[1] == '.' || g->mark[1] == ' ') &&
        is_grouped(g, last, g->mark[1], 3))
        return last;
    if (end == '.' && g->n > 2 && is_grouped(g, g->n, '.', 3))
        return g->n;
    if (g->mark[1] == '\'' && end == '.' && is_grouped(g, last, '\'', 3))
        return last;
    if (g->mark[1] == '\'' && is_grouped(g, g->n, '\'', 3))
        return g->n;
    bool lakhs = end == ',' && g->size[last] == 3 && is_grouped(g, last, ',', 2);
    return lakhs ? g->n : 0;
}

const struct math_node *phrase_locale_number(struct math_work *w, struct span text)
{
    enum { DIGITS_MAX = 40 };
    struct groups g;
    char digits[DIGITS_MAX];
    size_t n = 0, places = 0;
    bool negative = text.n > 0 && text.at[0] == '-';
    const char *s = text.at + negative;
    size_t len = text.n - negative;
    if (len >= DIGITS_MAX || !take_groups(s, len, &g))
        return NULL;
    size_t fraction = fraction_group(&g, s);
    if (fraction == 0)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (isdigit((unsigned char)s[i]))
            digits[n++] = s[i];
    }
    for (size_t i = fraction; i < g.n; i++)
        places += g.size[i];
    struct math_node *x = math_leaf(w, MATH_NUM, digits, n);
    if (x == NULL)
        return NULL;
    x->places = (long)places;
    x->op = places > 0;
    return negative ? math_node1(w, MATH_NEG, x) : x;
}

/* ---- clauses ---- */

enum word_kind { WORD_OTHER, WORD_LEAD, WORD_FILL, WORD_NAME, WORD_DOMAIN };

static const struct clause_word {
    const char *word;
    enum word_kind kind;
    int domain;
} clause_words[] = {{"for", WORD_LEAD, 0}, {"where", WORD_LEAD, 0}, {"with", WORD_LEAD, 0},
    {"\\forall", WORD_LEAD, 0}, {"all", WORD_FILL, 0}, {"any", WORD_FILL, 0},
    {"every", WORD_FILL, 0}, {"each", WORD_FILL, 0}, {"some", WORD_FILL, 0}, {"is", WORD_FILL, 0},
    {"are", WORD_FILL, 0}, {"an", WORD_FILL, 0}, {"arbitrary", WORD_FILL, 0}, {"and", WORD_FILL, 0},
    {"the", WORD_FILL, 0}, {"of", WORD_FILL, 0}, {"in", WORD_FILL, 0}, {"\\in", WORD_FILL, 0},
    {"\xe2\x88\x88", WORD_FILL, 0}, {"number", WORD_FILL, 0}, {"numbers", WORD_FILL, 0},
    {"value", WORD_FILL, 0}, {"values", WORD_FILL, 0}, {"real", WORD_DOMAIN, 'R'},
    {"reals", WORD_DOMAIN, 'R'}, {"\\mathbbr", WORD_DOMAIN, 'R'}, {"complex", WORD_DOMAIN, 'C'},
    {"\\mathbbc", WORD_DOMAIN, 'C'}, {"constant", WORD_DOMAIN, 'R'},
    {"constants", WORD_DOMAIN, 'R'}, {"integer", WORD_DOMAIN, 'Z'}, {"integers", WORD_DOMAIN, 'Z'},
    {"\\mathbbz", WORD_DOMAIN, 'Z'}, {"natural", WORD_DOMAIN, 'N'}, {"\\mathbbn", WORD_DOMAIN, 'N'},
    {"positive", WORD_DOMAIN, 'N'}};

/* The next word of a clause: letters, a command, or a name with an index; its length with what
 * stands before it, 0 at the end, the whole rest when it is something else. */
static size_t next_word(struct span s, size_t i, char ret[16])
{
    size_t n = 0, from = i;
    static const char *const marks[] = {"\\text", "\\mathrm", "\\quad", "\\qquad", "\\textrm",
        "\\,", "\\ ", "\\;", "\\left", "\\right"};
    ret[0] = '\0';
    for (bool more = true; more && i < s.n;) {
        more = strchr(" {}$~,.()\n", s.at[i]) != NULL;
        i += more;
        for (size_t k = 0; !more && k < ARRAY_LEN(marks); k++) {
            size_t len = strlen(marks[k]);
            more = s.n - i >= len && memcmp(s.at + i, marks[k], len) == 0 &&
                   (len == 2 || i + len == s.n || !isalpha((unsigned char)s.at[i + len]));
            i += more ? len : 0;
        }
    }
    for (; i < s.n && n < 15; i++) {
        char c = s.at[i];
        bool in_name = (c == '\\' && n == 0) || c == '_' || (c & 0x80) != 0 ||
                       isalpha((unsigned char)c) || (n > 0 && isdigit((unsigned char)c));
        bool set = n == 7 && memcmp(ret, "\\mathbb", 7) == 0 && strchr(" {", c) != NULL;
        if (set)
            continue;
        if (!in_name || (n > 0 && ret[0] == '\\' && c == '\\'))
            break;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return n == 0 ? s.n - from : i - from;
}

static const struct clause_word *find_word(const char *word)
{
    char lower[16];
    size_t n = strlen(word);
    for (size_t i = 0; i <= n; i++)
        lower[i] = (char)tolower((unsigned char)word[i]);
    for (size_t i = 0; i < ARRAY_LEN(clause_words); i++) {
        if (strcmp(clause_words[i].word, lower) == 0)
            return &clause_words[i];
    }
    return NULL;
}

/* A letter, perhaps with an index: k, C_1; three characters at most. */
static bool is_name(const char *word)
{
    return isalpha((unsigned char)word[0]) &&
           (word[1] == '\0' ||
               (word[1] == '_' && isalnum((unsigned char)word[2]) && word[3] == '\0'));
}

/* All of s is a clause: a lead, names, and what they are. */
static bool read_clause(struct span s, struct phrase_clause *ret)
{
    char word[16];
    bool lead = false, positive = false;
    *ret = (struct phrase_clause){.domain = 0};
    for (size_t i = 0, len; i < s.n; i += len) {
        len = next_word(s, i, word);
        if (word[0] == '\0') {
            for (size_t k = i; k < s.n; k++) {
                if (strchr(" {}$~,.()\n", s.at[k]) == NULL)
                    return false;
            }
            break;
        }
        const struct clause_word *w = find_word(word);
        if (w == NULL && strcmp(word, "a") == 0 && ret->n > 0)
            continue;
        if (w == NULL && is_name(word) && ret->n < ARRAY_LEN(ret->names)) {
            (void)snprintf(ret->names[ret->n++], sizeof(ret->names[0]), "%.3s", word);
            continue;
        }
        if (w == NULL || (!lead && w->kind != WORD_LEAD))
            return false;
        lead = true;
        if (w->kind == WORD_DOMAIN && strcmp(w->word, "positive") == 0)
            positive = true;
        else if (w->kind == WORD_DOMAIN && (ret->domain == 0 || ret->domain == w->domain))
            ret->domain = w->domain;
        else if (w->kind == WORD_DOMAIN)
            return false;
    }
    if (positive)
        ret->domain = ret->domain == 'Z' ? 'N' : 'P';
    ret->domain = ret->domain == 0 ? 'R' : ret->domain;
    return lead && ret->n > 0;
}

struct span phrase_take_clause(struct span text, struct phrase_clause *ret)
{
    static const char *const leads[] = {"for ", "where ", "with ", "\\forall"};
    static const char *const tails[] = {"\\text", "\\quad", "\\qquad", "\\textrm", "\\mathrm"};
    for (size_t i = 3; i + 5 < text.n; i++) {
        bool starts = !isalpha((unsigned char)text.at[i - 1]) && strchr("fw\\", text.at[i]) != NULL;
        for (size_t k = 0; starts && k < ARRAY_LEN(leads); k++) {
            size_t n = strlen(leads[k]);
            if (text.n - i < n || memcmp(text.at + i, leads[k], n) != 0 ||
                !read_clause((struct span){text.at + i, text.n - i}, ret))
                continue;
            struct span head = {text.at, i};
            for (bool cut = true; cut;) {
                cut = head.n > 0 && strchr(" {$~,(;\n", head.at[head.n - 1]) != NULL;
                head.n -= cut;
                for (size_t t = 0; !cut && t < ARRAY_LEN(tails); t++) {
                    size_t len = strlen(tails[t]);
                    cut = head.n > len && memcmp(head.at + head.n - len, tails[t], len) == 0;
                    head.n -= cut ? len : 0;
                }
            }
            return head;
        }
    }
    *ret = (struct phrase_clause){.n = 0};
    return text;
}
