/* stats.c: intervals and estimators of evaluations. */
#include "common/base/stats.h"

#include <assert.h>
#include <math.h>

/* Two-sided 95 % quantile of the standard normal distribution. */
static const double Z95 = 1.959963984540054;

void stats_wilson(double passes, double n, double *ret_low, double *ret_high)
{
    if (!(n > 0)) {
        *ret_low = 0;
        *ret_high = 1;
        return;
    }
    double p = passes / n, z2n = Z95 * Z95 / n;
    double centre = (p + z2n / 2) / (1 + z2n);
    double half = Z95 * sqrt(p * (1 - p) / n + z2n / (4 * n)) / (1 + z2n);
    /* The exact bounds at p = 0 and p = 1 are 0 and 1; rounding must not move them outside. */
    *ret_low = passes <= 0 ? 0 : fmax(0, centre - half);
    *ret_high = passes >= n ? 1 : fmin(1, centre + half);
}

double stats_pass_at_k(unsigned n, unsigned c, unsigned k)
{
    assert(k <= n);
    assert(c <= n);
    if (n - c < k)
        return k == 0 ? 0 : 1;
    /* C(n-c, k)/C(n, k) as a product of c factors: no factorial overflows. */
    double miss = 1;
    for (unsigned i = n - c + 1; i <= n; i++)
        miss *= 1 - (double)k / i;
    return 1 - miss;
}
