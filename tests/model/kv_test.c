/* kv_test.c: pages are zero when taken, shared when full, copied where a prompt ends, and all of
 * them come back. */
#include "tests/model/fixture.h"

#include <string.h>

#include "common/model/kv.h"

enum { LAYERS = 2, LAYER_FLOATS = 96, PAGE_FLOATS = LAYERS * LAYER_FLOATS };

static void make(struct kv *kv, size_t pages)
{
    struct err err;
    assert_ok(kv_init(kv, LAYERS, LAYER_FLOATS, pages, &err));
}

static void dirty(struct kv_seq *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        memset(s->pages[i], 0x5a + (int)i, PAGE_FLOATS * sizeof(float));
}

static void reserve_is_exact(void **state)
{
    (void)state;
    struct kv kv;
    struct kv_seq a, b;
    make(&kv, 5);
    kv_seq_init(&a, 5);
    kv_seq_init(&b, 5);
    assert_false(kv_reserve(&kv, &a, 6));
    assert_true(kv_reserve(&kv, &a, 3));
    assert_false(kv_reserve(&kv, &b, 3));
    assert_true(kv_reserve(&kv, &b, 2));
    assert_true(kv_reserve(&kv, &b, 0));
    assert_int_equal(kv_room(&kv), 0);
    kv_extend(&kv, &a, 64);
    assert_int_equal(a.count, 1);
    kv_extend(&kv, &a, 65);
    assert_int_equal(a.count, 2);
    kv_extend(&kv, &a, 1);
    assert_int_equal(a.count, 2);
    assert_int_equal(kv.used, 2);
    assert_int_equal(kv_room(&kv), 0);
    kv_release(&kv, &a);
    assert_int_equal(kv_room(&kv), 3);
    kv_release(&kv, &b);
    assert_int_equal(kv_room(&kv), 5);
    kv_release(&kv, &b); /* nothing is left to give back */
    assert_int_equal(kv_room(&kv), 5);
    kv_seq_done(&a);
    kv_seq_done(&b);
    kv_done(&kv);
}

static void taken_pages_are_zero(void **state)
{
    (void)state;
    struct kv kv;
    struct kv_seq s;
    make(&kv, 3);
    kv_seq_init(&s, 3);
    for (int round = 0; round < 3; round++) {
        assert_true(kv_reserve(&kv, &s, 3));
        kv_extend(&kv, &s, 192);
        for (uint32_t i = 0; i < 3; i++) {
            for (size_t k = 0; k < PAGE_FLOATS; k++)
                assert_true(s.pages[i][k] == 0);
        }
        dirty(&s);
        kv_release(&kv, &s);
    }
    kv_seq_done(&s);
    kv_done(&kv);
}

static void fork_shares_full_pages(void **state)
{
    (void)state;
    static const size_t prompts[] = {1, 63, 64, 65, 127, 128, 129};
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
        struct kv kv;
        struct kv_seq prompt, child[2];
        size_t P = prompts[i], full = P / 64, straddles = P % 64 != 0;
        make(&kv, 20);
        kv_seq_init(&prompt, 4);
        assert_true(kv_reserve(&kv, &prompt, kv_pages_for(P)));
        kv_extend(&kv, &prompt, P);
        dirty(&prompt);
        for (int k = 0; k < 2; k++) {
            kv_seq_init(&child[k], 4);
            assert_true(kv_reserve(&kv, &child[k], 2));
            kv_fork(&kv, &child[k], &prompt, P);
            assert_int_equal(child[k].count, full + straddles);
            for (uint32_t p = 0; p < child[k].count; p++) {
                assert_int_equal(child[k].pages[p] == prompt.pages[p], p < full);
                assert_memory_equal(
                    child[k].pages[p], prompt.pages[p], PAGE_FLOATS * sizeof(float));
            }
        }
        assert_int_equal(kv.used, full + 3 * straddles);
        /* The prompt may go first: its pages live as long as one completion does. */
        kv_release(&kv, &prompt);
        assert_int_equal(kv.used, full + 2 * straddles);
        kv_release(&kv, &child[0]);
        kv_extend(&kv, &child[1], P + 64);
        for (uint32_t p = 0; p < full; p++)
            assert_int_equal(((unsigned char *)child[1].pages[p])[0], 0x5a + p);
        kv_release(&kv, &child[1]);
        assert_int_equal(kv_room(&kv), 20);
        kv_seq_done(&prompt);
        kv_seq_done(&child[0]);
        kv_seq_done(&child[1]);
        kv_done(&kv);
    }
}

/* Random opening, growing, forking and closing against a count kept by hand. */
static void random_life(void **state)
{
    (void)state;
    enum { SEQS = 12, PAGES = 40, CAP = 6 };
    struct rng r = fixture_rng(0);
    struct kv kv;
    struct kv_seq s[SEQS];
    make(&kv, PAGES);
    for (int i = 0; i < SEQS; i++)
        kv_seq_init(&s[i], CAP);
    for (int turn = 0; turn < 20000; turn++) {
        struct kv_seq *one = &s[pick(&r, 0, SEQS - 1)], *other = &s[pick(&r, 0, SEQS - 1)];
        if (one->count > 0 || one->reserved > 0) {
            size_t most = 64 * (one->count + one->reserved);
            if (pick(&r, 0, 2) == 0)
                kv_release(&kv, one);
            else
                kv_extend(&kv, one, pick(&r, 0, (uint32_t)(most < 64 * CAP ? most : 64 * CAP)));
        } else if (kv_reserve(&kv, one, pick(&r, 1, CAP)) && other != one && other->count > 0) {
            kv_fork(&kv, one, other, pick(&r, 1, 64 * other->count));
        }
        size_t promised = 0, distinct = 0;
        float *seen[SEQS * CAP];
        for (int i = 0; i < SEQS; i++) {
            promised += s[i].reserved;
            for (uint32_t p = 0; p < s[i].count; p++) {
                size_t at = 0;
                while (at < distinct && seen[at] != s[i].pages[p])
                    at++;
                if (at == distinct)
                    seen[distinct++] = s[i].pages[p];
            }
        }
        assert_int_equal(kv.used, distinct);
        assert_int_equal(kv.reserved, promised);
        assert_true(distinct + promised <= PAGES);
    }
    for (int i = 0; i < SEQS; i++) {
        kv_release(&kv, &s[i]);
        kv_seq_done(&s[i]);
    }
    assert_int_equal(kv_room(&kv), PAGES);
    kv_done(&kv);
}

static void gradients_of_a_layer_clear(void **state)
{
    (void)state;
    struct err err;
    struct kv kv;
    struct kv_seq s;
    make(&kv, 2);
    kv_seq_init(&s, 2);
    assert_ok(kv_need_gradients(&kv, &err));
    for (int round = 0; round < 3; round++) {
        assert_ok(kv_need_gradients(&kv, &err));
        assert_true(kv_reserve(&kv, &s, 2));
        kv_extend(&kv, &s, 128);
        assert_true(kv_gradient(&kv, s.pages[0]) != kv_gradient(&kv, s.pages[1]));
        kv_clear_gradients(&kv);
        for (size_t k = 0; k < kv.layer_floats; k++)
            assert_true(kv_gradient(&kv, s.pages[1])[k] == 0);
        kv_gradient(&kv, s.pages[1])[kv.layer_floats - 1] = 1;
        kv_release(&kv, &s);
    }
    kv_seq_done(&s);
    kv_done(&kv);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_is_exact),
        cmocka_unit_test(taken_pages_are_zero),
        cmocka_unit_test(fork_shares_full_pages),
        cmocka_unit_test(random_life),
        cmocka_unit_test(gradients_of_a_layer_clear),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
