/* boxed.c: one pass with a small stack of open boxes. */
#include "common/text/boxed.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum {
    BARE_BYTES_MAX = 256, /* a form without braces is looked at no further: keeps the pass linear */
    MARK_BYTES = sizeof("\\boxed{") - 1,
};

struct scan {
    const char *text;
    size_t n;
    size_t depth; /* of open braces */
    struct {
        size_t begin, depth;
    } open[BOXED_DEPTH_MAX]; /* boxes whose closing brace has not come */
    size_t open_count;
    bool found;
    size_t begin, len; /* of the best so far */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Length of the command name at a backslash when it is one of ours, else 0. */
static size_t box_command(const char *s, size_t n)
{
    static const char *const names[] = {"\\boxed", "\\fbox"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        if (n >= len && memcmp(s, names[i], len) == 0)
            return len;
    }
    return 0;
}

static void scan_found(struct scan *s, size_t begin, size_t end)
{
    if (s->found && begin < s->begin)
        return;
    s->found = true;
    s->begin = begin;
    s->len = end - begin;
}

static void scan_open(struct scan *s, size_t begin)
{
    s->depth++;
    if (s->open_count == BOXED_DEPTH_MAX)
        return;
    s->open[s->open_count].begin = begin;
    s->open[s->open_count].depth = s->depth;
    s->open_count++;
}

static void scan_close(struct scan *s, size_t at)
{
    if (s->depth == 0)
        return;
    if (s->open_count > 0 && s->open[s->open_count - 1].depth == s->depth)
        scan_found(s, s->open[--s->open_count].begin, at);
    s->depth--;
}

/* The form without braces needs a blank after the command: "\boxedness" is another command. */
static void scan_bare(struct scan *s, size_t at)
{
    size_t begin = at, end;
    while (begin < s->n && (s->text[begin] == ' ' || s->text[begin] == '\t'))
        begin++;
    if (begin == at)
        return;
    size_t stop = s->n - begin < BARE_BYTES_MAX ? s->n : begin + BARE_BYTES_MAX;
    for (end = begin; end < stop && strchr("$\n\r{}", s->text[end]) == NULL;)
        end++;
    while (end > begin && is_blank(s->text[end - 1]))
        end--;
    if (end > begin)
        scan_found(s, begin, end);
}

/* A command at `at`; returns where to go on. "\\\\boxed{4}" was escaped once too often: the second
 * backslash begins it. */
static size_t scan_command(struct scan *s, size_t at)
{
    size_t len = box_command(s->text + at, s->n - at);
    if (len == 0 && at + 1 < s->n && box_command(s->text + at + 1, s->n - at - 1) > 0)
        return at + 1;
    if (len == 0)
        return at + 2; /* an escaped character, or the first letter of another command */
    size_t next = at + len;
    while (next < s->n && is_blank(s->text[next]))
        next++;
    if (next < s->n && s->text[next] == '{') {
        scan_open(s, next + 1);
        return next + 1;
    }
    scan_bare(s, at + len);
    return at + len;
}

bool boxed_last(const char *text, size_t n, size_t *ret_begin, size_t *ret_len)
{
    struct scan s = {.text = text, .n = n};
    for (size_t i = 0; i < n;) {
        if (text[i] == '\\') {
            i = scan_command(&s, i);
            continue;
        }
        if (text[i] == '{')
            s.depth++;
        else if (text[i] == '}')
            scan_close(&s, i);
        i++;
    }
    if (!s.found)
        return false;
    *ret_begin = s.begin;
    *ret_len = s.len;
    return true;
}

/* Letters of a word that may stand between two boxes: a name, "and", "or", "for part", or a command
 * for text or room. ret_separates: it says that there are two. */
static bool is_joint_word(const char *s, size_t n, bool *ret_separates)
{
    static const char *const words[] = {
        "and", "or", "text", "mbox", "quad", "qquad", "for", "part"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i]) == n && memcmp(words[i], s, n) == 0) {
            *ret_separates = *ret_separates || i < 2;
            return true;
        }
    }
    return n == 1;
}

static bool ends_with_and(const char *s, size_t n)
{
    while (n > 0 && strchr(" ${(\\", s[n - 1]) != NULL)
        n--;
    return n > 4 && memcmp(s + n - 4, " and", 4) == 0;
}

/* Whether this stands between two boxes of one answer: "\boxed{1} paper and \boxed{2}", where the
 * first word may be what is counted. "\boxed{n = 4}, therefore \boxed{5}" is a step and the
 * answer. */
static bool is_joint(const char *s, size_t n)
{
    enum { JOINT_BYTES_MAX = 40 };
    bool separates = n == 0, counted = ends_with_and(s, n);
    if (n > JOINT_BYTES_MAX)
        return false;
    for (size_t i = 0, word; i<n; i += word> 0 ? word : 1) {
        for (word = 0; i + word < n && isalpha((unsigned char)s[i + word]); word++)
            continue;
        if (word > 0 && !is_joint_word(s + i, word, &separates) && !counted)
            return false;
        counted = counted && word == 0;
        if (word == 0 && (s[i] == '\0' || strchr(" ,;+$\\{}()[]_=0123456789", s[i]) == NULL))
            return false;
        separates =
            separates || s[i] == ',' || s[i] == ';' || (i > 0 && s[i] == '+' && s[i - 1] == '+');
    }
    return separates;
}

/* Whether a content that begins here is that of "\\boxed{", not of another form. */
static bool is_braced(const char *text, size_t begin)
{
    return begin >= MARK_BYTES && memcmp(text + begin - MARK_BYTES, "\\boxed{", MARK_BYTES) == 0;
}

bool boxed_row(const char *text, size_t n, size_t *ret_begin, size_t *ret_len)
{
    size_t begin, len;
    if (!boxed_last(text, n, &begin, &len) || !is_braced(text, begin))
        return false;
    size_t first = begin, boxes = 1;
    for (; boxes < BOXED_ROW_MAX; boxes++) {
        size_t before, k, end = first - MARK_BYTES;
        if (!boxed_last(text, end, &before, &k) || !is_braced(text, before) ||
            !is_joint(text + before + k + 1, end - before - k - 1))
            break;
        first = before;
    }
    if (boxes == 1)
        return false;
    *ret_begin = first - MARK_BYTES;
    *ret_len = begin + len + 1 - *ret_begin;
    return true;
}
