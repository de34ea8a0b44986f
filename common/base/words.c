/* words.c: the names of the shared enumerations, made from their lists. */
#include "common/base/words.h"

#include <stddef.h>
#include <string.h>

#define WORD_TEXT(name, number, text) [number] = text,

static const char *const verdict_names[] = {VERDICTS(WORD_TEXT)};
static const char *const stop_reason_names[] = {STOP_REASONS(WORD_TEXT)};
static const char *const score_fault_names[] = {SCORE_FAULTS(WORD_TEXT)};
static const char *const purpose_names[] = {PURPOSES(WORD_TEXT)};
static const char *const weights_type_names[] = {WEIGHTS_TYPES(WORD_TEXT)};

#undef WORD_TEXT

/* A value may come from the wire or a table, so it may lie outside; a number without a word is "?".
 */
static const char *word(const char *const *names, size_t count, unsigned value)
{
    return value < count && names[value] != NULL ? names[value] : "?";
}

const char *verdict_name(enum verdict v)
{
    return word(verdict_names, VERDICT_COUNT, (unsigned)v);
}

const char *stop_reason_name(enum stop_reason s)
{
    return word(stop_reason_names, STOP_COUNT, (unsigned)s);
}

const char *score_fault_name(enum score_fault f)
{
    return word(score_fault_names, SCORE_FAULT_COUNT, (unsigned)f);
}

const char *purpose_name(enum purpose p)
{
    return word(purpose_names, PURPOSE_COUNT, (unsigned)p);
}

const char *weights_type_name(enum weights_type t)
{
    return word(weights_type_names, WEIGHTS_TYPE_COUNT, (unsigned)t);
}

static int parse(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

int verdict_parse(const char *name)
{
    return parse(verdict_names, VERDICT_COUNT, name);
}

int weights_type_parse(const char *name)
{
    return parse(weights_type_names, WEIGHTS_TYPE_COUNT, name);
}
