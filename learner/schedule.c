/* schedule.c: constant, linear and cosine learning rates with linear warm-up. */
#include "learner/schedule.h"

/* cos(pi x) for 0 <= x <= 1. libm's bits differ between versions, and the rate is part of what
 * makes two runs equal: this is the Taylor series about 0 after folding x to 0..1/2, error below
 * 1e-15. */
static double cos_pi(double x)
{
    double sign = 1;
    if (x > 0.5) {
        x = 1 - x;
        sign = -1;
    }
    double t = x * 0x1.921fb54442d18p+1, t2 = t * t, term = 1, sum = 1;
    for (int k = 2; k <= 22; k += 2) {
        term = -term * t2 / (k * (k - 1));
        sum += term;
    }
    return sign * sum;
}

double schedule_lr(const struct recipe_optim *o, uint64_t update, uint64_t total)
{
    if (update < o->warmup)
        return o->lr * (double)(update + 1) / (double)o->warmup;
    if (o->schedule == SCHEDULE_CONSTANT)
        return o->lr;
    double span = total > (uint64_t)o->warmup + 1 ? (double)(total - 1 - o->warmup) : 1;
    double done = (double)(update - o->warmup) / span;
    if (done > 1)
        done = 1;
    double left = o->schedule == SCHEDULE_LINEAR ? 1 - done : (1 + cos_pi(done)) / 2;
    return o->lr * (o->lr_final + (1 - o->lr_final) * left);
}
