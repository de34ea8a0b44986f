/* Micro-batches: every completion once and in order, below the limit, by lengths alone. */
#include "learner/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

enum { GROUPS = 9, N_MAX = 6 };

struct batch {
    struct train_group groups[GROUPS];
    struct train_completion completions[GROUPS][N_MAX];
};

static void batch_random(struct batch *b, uint64_t seed)
{
    static const uint32_t ids[64];
    struct rng r = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int g = 0; g < GROUPS; g++) {
        b->groups[g] = (struct train_group){ids, 1 + (uint32_t)rng_below(&r, 12), b->completions[g],
            (uint32_t)rng_below(&r, N_MAX + 1)};
        for (int i = 0; i < N_MAX; i++)
            b->completions[g][i] =
                (struct train_completion){ids + rng_below(&r, 20), 1 + (uint32_t)rng_below(&r, 40)};
    }
}

/* Walks the slices; every completion of the batch must come by once, in order, with its group's
 * prompt. */
static void check_covers(const struct batch *b, const struct packed *p)
{
    int g = 0;
    uint32_t k = 0;
    size_t token = 0, completion = 0, group = 0;
    for (size_t s = 0; s < p->slice_count; s++) {
        const struct pack_slice *sl = &p->slices[s];
        assert_int_equal(sl->token, token);
        assert_int_equal(sl->completion, completion);
        assert_int_equal(sl->group, group);
        for (size_t i = 0; i < sl->group_count; i++, group++) {
            const struct train_group *part = &p->groups[group];
            assert_true(part->n > 0);
            for (uint32_t c = 0; c < part->n; c++, k++) {
                while (k == b->groups[g].n) {
                    g++;
                    k = 0;
                }
                assert_int_equal(part->prompt_len, b->groups[g].prompt_len);
                assert_ptr_equal(part->completions[c].tokens, b->groups[g].completions[k].tokens);
                assert_int_equal(part->completions[c].len, b->groups[g].completions[k].len);
                token += part->completions[c].len;
                completion++;
            }
        }
        assert_int_equal(sl->token + sl->token_count, token);
        assert_int_equal(sl->completion + sl->completion_count, completion);
    }
    assert_int_equal(p->tokens, token);
    assert_int_equal(p->completions, completion);
    assert_int_equal(p->group_count, group);
    for (k = k < b->groups[g].n ? 1 : 0; g + 1 < GROUPS; g++)
        k += b->groups[g + 1].n;
    assert_int_equal(k, 0); /* nothing is left over */
}

static size_t rows_of(const struct packed *p, size_t slice)
{
    const struct pack_slice *s = &p->slices[slice];
    size_t rows = 0;
    for (size_t i = 0; i < s->group_count; i++)
        rows += train_group_rows(&p->groups[s->group + i]);
    return rows;
}

static void slices_cover_the_batch(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct batch b;
        batch_random(&b, seed);
        for (size_t rows_max = 1; rows_max < 3000; rows_max = rows_max * 3 + 1) {
            struct packed p;
            pack_batch(b.groups, GROUPS, &(struct pack_rule){rows_max, 1 + seed % 4}, &p);
            check_covers(&b, &p);
            for (size_t s = 0; s < p.slice_count; s++) {
                if (rows_of(&p, s) > rows_max) /* only a single completion may be over */
                    assert_int_equal(p.slices[s].completion_count, 1);
            }
            packed_done(&p);
        }
    }
}

static void pack_three(uint32_t rows_max, uint32_t shards, struct packed *ret)
{
    static const uint32_t ids[64];
    static const struct train_completion c[4] = {{ids, 11}, {ids, 11}, {ids, 11}, {ids, 11}};
    static const struct train_group g[3] = {{ids, 10, c, 4}, {ids, 10, c, 4}, {ids, 10, c, 4}};
    pack_batch(g, 3, &(struct pack_rule){rows_max, shards}, ret); /* 50 rows each */
}

static void a_group_that_fits_is_never_cut(void **state)
{
    (void)state;
    struct packed p;
    pack_three(99, 1, &p);
    assert_int_equal(p.slice_count, 3);
    packed_done(&p);
    pack_three(100, 1, &p);
    assert_int_equal(p.slice_count, 2);
    assert_int_equal(p.slices[0].group_count, 1); /* 1.5 each: what is left goes to the last */
    assert_int_equal(p.slices[1].group_count, 2);
    packed_done(&p);
    pack_three(49, 1, &p); /* one row too many: 3 + 1 completions, the prompt again */
    assert_int_equal(p.group_count, 6);
    assert_int_equal(p.groups[0].n, 3);
    assert_int_equal(p.groups[1].n, 1);
    packed_done(&p);
}

/* Room for all in one: every accumulator gets a share all the same, and no more are made. */
static void shards_share_the_rows(void **state)
{
    (void)state;
    struct packed p;
    pack_three(1000, 1, &p);
    assert_int_equal(p.slice_count, 1);
    packed_done(&p);
    pack_three(1000, 3, &p);
    assert_int_equal(p.slice_count, 3);
    packed_done(&p);
    pack_three(1000, 2, &p);
    assert_int_equal(p.slice_count, 2);
    packed_done(&p);
    pack_three(1000, 64, &p); /* more shards than groups */
    assert_int_equal(p.slice_count, 3);
    packed_done(&p);
}

/* Sixteen sequences of 256 rows in micro-batches of 2,048: eight and eight. */
static void equal_groups_make_equal_slices(void **state)
{
    (void)state;
    static const uint32_t ids[257];
    static const struct train_completion c = {ids, 256};
    struct train_group g[16];
    struct packed p;
    for (size_t i = 0; i < ARRAY_LEN(g); i++)
        g[i] = (struct train_group){ids, 1, &c, 1};
    pack_batch(g, ARRAY_LEN(g), &(struct pack_rule){2048, 2}, &p);
    assert_int_equal(p.slice_count, 2);
    assert_int_equal(p.slices[0].group_count, 8);
    packed_done(&p);
    pack_batch(g, ARRAY_LEN(g), &(struct pack_rule){1500, 2}, &p); /* 3 asked for, 4 made */
    assert_int_equal(p.slice_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p.slices[i].group_count, 4);
    packed_done(&p);
}

static void empty_batches(void **state)
{
    (void)state;
    static const uint32_t ids[1];
    struct train_group g = {ids, 1, NULL, 0};
    struct packed p;
    pack_batch(&g, 1, &(struct pack_rule){8, 2}, &p);
    assert_int_equal(p.slice_count, 0);
    packed_done(&p);
    pack_batch(NULL, 0, &(struct pack_rule){8, 2}, &p);
    assert_int_equal(p.slice_count, 0);
    packed_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_cover_the_batch),
        cmocka_unit_test(a_group_that_fits_is_never_cut),
        cmocka_unit_test(shards_share_the_rows),
        cmocka_unit_test(equal_groups_make_equal_slices),
        cmocka_unit_test(empty_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
