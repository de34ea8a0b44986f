/* vamx.h: products of 32 rows by one panel of eight-bit weights in the tile registers of AMX.
 * Included by gemm_int8.c only, where the compiler has them.
 *
 * A tile register holds 16 rows of 64 bytes. Four hold 32 x 32 integer sums; a step of 64 k takes
 * two with rows of x (signed) and two with weights (unsigned, as pack.c lays them out). Sums are
 * exact, so these are the bits of every other way. The assembly is our own because the intrinsics
 * of gcc 12 do not tell the compiler that they read memory.
 */
#ifndef COHORT_TENSOR_VAMX_H
#define COHORT_TENSOR_VAMX_H

#include "common/tensor/ops.h"
#include "common/tensor/vmath.h"

enum { AMX_ROWS = 16, AMX_BYTES = 64 };

/* All eight tiles in their full size; until amx_end the thread's registers are in use. */
VINLINE void amx_begin(void)
{
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _Static_assert(sizeof(config) == 64, "as the instruction reads it");
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

VINLINE void amx_end(void)
{
    __asm__ volatile("tilerelease");
}

#define TILE_LOAD(tile, from, stride)                                                              \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     :                                                                             \
                     : "r"(from), "r"((ptrdiff_t)(stride))                                         \
                     : "memory")
#define TILE_STORE(tile, to, stride)                                                               \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"(to), "r"((ptrdiff_t)(stride))                                           \
                     : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : : :)
/* sum += x w */
#define TILE_DOT(sum, x, w) __asm__ volatile("tdpbsud %%tmm" #w ", %%tmm" #x ", %%tmm" #sum : : :)

/* sum[r][n] = the product of one block: x[r][k], rows that lie x_stride bytes apart, by the panel's
 * block w[k / 4][n][k % 4]. 16 rows, or with both = 1 32. */
VINLINE void amx_block(
    int32_t sum[][OPS_PANEL], const int8_t *x, size_t x_stride, const uint8_t *w, const int both)
{
    const int8_t *below = x + AMX_ROWS * x_stride;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    UNROLL
    for (size_t k = 0; k < OPS_INT8_BLOCK; k += AMX_BYTES) {
        TILE_LOAD(6, w + k * OPS_PANEL, 4 * OPS_PANEL);
        TILE_LOAD(4, x + k, x_stride);
        TILE_DOT(0, 4, 6);
        TILE_LOAD(7, w + k * OPS_PANEL + AMX_BYTES, 4 * OPS_PANEL);
        TILE_DOT(1, 4, 7);
        if (both) {
            TILE_LOAD(5, below + k, x_stride);
            TILE_DOT(2, 5, 6);
            TILE_DOT(3, 5, 7);
        }
    }
    TILE_STORE(0, sum[0], OPS_PANEL * sizeof(int32_t));
    TILE_STORE(1, sum[0] + AMX_ROWS, OPS_PANEL * sizeof(int32_t));
    if (both) {
        TILE_STORE(2, sum[AMX_ROWS], OPS_PANEL * sizeof(int32_t));
        TILE_STORE(3, sum[AMX_ROWS] + AMX_ROWS, OPS_PANEL * sizeof(int32_t));
    }
}

#endif
