/* math_soak_test.c: the math checker over the tables of pairs again and again: memory stays flat,
 * and no pair takes more steps than are stated.
 *
 * Usage: math_soak_test DIRECTORY [PAIRS]: at least that many pairs, rounded up to whole rounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/math/check.h"

enum { PAIRS_MAX = 4096, GROWTH_PAGES_MAX = 256, TABLES = 4 };

static const char *const names[TABLES] = {
    "right.tsv", "wrong.tsv", "hard_right.tsv", "hard_wrong.tsv"};

static const char *directory = "tests/scoring/pairs";
static unsigned long wanted = 200000;

struct pair {
    struct span reference, answer;
};

struct table {
    struct buf text[TABLES]; /* owned; the pairs point into them */
    struct pair at[PAIRS_MAX];
    size_t n;
};

static void load(struct table *t, size_t k, const char *name)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", directory, name);
    struct err e;
    if (file_read(path, 1 << 20, &t->text[k], &e) < 0)
        fail_msg("%s", e.msg);
    for (char *line = (char *)t->text[k].data; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n'), *next = end != NULL ? end + 1 : NULL;
        size_t n = end != NULL ? (size_t)(end - line) : strlen(line);
        const char *tab = memchr(line, '\t', n);
        if (tab != NULL && strncmp(line, "# ", 2) != 0 && t->n < PAIRS_MAX)
            t->at[t->n++] = (struct pair){
                {line, (size_t)(tab - line)}, {tab + 1, n - (size_t)(tab + 1 - line)}};
        line = next;
    }
}

static unsigned long resident_pages(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f != NULL)
        (void)fclose(f);
    return pages;
}

static size_t run_once(const struct table *t)
{
    size_t most = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct math_verdict v = math_check_pair(t->at[i].reference, t->at[i].answer);
        most = v.steps > most ? v.steps : most;
    }
    return most;
}

static void memory_is_flat(void **state)
{
    static struct table t;
    for (size_t k = 0; k < TABLES; k++)
        load(&t, k, names[k]);
    assert_true(t.n > 1000);
    size_t most = run_once(&t); /* what FLINT keeps for a thread is there after a round */
    unsigned long before = resident_pages(), done = 0;
    for (; done < wanted; done += t.n)
        assert_int_equal(run_once(&t), most); /* the same steps each time */
    unsigned long after = resident_pages();
    print_message("%lu pairs, at most %zu steps, %lu then %lu pages\n", done, most, before, after);
    assert_true(most <= MATH_STEPS_MAX);
    assert_true(after <= before + GROWTH_PAGES_MAX);
    ball_thread_done();
    for (size_t k = 0; k < TABLES; k++)
        buf_done(&t.text[k]);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        directory = argv[1];
    if (argc > 2)
        wanted = strtoul(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_is_flat)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
