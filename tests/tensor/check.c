/* check.c: see check.h. */
#include "tests/tensor/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 24 };
static const uint32_t guard_bits = 0x7fc0ab1eu;

static uint64_t base_seed = 1, state;

void check_start(int argc, char **argv)
{
    if (argc > 1)
        base_seed = strtoull(argv[1], NULL, 10);
    printf("seed %llu\n", (unsigned long long)base_seed);
}

void check_reseed(uint64_t i)
{
    state = base_seed * 0x2545f4914f6cdd1du + i * 0x9e3779b97f4a7c15u;
    (void)check_u64();
}

uint64_t check_u64(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t check_size(size_t low, size_t high)
{
    return low + (size_t)(check_u64() % (high - low + 1));
}

float check_float(void)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (double)(check_u64() >> 11) * 0x1p-53 - 0.5;
    return (float)(sum * 1.4142135623730951);
}

static float guard_value(void)
{
    float f;
    memcpy(&f, &guard_bits, sizeof(f));
    return f;
}

static struct mat mat_make(size_t rows, size_t cols, size_t ld)
{
    struct mat m = {.rows = rows, .cols = cols, .ld = ld};
    m.block_floats = rows * ld + (size_t)2 * GUARD;
    m.block = malloc(m.block_floats * sizeof(float));
    assert_non_null(m.block);
    for (size_t i = 0; i < m.block_floats; i++)
        m.block[i] = guard_value();
    m.p = m.block + GUARD;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            m.p[r * ld + c] = check_float();
    return m;
}

struct mat mat_new(size_t rows, size_t cols)
{
    return mat_make(rows, cols, cols + check_size(0, 7));
}

struct mat mat_dense(size_t rows, size_t cols)
{
    return mat_make(rows, cols, cols);
}

struct mat mat_copy(const struct mat *m)
{
    struct mat c = *m;
    c.block = malloc(m->block_floats * sizeof(float));
    assert_non_null(c.block);
    memcpy(c.block, m->block, m->block_floats * sizeof(float));
    c.p = c.block + GUARD;
    return c;
}

void mat_fill(struct mat *m, float f)
{
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++)
            m->p[r * m->ld + c] = f;
}

static int mat_holds(const struct mat *m, size_t block_index)
{
    if (block_index < GUARD || block_index >= GUARD + m->rows * m->ld)
        return 0;
    return (block_index - GUARD) % m->ld < m->cols;
}

void mat_done(struct mat *m)
{
    for (size_t i = 0; i < m->block_floats; i++)
        if (!mat_holds(m, i) && memcmp(&m->block[i], &guard_bits, sizeof(float)) != 0)
            fail_msg("%zu x %zu (ld %zu): written outside, at float %td", m->rows, m->cols, m->ld,
                (ptrdiff_t)i - GUARD);
    free(m->block);
    m->block = m->p = NULL;
}

double *mat_double(const struct mat *m)
{
    double *d = malloc((m->rows * m->cols + 1) * sizeof(double));
    assert_non_null(d);
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++)
            d[r * m->cols + c] = (double)m->p[r * m->ld + c];
    return d;
}

void assert_near(double got, double expected, double tolerance, const char *what)
{
    if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%s: %.9g, expected %.9g", what, got, expected);
}

void mat_assert_near(
    const struct mat *m, const double *expected, double tolerance, const char *what)
{
    for (size_t r = 0; r < m->rows; r++) {
        for (size_t c = 0; c < m->cols; c++) {
            char name[160];
            (void)snprintf(
                name, sizeof(name), "%s [%zu][%zu] of %zu x %zu", what, r, c, m->rows, m->cols);
            assert_near((double)m->p[r * m->ld + c], expected[r * m->cols + c], tolerance, name);
        }
    }
}

void mat_assert_same_bits(const struct mat *a, const struct mat *b, const char *what)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    for (size_t r = 0; r < a->rows; r++)
        for (size_t c = 0; c < a->cols; c++)
            if (memcmp(&a->p[r * a->ld + c], &b->p[r * b->ld + c], sizeof(float)) != 0)
                fail_msg("%s [%zu][%zu] of %zu x %zu: %a and %a", what, r, c, a->rows, a->cols,
                    (double)a->p[r * a->ld + c], (double)b->p[r * b->ld + c]);
}

size_t isas(const struct ops *ret[ISAS_MAX])
{
    static const char *const names[] = {"portable", "avx2", "avx512", "avx512vnni", "amx"};
    static int told;
    size_t n = 0;
    for (size_t i = 0; i < ISAS_MAX; i++) {
        struct err e = {0};
        if (ops_select(names[i], &ret[n], &e) == 0)
            n++;
        else if (!told)
            printf("skip: %s\n", e.msg);
    }
    told = 1;
    return n;
}

double *gradient(double (*loss)(void *ctx), void *ctx, double *x, size_t n)
{
    const double h = 1e-5;
    double *g = malloc((n + 1) * sizeof(double));
    assert_non_null(g);
    for (size_t i = 0; i < n; i++) {
        double kept = x[i];
        x[i] = kept + h;
        double up = loss(ctx);
        x[i] = kept - h;
        double down = loss(ctx);
        x[i] = kept;
        g[i] = (up - down) / (2 * h);
    }
    return g;
}
