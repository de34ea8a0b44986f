/* attention.h: what the forward and the backward of attention share: where things lie in a page,
 * and the product of one vector with a page. Included by kernel sources only.
 */
#ifndef COHORT_TENSOR_ATTENTION_H
#define COHORT_TENSOR_ATTENTION_H

#include "common/tensor/kernels.h"

enum { PAGE_GROUPS = KV_PAGE / 16 };

/* Head j's keys [PAGE_GROUPS][D][16] and values [KV_PAGE][D] in a page or a gradient page. */
VINLINE float *page_keys(float *page, size_t j, struct attention_shape s)
{
    return page + j * s.D * KV_PAGE;
}

VINLINE float *page_values(float *page, size_t j, struct attention_shape s)
{
    return page + ((size_t)s.J + j) * s.D * KV_PAGE;
}

/* The keys of position `at`: channels lie 16 floats apart. */
VINLINE float *keys_column(float *keys, size_t at, size_t D)
{
    return keys + at / 16 * 16 * D + at % 16;
}

/* Positions of page b that a row at absolute position pos may read: 0..KV_PAGE. */
VINLINE size_t page_count(size_t b, size_t pos)
{
    size_t start = b * KV_PAGE;
    if (pos < start)
        return 0;
    return pos - start < KV_PAGE ? pos - start + 1 : KV_PAGE;
}

/* out[g] = sum_d a[d] rows[g][d][..], for `groups` groups: one chain over even d, one over odd d,
 * then their sum. Two chains per group, so that short rows are not bound by latency. */
VINLINE void page_dot_groups(
    v16 *out, const float *a, const float *rows, size_t D, const int groups)
{
    v16 even[PAGE_GROUPS], odd[PAGE_GROUPS];
    UNROLL
    for (int g = 0; g < groups; g++)
        even[g] = odd[g] = v16_zero();
    for (size_t d = 0; d < D; d += 2, rows += 32) {
        v16 a0 = v16_set1(a[d]), a1 = v16_set1(a[d + 1]);
        UNROLL
        for (int g = 0; g < groups; g++)
            even[g] = v16_fma(a0, v16_load(rows + (size_t)g * 16 * D), even[g]);
        UNROLL
        for (int g = 0; g < groups; g++)
            odd[g] = v16_fma(a1, v16_load(rows + (size_t)g * 16 * D + 16), odd[g]);
    }
    UNROLL
    for (int g = 0; g < groups; g++)
        out[g] = v16_add(even[g], odd[g]);
}

VINLINE void page_dot(v16 *out, const float *a, const float *rows, size_t D, size_t groups)
{
    switch (groups) {
    case 1:
        page_dot_groups(out, a, rows, D, 1);
        break;
    case 2:
        page_dot_groups(out, a, rows, D, 2);
        break;
    case 3:
        page_dot_groups(out, a, rows, D, 3);
        break;
    default:
        page_dot_groups(out, a, rows, D, 4);
        break;
    }
}

/* Lanes of group g that lie below n positions: all, some or none. */
VINLINE m16 group_mask(size_t g, size_t n)
{
    return m16_first(n >= g * 16 + 16 ? 16 : n > g * 16 ? n - g * 16 : 0);
}

#endif
