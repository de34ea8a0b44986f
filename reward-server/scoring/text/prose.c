/* prose.c: see prose.h. */
#include "reward-server/scoring/text/prose.h"

#include <string.h>

#include "common/text/utf8.h"

static const char thought_end[] = "</think>";

/* Where the last mark ends; 0 without one. */
static size_t find_thought_end(struct span completion)
{
    const size_t n = sizeof(thought_end) - 1;
    for (size_t end = completion.n; end >= n; end--) {
        if (memcmp(completion.at + end - n, thought_end, n) == 0)
            return end;
    }
    return 0;
}

struct span prose_thought(struct span completion)
{
    size_t end = find_thought_end(completion);
    if (end == 0)
        return completion;
    return (struct span){completion.at, end - (sizeof(thought_end) - 1)};
}

struct span prose_answer(struct span completion)
{
    size_t end = find_thought_end(completion);
    return (struct span){completion.at + end, completion.n - end};
}

void prose_init(struct prose *p, struct span text)
{
    *p = (struct prose){
        .at = text.at, .end = text.at + text.n, .line_start = true, .sentence_start = true};
}

static size_t left(const struct prose *p)
{
    return (size_t)(p->end - p->at);
}

static bool begins(const struct prose *p, const char *mark)
{
    size_t n = strlen(mark);
    return left(p) >= n && memcmp(p->at, mark, n) == 0;
}

static bool is_word_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* ---- what is no prose ---- */

/* "```" or "~~~" at the start of a line opens a block; the same sign there closes it. */
static bool take_fence(struct prose *p)
{
    if (!p->line_start || (!begins(p, "```") && !begins(p, "~~~")) ||
        (p->in_fence && *p->at != p->fence))
        return false;
    p->fence = *p->at;
    p->in_fence = !p->in_fence;
    p->fences += p->in_fence;
    p->in_formula = false;
    const char *line = memchr(p->at, '\n', left(p)); /* with the language's name */
    p->at = line != NULL ? line : p->end;
    return true;
}

static bool take_back_quote(struct prose *p)
{
    if (*p->at != '`' || p->in_fence)
        return false;
    p->at++;
    size_t n = left(p) < PROSE_CODE_BYTES ? left(p) : PROSE_CODE_BYTES;
    const char *close = memchr(p->at, '`', n), *line = memchr(p->at, '\n', n);
    if (close != NULL && (line == NULL || line > close))
        p->code_end = close;
    return true;
}

/* Dollars and the brackets of LaTeX switch; a command is skipped. */
static bool take_formula_mark(struct prose *p)
{
    if (*p->at == '$') {
        p->at += begins(p, "$$") ? 2 : 1;
        p->in_formula = !p->in_formula;
        return true;
    }
    if (*p->at != '\\')
        return false;
    p->at++;
    if (p->at == p->end)
        return true;
    if (*p->at == '(' || *p->at == '[')
        p->in_formula = true;
    else if (*p->at == ')' || *p->at == ']')
        p->in_formula = false;
    else
        while (p->at < p->end && ((*p->at | 0x20) >= 'a' && (*p->at | 0x20) <= 'z'))
            p->at++;
    return true;
}

static bool take_tag(struct prose *p)
{
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    for (size_t i = 0; *p->at == '<' && i < ARRAY_LEN(tags); i++) {
        if (begins(p, tags[i])) {
            p->at += strlen(tags[i]);
            p->line_start = p->sentence_start = true;
            return true;
        }
    }
    return false;
}

/* The rest of a URL, at its "://" or after "www.". */
static bool take_url(struct prose *p)
{
    if (!begins(p, "://") && !begins(p, "www."))
        return false;
    while (p->at < p->end && (unsigned char)*p->at > ' ')
        p->at++;
    return true;
}

static void take_sign(struct prose *p)
{
    char c = *p->at;
    if (c == '\n') {
        if (p->line_start) /* an empty line */
            p->in_formula = false;
        p->line_start = p->sentence_start = true;
    } else if (c != ' ' && c != '\t' && c != '\r') {
        p->line_start = false;
        p->sentence_start |= memchr(".!?:;", c, 5) != NULL;
    }
    p->at++;
}

/* ---- words ---- */

static void word_add(struct prose_word *w, uint32_t cp, enum script script)
{
    if (script == SCRIPT_MARK)
        return;
    if (w->script == SCRIPT_NONE)
        w->script = script;
    else if (w->script != script)
        w->script = SCRIPT_OTHER;
    if (w->count == PROSE_LETTERS_MAX) {
        w->script = SCRIPT_OTHER;
        return;
    }
    w->capital = w->count == 0 ? letter_lower(cp) != cp : w->capital;
    w->letters[w->count++] = letter_lower(cp);
}

/* A run of letters, of which the first is there; *ret_code: it touches a digit or an underscore. */
static void take_letters(struct prose *p, struct prose_word *w, bool *ret_code)
{
    const char *from = p->at;
    while (p->at < p->end) {
        uint32_t cp;
        size_t n = utf8_next(p->at, left(p), &cp);
        enum script script = n > 0 ? script_of(cp) : SCRIPT_NONE;
        if (n > 0 && ((cp >= '0' && cp <= '9') || cp == '_')) {
            *ret_code = true;
        } else if (script == SCRIPT_NONE || (p->at > from && script_is_unspaced(script))) {
            break;
        } else {
            word_add(w, cp, script);
        }
        p->at += n;
        if (script_is_unspaced(script))
            break;
    }
    w->text = (struct span){from, (size_t)(p->at - from)};
}

/* Bytes that are no UTF-8: a word of its own. */
static void take_broken(struct prose *p, struct prose_word *w)
{
    w->script = SCRIPT_OTHER;
    w->letters[w->count++] = 0xfffd;
    w->text.at = p->at;
    while (p->at < p->end && utf8_next(p->at, left(p), NULL) == 0)
        p->at++;
    w->text.n = (size_t)(p->at - w->text.at);
}

static bool is_prose(const struct prose *p, const struct prose_word *w, bool code)
{
    bool alphabet =
        w->script == SCRIPT_LATIN || w->script == SCRIPT_GREEK || w->script == SCRIPT_CYRILLIC;
    if (w->count == 0 || (alphabet && w->count == 1) || begins(p, "://"))
        return false;
    if (w->script != SCRIPT_LATIN)
        return true;
    if (code || p->in_fence || p->code_end != NULL)
        return false;
    return !p->in_formula || w->count >= PROSE_FORMULA_LETTERS;
}

static bool take_word(struct prose *p, struct prose_word *ret)
{
    uint32_t cp = 0;
    bool code = false;
    *ret = (struct prose_word){.opens = p->sentence_start};
    size_t n = utf8_next(p->at, left(p), &cp);
    if (n == 0) {
        take_broken(p, ret);
    } else if (script_of(cp) == SCRIPT_NONE && !is_word_byte((char)(cp < 0x80 ? cp : ' '))) {
        p->at += n; /* a sign beyond ASCII */
        p->sentence_start |= cp == 0x3002 || cp == 0xff01 || cp == 0xff1f;
        return false;
    } else {
        take_letters(p, ret, &code);
    }
    p->line_start = p->sentence_start = false;
    return is_prose(p, ret, code);
}

bool prose_next(struct prose *p, struct prose_word *ret)
{
    while (p->at < p->end) {
        if (p->code_end != NULL && p->at >= p->code_end) {
            p->code_end = NULL;
            p->at++;
            continue;
        }
        if (is_word_byte(*p->at) && !begins(p, "www.")) {
            if (take_word(p, ret))
                return true;
        } else if (!take_fence(p) && !take_back_quote(p) && !take_formula_mark(p) && !take_tag(p) &&
                   !take_url(p)) {
            take_sign(p);
        }
    }
    return false;
}
