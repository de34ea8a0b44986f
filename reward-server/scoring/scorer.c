/* scorer.c: helpers of the scorers: spans, tags, display text. */
#include "reward-server/scoring/scorer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/text/utf8.h"

/* ---- spans ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct span span_trim(struct span s)
{
    while (s.n > 0 && is_space(s.at[0])) {
        s.at++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.at[s.n - 1]))
        s.n--;
    return s;
}

bool span_is(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.at, text, s.n) == 0;
}

/* ---- tags ---- */

struct mark_count mark_count(struct span text, const char *mark)
{
    struct mark_count c = {0};
    size_t len = strlen(mark);
    for (size_t from = 0; c.count < 2;) {
        const char *hit = memmem(text.at + from, text.n - from, mark, len);
        if (hit == NULL)
            break;
        if (c.count++ == 0)
            c.at = (size_t)(hit - text.at);
        from = (size_t)(hit - text.at) + len;
    }
    return c;
}

const char *mark_count_word(size_t count)
{
    return count == 0 ? "is missing" : "occurs more than once";
}

enum tag_state tag_find(
    struct span text, const char *tag, struct arena *a, struct span *ret, const char **ret_why)
{
    char open[SCORER_TAG_BYTES_MAX + 2], close[SCORER_TAG_BYTES_MAX + 3];
    (void)snprintf(open, sizeof(open), "<%s>", tag);
    (void)snprintf(close, sizeof(close), "</%s>", tag);
    struct mark_count first = mark_count(text, open), second = mark_count(text, close);
    if (first.count == 0 && second.count == 0) {
        *ret_why = reason_text(a, "no %s...%s", open, close);
        return TAG_ABSENT;
    }
    if (first.count != 1 || second.count != 1) {
        bool opening = first.count != 1;
        *ret_why = reason_text(a, "%s %s", opening ? open : close,
            mark_count_word(opening ? first.count : second.count));
        return TAG_BROKEN;
    }
    size_t begin = first.at + strlen(open);
    if (second.at < begin) {
        *ret_why = reason_text(a, "%s before %s", close, open);
        return TAG_BROKEN;
    }
    *ret = (struct span){text.at + begin, second.at - begin};
    return TAG_FOUND;
}

bool scoring_tag_once(
    const char *text, size_t n, const char *tag, size_t *ret_begin, size_t *ret_len)
{
    struct arena *a = arena_new(0);
    struct span content;
    const char *why;
    bool found = tag_find((struct span){text, n}, tag, a, &content, &why) == TAG_FOUND;
    arena_free(a);
    if (!found)
        return false;
    *ret_begin = (size_t)(content.at - text);
    *ret_len = content.n;
    return true;
}

bool answer_in_tag(
    struct span text, const char *tag, struct arena *a, struct span *ret, struct score_result *out)
{
    struct span found = text;
    enum tag_state state = TAG_FOUND;
    if (tag[0] != '\0')
        state = tag_find(text, tag, a, &found, &out->reason);
    if (state != TAG_FOUND) {
        out->verdict = state == TAG_ABSENT ? VERDICT_NO_ANSWER : VERDICT_MALFORMED;
        return false;
    }
    found = span_trim(found);
    if (found.n == 0) {
        out->verdict = VERDICT_NO_ANSWER;
        out->reason = "the answer is empty";
        return false;
    }
    *ret = found;
    return true;
}

/* ---- display text ---- */

/* An escaped byte takes four characters at most, so a raw prefix is shortened by what it is over,
 * until it fits: few rounds, each over at most `limit` raw bytes. */
const char *display_text(struct arena *a, const void *text, size_t n, size_t limit)
{
    CLEANUP_BUF struct buf out = {0};
    size_t keep = utf8_cut(text, n, limit);
    for (;;) {
        buf_clear(&out);
        text_escape(&out, text, keep);
        size_t room = keep < n ? limit - 3 : limit;
        if (out.len <= room)
            break;
        keep = utf8_cut(text, n, keep - (out.len - room + 3) / 4);
    }
    if (keep < n)
        buf_puts(&out, "...");
    const char *copy = out.len > 0 ? arena_dup(a, out.data, out.len + 1) : NULL;
    return copy != NULL ? copy : "";
}

const char *reason_text(struct arena *a, const char *fmt, ...)
{
    char text[2 * LIMIT_TEXT];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return display_text(a, text, len, LIMIT_TEXT);
}

const char *reason_join(struct arena *a, const char *fmt, ...)
{
    char text[LIMIT_TEXT + 1];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n > LIMIT_TEXT)
        text[utf8_cut(text, LIMIT_TEXT, LIMIT_TEXT - 1)] = '\0';
    const char *copy = arena_strdup(a, n < 0 ? "" : text);
    return copy != NULL ? copy : "";
}

void result_extracted(struct score_result *out, struct arena *a, struct span s)
{
    out->extracted = display_text(a, s.at, s.n, LIMIT_EXTRACTED);
}

void scorer_state_close(void *state)
{
    free(state);
}
