/* generator.c: running sums over keyed permutations. Everything random is keyed by (seed, kind of
 * rows, row), so that a dataset can be written again at any time with the same bytes.
 */
#include "common/text/generator.h"

#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"
#include "proto/limits.h"

/* Domains within RNG_DATA (rng_key.stage): rows of different use never share a draw. */
enum { STREAM_TASKS = 1, STREAM_DEMOS = 2, STREAM_DEMO_SHAPE = 3 };

enum tag { TAG_THINK, TAG_THINK_END, TAG_ANSWER, TAG_ANSWER_END, TAG_COUNT };
static const char *const tag_texts[TAG_COUNT] = {"<think>", "</think>", "<answer>", "</answer>"};

const char *generator_characters(void)
{
    return "0123456789=";
}

const char *const *generator_added_tokens(size_t *ret_count)
{
    static const char *const tokens[] = {
        "<|end|>", "<think>", "</think>", "<answer>", "</answer>", "steps", "pairs", "guess"};
    *ret_count = ARRAY_LEN(tokens);
    return tokens;
}

/* What is asked, whatever the generator's name. */
struct problem {
    unsigned digits, base, modulus;
    uint64_t space; /* base to the power of digits */
};

static int check_share(const char *name, double v, struct err *e)
{
    if (v >= 0 && v <= 1)
        return 0;
    return err_set(e, ERR_CONFIG, "generator: %s is %g, expected 0 to 1", name, v);
}

static int check_shares(const struct generator_options *o, struct err *e)
{
    int r = check_share("the share of steps", o->steps_share, e);
    if (r == 0)
        r = check_share("the share of pairs", o->pairs_share, e);
    if (r == 0)
        r = check_share(
            "the sum of the shares of steps and pairs", o->steps_share + o->pairs_share, e);
    if (r == 0)
        r = check_share("the share of dropped tags", o->drop_tag_share, e);
    return r;
}

static int problem_of(const struct generator_options *o, struct problem *ret, struct err *e)
{
    bool parity = strcmp(o->name, "parity") == 0;
    unsigned digits_max = parity ? GENERATOR_BITS_MAX : GENERATOR_DIGITS_MAX;
    if (!parity && strcmp(o->name, "modsum") != 0)
        return err_set(
            e, ERR_CONFIG, "generator '%s': unknown, expected modsum or parity", o->name);
    if (o->digits < 1 || o->digits > digits_max)
        return err_set(e, ERR_CONFIG, "generator %s: %u digits, expected 1 to %u", o->name,
            o->digits, digits_max);
    if (!parity && (o->modulus < 2 || o->modulus > 10))
        return err_set(
            e, ERR_CONFIG, "generator %s: modulus %u, expected 2 to 10", o->name, o->modulus);
    if (o->count < 1 || o->count > LIMIT_DATASET_ROWS)
        return err_set(e, ERR_CONFIG, "generator %s: %u rows, expected 1 to %d", o->name, o->count,
            LIMIT_DATASET_ROWS);
    struct problem p = {
        .digits = o->digits, .base = parity ? 2 : 10, .modulus = parity ? 2 : o->modulus};
    p.space = 1;
    for (unsigned i = 0; i < p.digits; i++)
        p.space *= p.base;
    *ret = p;
    return check_shares(o, e);
}

/* ---- one row ---- */

struct row {
    char digits[GENERATOR_BITS_MAX + 1];
    char sums[GENERATOR_BITS_MAX + 1]; /* the sum so far after each digit; the last is the answer */
};

static void row_of(const struct problem *p, uint64_t number, struct row *ret)
{
    unsigned sum = 0;
    for (unsigned i = p->digits; i-- > 0; number /= p->base)
        ret->digits[i] = (char)('0' + number % p->base);
    for (unsigned i = 0; i < p->digits; i++) {
        sum = (sum + (unsigned)(ret->digits[i] - '0')) % p->modulus;
        ret->sums[i] = (char)('0' + sum);
    }
    ret->digits[p->digits] = ret->sums[p->digits] = '\0';
}

static void put_thought(
    const struct generator_options *o, const struct row *row, double u, struct buf *out)
{
    if (u < o->steps_share) {
        buf_printf(out, "steps%s", row->sums);
    } else if (u < o->steps_share + o->pairs_share) {
        buf_puts(out, "pairs");
        for (uint32_t i = 0; i < o->digits; i++) {
            if (i % 2 == 1 || i + 1 == o->digits)
                buf_append(out, &row->sums[i], 1);
        }
    } else {
        buf_puts(out, "guess");
    }
}

/* No character of these texts needs an escape in JSON. */
static void put_demo(
    const struct generator_options *o, uint32_t n, const struct row *row, struct buf *out)
{
    struct rng rng = rng_stream((struct rng_key){
        .seed = o->seed, .domain = RNG_DATA, .stage = STREAM_DEMO_SHAPE, .ordinal = n});
    double mode = rng_next_uniform(&rng);
    bool drops = rng_next_uniform(&rng) < o->drop_tag_share;
    uint64_t dropped = drops ? rng_below(&rng, TAG_COUNT) : TAG_COUNT;
    buf_printf(out, "{\"prompt\":\"%s=\",\"completion\":\"", row->digits);
    for (unsigned tag = 0; tag < TAG_COUNT; tag++) {
        if (tag != dropped)
            buf_puts(out, tag_texts[tag]);
        if (tag == TAG_THINK)
            put_thought(o, row, mode, out);
        else if (tag == TAG_ANSWER)
            buf_append(out, &row->sums[o->digits - 1], 1);
    }
    buf_puts(out, "\"}\n");
}

static void put_task(const struct problem *p, const struct row *row, struct buf *out)
{
    buf_printf(
        out, "{\"prompt\":\"%s=\",\"answer\":\"%c\"}\n", row->digits, row->sums[p->digits - 1]);
}

/* ---- all rows ---- */

static bool in_split(const struct generator_options *o, const struct row *row)
{
    char prompt[GENERATOR_BITS_MAX + 2];
    (void)snprintf(prompt, sizeof(prompt), "%s=", row->digits);
    bool heldout = dataset_is_heldout(prompt, o->heldout_permille) != 0;
    return o->split == SPLIT_ALL || heldout == (o->split == SPLIT_HELDOUT);
}

/* Walks the permutation once (round 0, 1, ...) until count rows are written; returns rows written
 * so far. */
static uint32_t write_round(const struct generator_options *o, const struct problem *p,
    uint64_t round, uint32_t written, struct buf *out)
{
    struct rng_key key = {.seed = o->seed,
        .domain = RNG_DATA,
        .stage = o->demos ? STREAM_DEMOS : STREAM_TASKS,
        .ordinal = round};
    for (uint64_t i = 0; i < p->space && written < o->count; i++) {
        struct row row;
        row_of(p, rng_permute(&key, p->space, i), &row);
        if (!in_split(o, &row))
            continue;
        if (o->demos)
            put_demo(o, written, &row, out);
        else
            put_task(p, &row, out);
        written++;
    }
    return written;
}

int generator_write(const struct generator_options *o, struct buf *out_jsonl, struct err *e)
{
    struct problem p;
    int r = problem_of(o, &p, e);
    if (r != 0)
        return r;
    if (o->split == SPLIT_HELDOUT && o->heldout_permille == 0)
        return err_set(
            e, ERR_CONFIG, "generator %s: held-out rows of a split of 0 per mille", o->name);
    if (o->split == SPLIT_TRAIN && o->heldout_permille >= 1000)
        return err_set(
            e, ERR_CONFIG, "generator %s: training rows, but every row is held out", o->name);
    size_t before = out_jsonl->len;
    uint32_t first = write_round(o, &p, 0, 0, out_jsonl), written = first;
    for (uint64_t round = 1; o->demos && first > 0 && written < o->count; round++)
        written = write_round(o, &p, round, written, out_jsonl);
    if (written == o->count)
        return 0;
    out_jsonl->len = before;
    return err_set(e, ERR_CONFIG,
        "generator %s: the split has %u different prompts, %u rows were asked for", o->name,
        written, o->count);
}
