/* pack.c: weights in the order in which the forward product reads them. */
#include "common/tensor/ops.h"

size_t ops_packed_floats(size_t N, size_t K)
{
    return (N + OPS_PANEL - 1) / OPS_PANEL * OPS_PANEL * K;
}

void ops_pack(float *packed, const float *w, size_t N, size_t K)
{
    for (size_t n0 = 0; n0 < N; n0 += OPS_PANEL) {
        for (size_t k = 0; k < K; k++)
            for (size_t i = 0; i < OPS_PANEL; i++)
                packed[k * OPS_PANEL + i] = n0 + i < N ? w[(n0 + i) * K + k] : 0.0f;
        packed += K * OPS_PANEL;
    }
}
