/* extract.c: where the answer of a completion stands. Linear in the text but for the last line that
 * is looked at. */
#include <ctype.h>
#include <string.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/math/check.h"
#include "reward-server/scoring/number.h"

enum { WHOLE_BYTES_MAX = 1024 };

/* The last box, or the row of boxes that ends with it. */
bool math_extract_boxed(struct span text, struct span *ret)
{
    size_t begin, len;
    if (!boxed_last(text.at, text.n, &begin, &len))
        return false;
    *ret = span_trim((struct span){text.at + begin, len});
    if (boxed_row(text.at, text.n, &begin, &len) && len <= WHOLE_BYTES_MAX) {
        const struct span row = {text.at + begin, len};
        if (math_is_readable(row))
            *ret = row;
    }
    return ret->n > 0;
}

/* Length of the mark at s (of n bytes) that announces an answer, or 0. */
static size_t mark_at(const char *s, size_t n)
{
    static const char *const marks[] = {"####", "answer is",
        "answer:", "answer**:", "answer =", "answers are", "answer should be", "answer must be",
        "answer would be", "final answer", "solution is", "solutions are",
        "\xe7\xad\x94\xe6\xa1\x88\xe6\x98\xaf" /* "the answer is", "... :" in Chinese */,
        "\xe7\xad\x94\xe6\xa1\x88\xe4\xb8\xba", "\xe7\xad\x94\xe6\xa1\x88\xef\xbc\x9a",
        "\xe7\xad\x94\xe6\xa1\x88:"};
    const char first = (char)tolower((unsigned char)*s);
    if (first != '#' && first != 'a' && first != 'f' && first != 's' && first != '\xe7')
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (marks[i][0] != first)
            continue;
        size_t len = strlen(marks[i]), same = 0;
        while (same < len && same < n &&
               tolower((unsigned char)s[same]) == (unsigned char)marks[i][same])
            same++;
        if (same == len)
            return len;
    }
    return 0;
}

/* What a pair of double stars encloses, when the text begins with one; else the text. */
static struct span undecorated(struct span s)
{
    s = span_trim(s);
    if (s.n < 5 || memcmp(s.at, "**", 2) != 0)
        return s;
    const char *end = memmem(s.at + 2, s.n - 2, "**", 2);
    return end != NULL ? span_trim((struct span){s.at + 2, (size_t)(end - s.at - 2)}) : s;
}

/* The rest of the line after the last mark. */
static bool after_mark(struct span text, struct span *ret)
{
    for (size_t at = text.n; at-- > 0;) {
        size_t len = mark_at(text.at + at, text.n - at);
        if (len == 0)
            continue;
        struct span rest = {text.at + at + len, text.n - at - len};
        rest = span_trim(rest);
        while (rest.n > 0 && rest.at[0] == ':')
            rest = span_trim((struct span){rest.at + 1, rest.n - 1});
        if (rest.n > 2 && memcmp(rest.at, "**", 2) == 0 &&
            (isspace((unsigned char)rest.at[2]) || rest.at[2] == ':'))
            rest = span_trim((struct span){rest.at + 2, rest.n - 2}); /* **Answer:** 5 */
        while (rest.n > 0 && rest.at[0] == ':')
            rest = span_trim((struct span){rest.at + 1, rest.n - 1});
        const char *end = memchr(rest.at, '\n', rest.n);
        if (end != NULL)
            rest.n = (size_t)(end - rest.at);
        *ret = undecorated(rest);
        return ret->n > 0;
    }
    return false;
}

/* ---- formulas ---- */

static bool between(struct span text, const char *open, const char *close, struct span *ret)
{
    size_t a = strlen(open), b = strlen(close);
    for (size_t end = text.n; end >= a + b; end--) {
        if (memcmp(text.at + end - b, close, b) != 0)
            continue;
        for (size_t i = end - b; i >= a; i--) {
            if (memcmp(text.at + i - a, open, a) == 0) {
                *ret = span_trim((struct span){text.at + i, end - b - i});
                return ret->n > 0 && ret->n <= WHOLE_BYTES_MAX;
            }
        }
        return false;
    }
    return false;
}

/* Whether line ends break a formula that belongs into a line ("$", 9 and "$" in three lines): it is
 * none, and no number in it is an answer. */
static bool is_broken(struct span text, struct span found, const char *open)
{
    const char *first = found.at, *end = found.at + found.n, *text_end = text.at + text.n;
    if (strcmp(open, "$") != 0 && strcmp(open, "\\(") != 0)
        return false;
    while (first > text.at && isblank((unsigned char)first[-1]))
        first--;
    while (end < text_end && isblank((unsigned char)*end))
        end++;
    return first > text.at && first[-1] == '\n' && end < text_end && *end == '\n';
}

/* The last formula that reads as mathematics; *ret_broken: there is one which line ends break. */
static bool formula(struct span text, struct span *ret, bool *ret_broken)
{
    static const char *const marks[][2] = {
        {"$$", "$$"}, {"\\(", "\\)"}, {"\\[", "\\]"}, {"$", "$"}};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (!between(text, marks[i][0], marks[i][1], ret) || !math_is_readable(*ret))
            continue;
        if (!is_broken(text, *ret, marks[i][0]))
            return true;
        *ret_broken = true;
    }
    return false;
}

static bool whole(struct span text, struct span *ret)
{
    text = span_trim(text);
    *ret = undecorated(text);
    if (ret->at + ret->n + 2 < text.at + text.n) /* stars around a part of it only */
        *ret = text;
    return ret->n > 0 && ret->n <= WHOLE_BYTES_MAX &&
           (math_is_readable(*ret) || math_is_choice(*ret));
}

/* "The largest n is 34." */
static bool after_is(struct span line, struct span *ret)
{
    for (size_t i = line.n; i >= 4; i--) {
        if (memcmp(line.at + i - 4, " is ", 4) == 0) {
            *ret = undecorated((struct span){line.at + i, line.n - i});
            return ret->n > 0 && ret->n <= WHOLE_BYTES_MAX && math_is_readable(*ret);
        }
    }
    return false;
}

/* "June 20" is an answer of its own, "it took 20 days in all" is not. */
static bool is_sentence(struct span s)
{
    enum { BLANKS_MIN = 3 };
    size_t blanks = 0;
    for (size_t i = 0; i < s.n && s.n < WHOLE_BYTES_MAX; i++)
        blanks += s.at[i] == ' ';
    return s.n >= WHOLE_BYTES_MAX || blanks >= BLANKS_MIN;
}

static struct span unquoted(struct span s)
{
    while (s.n > 0 && (s.at[0] == '"' || (s.n > 1 && s.at[0] == '\\' && s.at[1] == '"')))
        s = span_trim((struct span){s.at + 1, s.n - 1});
    while (s.n > 0 && (s.at[s.n - 1] == '"' || (s.n > 1 && s.at[s.n - 2] == '"')))
        s = span_trim((struct span){s.at, s.n - 1});
    return s.n > 0 && s.at[s.n - 1] == '\\' ? span_trim((struct span){s.at, s.n - 1}) : s;
}

/* The text before the first of the marks, if there is one. */
static struct span before(struct span s, const char *const *marks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *at = memmem(s.at, s.n, marks[i], strlen(marks[i]));
        if (at != NULL)
            s = span_trim((struct span){s.at, (size_t)(at - s.at)});
    }
    return s;
}

/* What follows the last word that concludes, if there is one. */
static struct span concluded(struct span s)
{
    static const char *const words[] = {"Therefore,", "Thus,", "Hence,", "So,"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        for (const char *at; (at = memmem(s.at, s.n, words[i], n)) != NULL;) {
            struct span rest = span_trim((struct span){at + n, s.n - (size_t)(at - s.at) - n});
            if (rest.n == 0)
                return s;
            s = rest;
        }
    }
    return s;
}

/* After a mark a sentence may go on ("the answer is 18 dollars, not 19"): then its first formula or
 * number counts. */
static bool marked(struct span text, struct span *ret)
{
    static const char *const ends[] = {
        ". I hope it is correct", " I hope it is correct", "<|", "</"};
    struct span line, part;
    if (!after_mark(text, &line))
        return false;
    line = unquoted(before(line, ends, ARRAY_LEN(ends)));
    *ret = line;
    if (line.n == 0)
        return false;
    if (line.n <= WHOLE_BYTES_MAX && math_is_readable(line))
        return true;
    line = concluded(line);
    if (after_is(line, ret))
        return true;
    *ret = line;
    const char *open = memchr(line.at, '$', line.n);
    const char *close =
        open != NULL ? memchr(open + 1, '$', line.n - (size_t)(open + 1 - line.at)) : NULL;
    if (close != NULL) {
        part = span_trim((struct span){open + 1, (size_t)(close - open - 1)});
        if (part.n > 0 && part.n <= WHOLE_BYTES_MAX && math_is_readable(part)) {
            *ret = part;
            return true;
        }
    }
    bool broken = false;
    if (formula(line, &part, &broken))
        *ret = part;
    else if (number_find_first(line, &part) || (is_sentence(line) && number_find_last(line, &part)))
        *ret = part;
    return true;
}

/* Whether the words of the few-shot examples of Minerva stand after the box: then what follows them
 * is the answer. */
static bool final_after(struct span text, struct span box)
{
    static const char mark[] = "final answer is";
    const char *end = box.at + box.n, *text_end = text.at + text.n;
    const char *at = memmem(end, (size_t)(text_end - end), mark, sizeof(mark) - 1);
    struct span found;
    return at != NULL && marked((struct span){at, (size_t)(text_end - at)}, &found) &&
           found.n <= WHOLE_BYTES_MAX && math_is_readable(found);
}

/* Whether a number stands in a sentence of its own after the last formula. */
static bool number_after(struct span text, struct span formula)
{
    struct span rest = {formula.at + formula.n, 0}, part;
    rest.n = (size_t)(text.at + text.n - rest.at);
    bool ended = formula.n > 0 && formula.at[formula.n - 1] == '.';
    const char *stop = ended ? rest.at : memmem(rest.at, rest.n, ". ", 2);
    if (stop == NULL)
        return false;
    return number_find_last((struct span){stop, (size_t)(rest.at + rest.n - stop)}, &part);
}

/* Nothing but one formula between dollars: then it is the answer, even when it cannot be read. */
static bool is_one_formula(struct span text)
{
    text = span_trim(text);
    size_t marks = 0;
    for (size_t i = 0; i < text.n; i++)
        marks += text.at[i] == '$';
    return text.n > 2 && text.n <= WHOLE_BYTES_MAX && marks == 2 && text.at[0] == '$' &&
           text.at[text.n - 1] == '$';
}

static struct span last_line(struct span text)
{
    text = span_trim(text);
    const char *line = memrchr(text.at, '\n', text.n);
    return line != NULL ? (struct span){line + 1, (size_t)(text.at + text.n - line - 1)} : text;
}

/* What stands in double stars in the last line. */
static bool emphasized(struct span text, struct span *ret)
{
    return between(last_line(text), "**", "**", ret) && ret->at[ret->n - 1] != ':';
}

/* "Yes, because ..." */
static bool first_word(struct span text, struct span *ret)
{
    static const char *const words[] = {"Yes", "No", "True", "False"};
    text = span_trim(text);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        if (text.n > n && memcmp(text.at, words[i], n) == 0 && strchr(",.;:", text.at[n]) != NULL) {
            *ret = (struct span){text.at, n};
            return true;
        }
    }
    return false;
}

/* The number around the one that was found, as another country writes it, 2,74, and its percent. */
static struct span widened(struct span text, struct span part)
{
    const char *begin = part.at, *end = part.at + part.n;
    while (begin >= text.at + 2 && (begin[-1] == ',' || begin[-1] == '.') &&
           isdigit((unsigned char)begin[-2])) {
        begin -= 2;
        while (begin > text.at && isdigit((unsigned char)begin[-1]))
            begin--;
    }
    const char *text_end = text.at + text.n;
    if (end < text_end && *end == '%')
        end++;
    else if (text_end - end > 1 && end[0] == '\\' && end[1] == '%')
        end += 2;
    return (struct span){begin, (size_t)(end - begin)};
}

/* A tuple, a set, several values: more than its last number. */
static bool is_composed(struct span s)
{
    return strchr("([{", s.at[0]) != NULL || memmem(s.at, s.n, " or ", 4) != NULL ||
           memmem(s.at, s.n, " and ", 5) != NULL;
}

/* Of a text without box, mark and formula: stars, the tuple or values that its last line says that
 * something is, the last number, a first word that answers a question. */
static enum math_place extract_from_prose(struct span text, struct span *ret)
{
    struct span part;
    bool starred = emphasized(text, &part), number = number_find_last(text, ret);
    if (starred && (!number || math_is_readable(part))) {
        *ret = part;
        return MATH_PLACE_WORDS;
    }
    if (number && after_is(last_line(text), &part) && is_composed(part)) {
        *ret = part;
        return MATH_PLACE_WORDS;
    }
    if (!number)
        return first_word(text, ret) ? MATH_PLACE_WORDS : MATH_PLACE_NONE;
    *ret = widened(text, *ret);
    return MATH_PLACE_NUMBER;
}

enum math_place math_extract(struct span text, struct span *ret)
{
    if (math_extract_boxed(text, ret) && !final_after(text, *ret))
        return MATH_PLACE_BOXED;
    if (marked(text, ret))
        return MATH_PLACE_MARK;
    if (whole(text, ret))
        return MATH_PLACE_WHOLE;
    bool broken = false;
    if (formula(text, ret, &broken) && !number_after(text, *ret))
        return MATH_PLACE_FORMULA;
    if (broken)
        return MATH_PLACE_NONE;
    if (is_one_formula(text)) {
        *ret = text;
        return MATH_PLACE_WHOLE;
    }
    return extract_from_prose(text, ret);
}

struct span math_reference(struct span text)
{
    struct span found;
    text = span_trim(text);
    const char *box = memmem(text.at, text.n, "\\boxed{", 7);
    if (box != NULL && math_extract_boxed(text, &found))
        return found;
    if (box != NULL) /* its brace does not close */
        return span_trim((struct span){box + 7, (size_t)(text.at + text.n - box - 7)});
    if (text.n > 0 && !plain_is_words(text) && !math_is_readable(text) && marked(text, &found))
        return found;
    return text;
}
