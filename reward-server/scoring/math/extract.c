/* extract.c: where the answer of a completion stands. Linear in the text but for the last line that
 * is looked at. */
#include <ctype.h>
#include <string.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/math/check.h"
#include "reward-server/scoring/number.h"

enum { WHOLE_BYTES_MAX = 1024 };

/* What may stand between two boxes of one answer: signs of formulas, commas, a few words. */
static bool is_joint(struct span s)
{
    enum { JOINT_BYTES_MAX = 40 };
    bool separates = false;
    if (s.n > JOINT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!isalpha((unsigned char)s.at[i]) && strchr(" ,;$\\{}()[]", s.at[i]) == NULL)
            return false;
        separates = separates || s.at[i] == ',' || s.at[i] == ';' ||
                    (i + 3 <= s.n && memcmp(s.at + i, "and", 3) == 0);
    }
    return separates;
}

/* The last box, or the row of boxes that ends with it: "\\boxed{1} and \\boxed{2}". */
bool math_extract_boxed(struct span text, struct span *ret)
{
    enum { BOXES_MAX = 16 };
    static const char mark[] = "\\boxed{";
    size_t begin, len, first, n = sizeof(mark) - 1;
    if (!boxed_last(text.at, text.n, &begin, &len))
        return false;
    first = begin;
    for (size_t i = 1; i < BOXES_MAX && first >= n && memcmp(text.at + first - n, mark, n) == 0;
         i++) {
        size_t b, k, end = first - n;
        if (!boxed_last(text.at, end, &b, &k) ||
            !is_joint((struct span){text.at + b + k + 1, end - b - k - 1}))
            break;
        first = b;
    }
    *ret = span_trim((struct span){text.at + begin, len});
    const struct span row = {text.at + first - n, begin + len + 1 - (first - n)};
    if (first != begin && row.n <= WHOLE_BYTES_MAX && math_is_readable(row))
        *ret = row;
    return ret->n > 0;
}

/* Length of the mark at s (of n bytes) that announces an answer, or 0. */
static size_t mark_at(const char *s, size_t n)
{
    static const char *const marks[] = {"####", "answer is", "answer:", "answer**:"};
    if (*s != '#' && tolower((unsigned char)*s) != 'a')
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t len = strlen(marks[i]), same = 0;
        while (same < len && same < n && tolower((unsigned char)s[same]) == marks[i][same])
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
        if (rest.n > 2 && memcmp(rest.at, "**", 2) == 0 && isspace((unsigned char)rest.at[2]))
            rest = span_trim((struct span){rest.at + 2, rest.n - 2}); /* **Answer:** 5 */
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

/* The last formula that reads as mathematics. */
static bool formula(struct span text, struct span *ret)
{
    static const char *const marks[][2] = {
        {"$$", "$$"}, {"\\(", "\\)"}, {"\\[", "\\]"}, {"$", "$"}};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (between(text, marks[i][0], marks[i][1], ret) && math_is_readable(*ret))
            return true;
    }
    return false;
}

static bool whole(struct span text, struct span *ret)
{
    *ret = undecorated(text);
    return ret->n > 0 && ret->n <= WHOLE_BYTES_MAX && math_is_readable(*ret);
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

/* After a mark a sentence may go on ("the answer is 18 dollars, not 19"): then its first formula or
 * number counts. */
static bool marked(struct span text, struct span *ret)
{
    static const char *const hopes[] = {". I hope it is correct", " I hope it is correct"};
    struct span line, part;
    if (!after_mark(text, &line))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(hopes); i++) {
        const char *hope = memmem(line.at, line.n, hopes[i], strlen(hopes[i]));
        if (hope != NULL)
            line = span_trim((struct span){line.at, (size_t)(hope - line.at)});
    }
    *ret = line;
    if (line.n == 0)
        return false;
    if (line.n <= WHOLE_BYTES_MAX && math_is_readable(line))
        return true;
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
    if (number_find_first(line, &part))
        *ret = part;
    return true;
}

enum math_place math_extract(struct span text, struct span *ret)
{
    if (math_extract_boxed(text, ret))
        return MATH_PLACE_BOXED;
    if (marked(text, ret))
        return MATH_PLACE_MARK;
    if (whole(text, ret))
        return MATH_PLACE_WHOLE;
    if (formula(text, ret))
        return MATH_PLACE_FORMULA;
    return number_find_last(text, ret) ? MATH_PLACE_NUMBER : MATH_PLACE_NONE;
}

struct span math_reference(struct span text)
{
    struct span found;
    text = span_trim(text);
    if (memmem(text.at, text.n, "\\boxed", 6) != NULL && math_extract_boxed(text, &found))
        return found;
    return text;
}
