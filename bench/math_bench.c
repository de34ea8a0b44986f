/* math_bench.c: the time of the math checker per pair over a table of pairs, as a library and in a
 * worker process, and, with a second argument, beside Math-Verify run by that Python interpreter on
 * the same pairs.
 *
 * Usage: math_bench PAIRS.tsv [PYTHON]. Prints pairs, median, 99th percentile, maximum and pairs/s
 * for each, and the ratio of the medians.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "reward-server/scoring/math/pool.h"

enum { PAIRS_MAX = 4096, ROUNDS = 20 };

static const char peer[] =
    "import sys,time,warnings,logging\n"
    "warnings.simplefilter('ignore'); logging.disable(logging.CRITICAL)\n"
    "from math_verify import parse, verify\n"
    "t=[]\n"
    "for line in open(sys.argv[1]):\n"
    "    if line.startswith('# ') or '\\t' not in line: continue\n"
    "    a,b=line.rstrip('\\n').split('\\t')\n"
    "    s=time.perf_counter()\n"
    "    try: verify(parse('$'+a+'$'),parse('$'+b+'$'))\n"
    "    except Exception: pass\n"
    "    t.append((time.perf_counter()-s)*1e6)\n"
    "t.sort()\n"
    "print(len(t), t[len(t)//2], t[len(t)*99//100], t[-1], len(t)/sum(t)*1e6)\n";

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* In a worker when there is a pool. */
static void check(struct math_pool *pool, struct span reference, struct span answer)
{
    const struct math_request q = {reference, answer, true};
    struct math_outcome o;
    struct err e;
    if (pool == NULL) {
        (void)math_check_pair(reference, answer);
        return;
    }
    struct arena *a = arena_new(1 << 12);
    if (math_pool_grade(pool, &q, a, &o, &e) < 0)
        fprintf(stderr, "math_bench: %s\n", e.msg);
    arena_free(a);
}

/* The best of a few rounds, so that other work on the machine counts little. */
static double pair_us(struct math_pool *pool, struct span reference, struct span answer)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start_ns = clock_mono_ns();
        check(pool, reference, answer);
        double us = (double)(clock_mono_ns() - start_ns) / 1e3;
        best = i == 0 || us < best ? us : best;
    }
    return best;
}

/* Prints a line; the median, 0 when there are no pairs. */
static double measure(const char *name, struct math_pool *pool, const char *text)
{
    static double us[PAIRS_MAX];
    double sum = 0;
    size_t n = 0;
    for (const char *line = text, *end; n < PAIRS_MAX && *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        if (tab != NULL && strncmp(line, "# ", 2) != 0) {
            us[n] = pair_us(pool, (struct span){line, (size_t)(tab - line)},
                (struct span){tab + 1, (size_t)(end - tab - 1)});
            sum += us[n++];
        }
        end += *end == '\n';
    }
    if (n == 0)
        return 0;
    qsort(us, n, sizeof(us[0]), by_size);
    printf("%s %zu pairs, median %.1f us, p99 %.1f us, max %.1f us, %.0f pairs/s\n", name, n,
        us[n / 2], us[n * 99 / 100], us[n - 1], (double)n / sum * 1e6);
    return us[n / 2];
}

/* The median of Math-Verify, 0 when it does not run. */
static double measure_peer(const char *python, const char *pairs)
{
    double median = 0, p99 = 0, max = 0, rate = 0;
    unsigned n = 0;
    CLEANUP_FREE char *command = mem_printf("'%s' - '%s' <<'END'\n%s\nEND\n", python, pairs, peer);
    FILE *out = popen(command, "r");
    if (out == NULL || fscanf(out, "%u %lf %lf %lf %lf", &n, &median, &p99, &max, &rate) != 5)
        fprintf(stderr, "math_bench: Math-Verify did not run with '%s'\n", python);
    else
        printf("math-verify %u pairs, median %.0f us, p99 %.0f us, max %.0f us, %.0f pairs/s\n", n,
            median, p99, max, rate);
    if (out != NULL)
        (void)pclose(out); /* what it printed has been read */
    return median;
}

int main(int argc, char **argv)
{
    CLEANUP_BUF struct buf text = {0};
    struct math_pool *pool = NULL;
    struct err e;
    if (argc < 2) {
        fprintf(stderr, "usage: math_bench PAIRS.tsv [PYTHON]\n");
        return 2;
    }
    if (file_read(argv[1], 1 << 20, &text, &e) != 0 ||
        math_pool_open(NULL, MATH_POOL_DEADLINE_MS, &pool, &e) != 0) {
        fprintf(stderr, "math_bench: %s\n", e.msg);
        return 1;
    }
    const char *pairs = text.len > 0 ? (const char *)text.data : "";
    double median = measure("library", NULL, pairs), worker = measure("worker", pool, pairs);
    math_pool_close(pool);
    if (median == 0) {
        fprintf(stderr, "math_bench: no pairs in '%s'\n", argv[1]);
        return 1;
    }
    double peer_median = argc > 2 ? measure_peer(argv[2], argv[1]) : 0;
    if (peer_median > 0)
        printf("ratio of the medians %.0f, in a worker %.0f\n", peer_median / median,
            peer_median / worker);
    return 0;
}
