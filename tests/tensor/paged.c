/* paged.c: see paged.h. */
#include "tests/tensor/paged.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct attention_shape shape_draw(void)
{
    static const uint32_t sizes[] = {2, 6, 8, 16, 16, 24, 32, 48, 64, 80, 96, 128};
    struct attention_shape s = {.J = (uint32_t)check_size(1, 3), .D = sizes[check_size(0, 11)]};
    s.H = s.J * (uint32_t)check_size(1, 3);
    s.scale = 1.0f / sqrtf((float)s.D);
    return s;
}

struct naive_shape shape_naive(struct attention_shape s)
{
    return (struct naive_shape){.H = s.H, .J = s.J, .D = s.D, .scale = (double)s.scale};
}

float **pages_zero(size_t pages, struct attention_shape s)
{
    float **page = malloc((pages + 1) * sizeof(*page));
    assert_non_null(page);
    for (size_t i = 0; i < pages; i++) {
        page[i] = calloc(kv_page_floats(s.J, s.D), sizeof(float));
        assert_non_null(page[i]);
    }
    return page;
}

void pages_free(float **page, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        free(page[i]);
    free(page);
}

struct mat pages_mat(float *const *page, size_t pages, struct attention_shape s)
{
    size_t n = kv_page_floats(s.J, s.D);
    struct mat m = mat_dense(pages, n);
    for (size_t i = 0; i < pages; i++)
        memcpy(m.p + i * n, page[i], n * sizeof(float));
    return m;
}

/* Filled by several calls, so that runs start and end inside pages. */
struct paged paged_new(const struct ops *o, struct attention_shape s, size_t positions)
{
    struct paged p = {.s = s, .positions = positions, .pages = (positions + KV_PAGE - 1) / KV_PAGE};
    p.k = mat_new(positions, (size_t)s.J * s.D);
    p.v = mat_new(positions, (size_t)s.J * s.D);
    p.page = pages_zero(p.pages, s);
    for (size_t pos = 0, n; pos < positions; pos += n) {
        n = check_size(1, positions - pos);
        o->kv_put(
            p.page, p.k.p + pos * p.k.ld, p.k.ld, p.v.p + pos * p.v.ld, p.v.ld, pos, n, s.J, s.D);
    }
    return p;
}

void paged_attention(const struct ops *o, float *out, size_t ldo, float *lse, const float *q,
    size_t ldq, const struct paged *p, size_t pos0, size_t T)
{
    struct span span = {.rows = T, .pos0 = pos0, .pages = p->page};
    o->attention(out, ldo, lse, q, ldq, &span, 1, 0, p->s, 0, p->s.J);
}

void paged_done(struct paged *p)
{
    mat_done(&p->k);
    mat_done(&p->v);
    pages_free(p->page, p->pages);
}
