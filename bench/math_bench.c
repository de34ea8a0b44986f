/* math_bench.c: the time of the math checker per pair over a table of pairs, and, with a second
 * argument, beside Math-Verify run by that Python interpreter on the same pairs.
 *
 * Usage: math_bench PAIRS.tsv [PYTHON]. Prints pairs, median, 99th percentile and maximum in
 * microseconds for each program, and the ratio of the medians.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "reward-server/scoring/math/check.h"

enum { PAIRS_MAX = 4096, ROUNDS = 20 };

static const char peer[] = "import sys,time,warnings,logging\n"
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
                           "print(len(t), t[len(t)//2], t[len(t)*99//100], t[-1])\n";

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The best of a few rounds, so that other work on the machine counts little. */
static double pair_us(struct span reference, struct span answer)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start_ns = clock_mono_ns();
        (void)math_check_pair(reference, answer);
        double us = (double)(clock_mono_ns() - start_ns) / 1e3;
        best = i == 0 || us < best ? us : best;
    }
    return best;
}

static size_t measure(char *text, double *us)
{
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line != NULL && n < PAIRS_MAX;
         line = strtok(NULL, "\n")) {
        char *tab = strchr(line, '\t');
        if (tab == NULL || strncmp(line, "# ", 2) == 0)
            continue;
        us[n++] = pair_us(
            (struct span){line, (size_t)(tab - line)}, (struct span){tab + 1, strlen(tab + 1)});
    }
    return n;
}

/* The median of Math-Verify, 0 when it does not run. */
static double measure_peer(const char *python, const char *pairs)
{
    double median = 0, p99 = 0, max = 0;
    unsigned n = 0;
    CLEANUP_FREE char *command = mem_printf("'%s' - '%s' <<'END'\n%s\nEND\n", python, pairs, peer);
    FILE *out = popen(command, "r");
    if (out == NULL || fscanf(out, "%u %lf %lf %lf", &n, &median, &p99, &max) != 4)
        fprintf(stderr, "math_bench: Math-Verify did not run with '%s'\n", python);
    else
        printf("math-verify %u pairs, median %.0f us, p99 %.0f us, max %.0f us\n", n, median, p99,
            max);
    if (out != NULL)
        (void)pclose(out); /* what it printed has been read */
    return median;
}

int main(int argc, char **argv)
{
    static double us[PAIRS_MAX];
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    if (argc < 2) {
        fprintf(stderr, "usage: math_bench PAIRS.tsv [PYTHON]\n");
        return 2;
    }
    if (file_read(argv[1], 1 << 20, &text, &e) != 0) {
        fprintf(stderr, "math_bench: %s\n", e.msg);
        return 1;
    }
    size_t n = measure((char *)text.data, us);
    if (n == 0) {
        fprintf(stderr, "math_bench: no pairs in '%s'\n", argv[1]);
        return 1;
    }
    qsort(us, n, sizeof(us[0]), by_size);
    printf("cohort %zu pairs, median %.1f us, p99 %.1f us, max %.1f us\n", n, us[n / 2],
        us[n * 99 / 100], us[n - 1]);
    double median = argc > 2 ? measure_peer(argv[2], argv[1]) : 0;
    if (median > 0)
        printf("ratio of the medians %.0f\n", median / us[n / 2]);
    return 0;
}
