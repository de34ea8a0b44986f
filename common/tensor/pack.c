/* pack.c: weights in the order in which the forward product reads them. */
#include "common/tensor/ops.h"

#include <math.h>
#include <string.h>

enum { LINE = 16 }; /* floats of a cache line: both sides are walked in blocks of whole lines */

size_t ops_packed_floats(size_t N, size_t K)
{
    return (N + OPS_PANEL - 1) / OPS_PANEL * OPS_PANEL * K;
}

void ops_pack(float *packed, const float *w, size_t N, size_t K)
{
    for (size_t n0 = 0; n0 < N; n0 += OPS_PANEL) {
        for (size_t k0 = 0; k0 < K; k0 += LINE) {
            size_t k1 = K - k0 < LINE ? K : k0 + LINE;
            for (size_t i = 0; i < OPS_PANEL; i++)
                for (size_t k = k0; k < k1; k++)
                    packed[k * OPS_PANEL + i] = n0 + i < N ? w[(n0 + i) * K + k] : 0.0f;
        }
        packed += K * OPS_PANEL;
    }
}

/* A number that is not finite is refused before weights are packed. */
static uint16_t bf16_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void ops_pack_bf16(uint16_t *packed, const float *w, size_t N, size_t K)
{
    for (size_t n0 = 0; n0 < N; n0 += OPS_PANEL) {
        for (size_t k = 0; k < K; k++)
            for (size_t i = 0; i < OPS_PANEL; i++)
                packed[k * OPS_PANEL + i] = n0 + i < N ? bf16_of(w[(n0 + i) * K + k]) : 0;
        packed += K * OPS_PANEL;
    }
}

size_t ops_packed_int8_bytes(size_t N, size_t K)
{
    size_t panels = (N + OPS_PANEL - 1) / OPS_PANEL;
    size_t blocks = (K + OPS_INT8_BLOCK - 1) / OPS_INT8_BLOCK;
    return panels * blocks * OPS_PANEL * (sizeof(float) + OPS_INT8_BLOCK);
}

/* One block of one output; scale and q point at its place in the panel's block. */
static void pack_int8_block(float *scale, uint8_t *q, const float *w, size_t n)
{
    float largest = 0;
    for (size_t k = 0; k < n; k++)
        largest = fabsf(w[k]) > largest ? fabsf(w[k]) : largest;
    *scale = largest / 127;
    for (size_t k = 0; k < OPS_INT8_BLOCK; k++) {
        float f = k<n && * scale> 0 ? w[k] / *scale : 0;
        q[k / 4 * 4 * OPS_PANEL + k % 4] = (uint8_t)(128 + lrintf(f));
    }
}

void ops_pack_int8(void *packed, const float *w, size_t N, size_t K)
{
    uint8_t *p = packed;
    for (size_t n0 = 0; n0 < N; n0 += OPS_PANEL) {
        for (size_t k = 0; k < K; k += OPS_INT8_BLOCK) {
            float *scale = (float *)(void *)p;
            uint8_t *q = p + OPS_PANEL * sizeof(float);
            for (size_t i = 0; i < OPS_PANEL; i++) {
                size_t rest = K - k < OPS_INT8_BLOCK ? K - k : OPS_INT8_BLOCK;
                size_t n = n0 + i < N ? n0 + i : n0;
                pack_int8_block(scale + i, q + 4 * i, w + n * K + k, n0 + i < N ? rest : 0);
            }
            p += OPS_PANEL * (sizeof(float) + OPS_INT8_BLOCK);
        }
    }
}
