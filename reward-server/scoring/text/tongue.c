/* tongue.c: see tongue.h. */
#include "reward-server/scoring/text/tongue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/text/utf8.h"
#include "reward-server/scoring/text/short_words.h"

/* Weights are halves of a bit, as those of the trigrams. */
enum {
    TABLE_SLOTS = 1 << 13,
    SHORT_WORD = 9,    /* one of a language's short words */
    OWN_LETTER = 9,    /* a letter that few languages have */
    OWN_SIGN = 3,      /* a Han character of one language's grammar */
    TRIGRAMS_MAX = 12, /* all trigrams of a word together */
    UNKNOWN_WORD = 3,  /* any word of three letters may be of a language without a table */
    CHANGE = 13,       /* of language, from one word to the next */
    IMPOSSIBLE = -10000,
};

static const char *const codes[TONGUE_COUNT] = {"en", "de", "fr", "es", "it", "pt", "nl", "??",
    "ru", "uk", "zh", "ja", "ko", "el", "ar", "he", "hi", "th", "??"};

const char *tongue_code(enum tongue t)
{
    return (unsigned)t < TONGUE_COUNT ? codes[t] : "??";
}

int tongue_parse(const char *code)
{
    for (int i = 0; i < TONGUE_COUNT; i++) {
        if (strcmp(codes[i], code) == 0 && codes[i][0] != '?')
            return i;
    }
    return -1;
}

const char *tongue_codes(void)
{
    return "en, de, fr, es, it, pt, nl, ru, uk, zh, ja, ko, el, ar, he, hi or th";
}

/* ---- the table ---- */

/* Open addressing by the key; a key of 0 is a free slot. */
struct slot {
    uint64_t key;
    uint8_t weight[TONGUE_COUNT];
};

struct tongue_table {
    struct slot slots[TABLE_SLOTS];
    size_t used;
};

static uint64_t key_of(const uint32_t *letters, size_t n, uint64_t kind)
{
    uint64_t h = 0xcbf29ce484222325 ^ kind; /* FNV-1a over code points */
    for (size_t i = 0; i < n; i++)
        h = (h ^ letters[i]) * 0x100000001b3;
    return h | 1;
}

static const struct slot *find(const struct tongue_table *t, uint64_t key)
{
    size_t at = (key >> 7) % TABLE_SLOTS;
    while (t->slots[at].key != 0 && t->slots[at].key != key)
        at = (at + 1) % TABLE_SLOTS;
    return &t->slots[at];
}

static void put(struct tongue_table *t, uint64_t key, enum tongue tongue, int weight)
{
    struct slot *s = &t->slots[find(t, key) - t->slots];
    assert(t->used < TABLE_SLOTS / 2);
    t->used += s->key == 0;
    s->key = key;
    s->weight[tongue] = (uint8_t)weight;
}

enum { KIND_WORD = 1, KIND_TRIGRAM = 2 };

static const char *const trigrams[TONGUE_TRIGRAMS] = {
#include "reward-server/scoring/text/trigrams.inc"
};

static void put_trigrams(struct tongue_table *t, enum tongue tongue)
{
    const char *at = trigrams[tongue];
    while (*at != '\0') {
        uint32_t letters[3];
        for (size_t i = 0; i < 3; i++)
            at += utf8_next(at, strlen(at), &letters[i]);
        put(t, key_of(letters, 3, KIND_TRIGRAM), tongue, *at++ - '0');
    }
}

static void put_words(struct tongue_table *t, const char *list, enum tongue tongue)
{
    uint32_t letters[PROSE_LETTERS_MAX];
    size_t n = 0, len = strlen(list);
    for (size_t i = 0; i <= len; i++) {
        uint32_t cp;
        if (i < len && list[i] != ' ') {
            i += utf8_next(list + i, len - i, &cp) - 1;
            letters[n++] = cp;
        } else if (n > 0) {
            put(t, key_of(letters, n, KIND_WORD), tongue, SHORT_WORD);
            n = 0;
        }
    }
}

struct tongue_table *tongue_table_new(void)
{
    struct tongue_table *t = mem_alloc(sizeof(*t));
    for (int i = 0; i < TONGUE_TRIGRAMS; i++)
        put_trigrams(t, (enum tongue)i);
    for (size_t i = 0; i < short_word_list_count; i++)
        put_words(t, short_word_lists[i].words, short_word_lists[i].tongue);
    return t;
}

void tongue_table_free(struct tongue_table *t)
{
    free(t);
}

/* ---- evidence of a word ---- */

static void add_slot(const struct slot *s, int ret[TONGUE_COUNT])
{
    for (int i = 0; s->key != 0 && i < TONGUE_COUNT; i++)
        ret[i] += s->weight[i];
}

/* Letters that only some languages have; a word with another one is in none of the table. */
static void add_letters(const struct prose_word *w, int ret[TONGUE_COUNT])
{
    for (size_t i = 0; i < w->count; i++) {
        uint32_t cp = w->letters[i];
        bool known = cp < 0x80;
        for (size_t k = 0; k < own_letter_count; k++) {
            if (own_letters[k].cp == cp) {
                ret[own_letters[k].tongue] += OWN_LETTER;
                known = true;
            }
        }
        if (!known && w->script == SCRIPT_LATIN)
            ret[TONGUE_LATIN] += OWN_LETTER;
    }
}

static void evidence_latin(
    const struct tongue_table *t, const struct prose_word *w, int ret[TONGUE_COUNT])
{
    uint32_t edged[PROSE_LETTERS_MAX + 2];
    edged[0] = edged[w->count + 1] = '_';
    memcpy(edged + 1, w->letters, w->count * sizeof(*edged));
    for (size_t i = 0; w->count > 2 && i + 3 <= w->count + 2; i++)
        add_slot(find(t, key_of(edged + i, 3, KIND_TRIGRAM)), ret);
    for (int i = 0; i < TONGUE_TRIGRAMS; i++)
        ret[i] = ret[i] < TRIGRAMS_MAX ? ret[i] : TRIGRAMS_MAX;
    if (w->count > 2)
        ret[TONGUE_LATIN] += UNKNOWN_WORD;
}

static void allow(int ret[TONGUE_COUNT], enum tongue first, enum tongue last)
{
    for (int i = first; i <= (int)last; i++)
        ret[i] = 0;
}

void tongue_evidence(
    const struct tongue_table *t, const struct prose_word *w, int ret[TONGUE_COUNT])
{
    static const enum tongue of_script[SCRIPT_COUNT] = {[SCRIPT_NONE] = TONGUE_OTHER,
        [SCRIPT_MARK] = TONGUE_OTHER,
        [SCRIPT_GREEK] = TONGUE_EL,
        [SCRIPT_HEBREW] = TONGUE_HE,
        [SCRIPT_ARABIC] = TONGUE_AR,
        [SCRIPT_DEVANAGARI] = TONGUE_HI,
        [SCRIPT_THAI] = TONGUE_TH,
        [SCRIPT_KANA] = TONGUE_JA,
        [SCRIPT_HANGUL] = TONGUE_KO,
        [SCRIPT_OTHER] = TONGUE_OTHER};
    for (int i = 0; i < TONGUE_COUNT; i++)
        ret[i] = IMPOSSIBLE;
    if (w->script == SCRIPT_LATIN) {
        allow(ret, TONGUE_EN, TONGUE_LATIN);
        evidence_latin(t, w, ret);
    } else if (w->script == SCRIPT_CYRILLIC) {
        allow(ret, TONGUE_RU, TONGUE_UK);
    } else if (w->script == SCRIPT_HAN) {
        allow(ret, TONGUE_ZH, TONGUE_JA);
        ret[TONGUE_ZH] = 1; /* a long run without kana is Chinese */
        const struct slot *s = find(t, key_of(w->letters, 1, KIND_WORD));
        for (int i = TONGUE_ZH; s->key != 0 && i <= TONGUE_JA; i++)
            ret[i] += s->weight[i] != 0 ? OWN_SIGN : 0;
        return;
    } else {
        ret[of_script[w->script]] = 0;
        return;
    }
    add_slot(find(t, key_of(w->letters, w->count, KIND_WORD)), ret);
    add_letters(w, ret);
}

/* ---- a sequence of words ---- */

void tongue_path_init(struct tongue_path *p, enum tongue expected)
{
    *p = (struct tongue_path){0};
    p->score[expected] = 1;
}

/* Scores are kept relative to the best, and none falls below a change away from it. */
void tongue_path_add(struct tongue_path *p, const int evidence[TONGUE_COUNT])
{
    int best = 0, top = 2 * IMPOSSIBLE;
    assert(p->count < TONGUE_CHUNK);
    for (int i = 1; i < TONGUE_COUNT; i++)
        best = p->score[i] > p->score[best] ? i : best;
    int changed = p->score[best] - CHANGE;
    for (int i = 0; i < TONGUE_COUNT; i++) {
        bool stays = p->score[i] >= changed;
        p->from[p->count][i] = (uint8_t)(stays ? i : best);
        p->score[i] = (stays ? p->score[i] : changed) + evidence[i];
        top = p->score[i] > top ? p->score[i] : top;
    }
    for (int i = 0; i < TONGUE_COUNT; i++)
        p->score[i] -= top;
    p->count++;
}

void tongue_path_take(struct tongue_path *p, uint8_t ret[TONGUE_CHUNK])
{
    int at = 0;
    for (int i = 1; i < TONGUE_COUNT; i++)
        at = p->score[i] > p->score[at] ? i : at;
    for (size_t w = p->count; w-- > 0;) {
        ret[w] = (uint8_t)at;
        at = p->from[w][at];
    }
    p->count = 0;
}
