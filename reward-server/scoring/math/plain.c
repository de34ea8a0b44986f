/* plain.c: answers as text: the first step of every comparison, and the only one for words. */
#include <ctype.h>

#include "reward-server/scoring/math/check.h"

/* Commands that vanish; the braces of those that hold text vanish with all braces around words. */
static const char *const vanish[] = {"\\left.", "\\right.", "\\text", "\\textbf", "\\textrm",
    "\\textit", "\\mbox", "\\mathrm", "\\mathbf", "\\left", "\\right", "\\displaystyle", "\\!",
    "\\,", "\\;", "\\:", "\\ ", "\\quad", "\\qquad", "\\boxed", "\\(", "\\)", "\\[", "\\]"};

static size_t vanishing(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(vanish); i++) {
        size_t len = strlen(vanish[i]);
        bool word = isalpha((unsigned char)vanish[i][len - 1]) != 0;
        if (n >= len && memcmp(s, vanish[i], len) == 0 &&
            (!word || n == len || !isalpha((unsigned char)s[len])))
            return len;
    }
    return 0;
}

/* Whether the brace at the beginning closes at the end, and not before. */
static bool is_enclosed(const char *s, size_t n)
{
    size_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        depth += s[i] == '{';
        if (s[i] == '}' && depth > 0 && --depth == 0)
            return i == n - 1 && s[0] == '{';
    }
    return false;
}

/* White space between two digits stays: "1 2" is not 12. */
static bool splits_digits(const char *out, size_t n, struct span s, size_t i)
{
    while (i < s.n && isspace((unsigned char)s.at[i]))
        i++;
    return n > 0 && i < s.n && isdigit((unsigned char)out[n - 1]) &&
           isdigit((unsigned char)s.at[i]);
}

const char *plain_text(struct arena *a, struct span s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    if (out == NULL)
        return "";
    for (size_t i = 0; i < s.n;) {
        size_t skip = s.at[i] == '\\' ? vanishing(s.at + i, s.n - i) : 0;
        bool gone = isspace((unsigned char)s.at[i]) || s.at[i] == '$' || s.at[i] == '~';
        if (s.at[i] == '\\' && i + 1 < s.n && s.at[i + 1] == '$')
            gone = true;
        if (skip == 0 && !gone)
            out[n++] = s.at[i];
        else if (skip == 0 && splits_digits(out, n, s, i))
            out[n++] = ' ';
        i += skip > 0 ? skip : 1;
    }
    if (n > 0 && out[n - 1] == '.' && !(n > 2 && out[n - 2] == '.')) /* but not "..." */
        n--;
    out[n] = '\0';
    while (n > 2 && is_enclosed(out, n)) {
        out[n - 1] = '\0';
        out++;
        n -= 2;
    }
    return out;
}

bool plain_is_words(struct span s)
{
    size_t run = 0, longest = 0;
    bool wrapped = s.n > 0 && s.at[0] == '\\';
    if (s.n > 6 && memcmp(s.at, "\\text{", 6) == 0 && memchr(s.at, '}', s.n) == s.at + s.n - 1)
        s = (struct span){s.at + 6, s.n - 7};
    else if (s.n > 6 && memcmp(s.at, "\\mbox{", 6) == 0 && memchr(s.at, '}', s.n) == s.at + s.n - 1)
        s = (struct span){s.at + 6, s.n - 7};
    for (size_t i = 0; i < s.n; i++) {
        if (!isalpha((unsigned char)s.at[i]) && strchr(" '.-", s.at[i]) == NULL)
            return false;
        run = isalpha((unsigned char)s.at[i]) ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest > (wrapped ? 1 : 3); /* "xy" is a product unless it stands in \text */
}

static const char *skip_choice_lead(const char *plain)
{
    static const char *const leads[] = {"option", "Option", "choice", "Choice", "answer", "Answer"};
    for (size_t i = 0; i < ARRAY_LEN(leads); i++) {
        if (strncmp(plain, leads[i], strlen(leads[i])) == 0)
            plain += strlen(leads[i]);
    }
    return plain + strspn(plain, "{*");
}

/* The letter with its marks at the beginning, and what follows; 0 for none. */
static char leading_choice(const char *plain, const char **ret_rest)
{
    plain = skip_choice_lead(plain);
    const char *at = plain + (*plain == '(');
    at += strspn(at, "{");
    char letter = *at;
    if (letter < 'A' || letter > 'J')
        return 0;
    at++;
    size_t marks = strspn(at, ")}.:*");
    *ret_rest = at + marks;
    return marks > 0 || *at == '\0' ? letter : 0;
}

char plain_choice(const char *plain)
{
    const char *rest;
    char letter = leading_choice(plain, &rest);
    return letter != 0 && *rest == '\0' ? letter : 0;
}

/* Another letter in brackets, or a word that takes the choice back. */
static bool is_doubtful(const char *rest)
{
    static const char *const words[] = {"not", "n't", "wrong", "incorrect", "false", "or"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasestr(rest, words[i]) != NULL)
            return true;
    }
    for (const char *c = rest; *c != '\0'; c++) {
        if (c[0] >= 'A' && c[0] <= 'J' && (c[1] == ')' || (c > rest && c[-1] == '(')))
            return true;
    }
    return false;
}

/* The text after the letter's closing mark, when something stands between them. */
static bool is_set_off(struct span raw, char letter, struct span *ret_text)
{
    for (size_t i = 0; i + 2 < raw.n; i++) {
        if (raw.at[i] != letter || strchr(").:", raw.at[i + 1]) == NULL)
            continue;
        bool room = false;
        for (i += 2; i < raw.n && strchr(" ~}", raw.at[i]) != NULL; i++)
            room = room || raw.at[i] != '}';
        *ret_text = (struct span){raw.at + i, raw.n - i};
        return i < raw.n && (room || strchr("\\$:\n", raw.at[i]) != NULL);
    }
    return false;
}

char plain_choice_text(struct span raw, const char *plain, struct span *ret_text)
{
    const char *rest = "";
    char letter = leading_choice(plain, &rest);
    bool ok = letter != 0 && *rest != '\0' && is_set_off(raw, letter, ret_text);
    return ok && !is_doubtful(rest) ? letter : 0;
}
