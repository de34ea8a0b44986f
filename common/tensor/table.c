/* table.c: the table of one instruction set's kernels. */
#include "common/tensor/kernels.h"

#define OPS_STRING_(isa) #isa
#define OPS_STRING(isa) OPS_STRING_(isa)

const struct ops OPS_FN(table) = {
    .name = OPS_STRING(OPS_ISA),
    .gemm = OPS_FN(gemm),
    .gemm_bf16 = OPS_FN(gemm_bf16),
    .gemm_int8 = OPS_FN(gemm_int8),
    .gemm_dx = OPS_FN(gemm_dx),
    .gemm_dw = OPS_FN(gemm_dw),
    .rmsnorm = OPS_FN(rmsnorm),
    .rmsnorm_bwd = OPS_FN(rmsnorm_bwd),
    .rope = OPS_FN(rope),
    .swiglu = OPS_FN(swiglu),
    .swiglu_bwd = OPS_FN(swiglu_bwd),
    .add = OPS_FN(add),
    .kv_put = OPS_FN(kv_put),
    .kv_get = OPS_FN(kv_get),
    .attention = OPS_FN(attention),
    .attention_bwd = OPS_FN(attention_bwd),
    .logprob = OPS_FN(logprob),
    .logprob_add = OPS_FN(logprob_add),
    .logprob_end = OPS_FN(logprob_end),
    .logprob_bwd = OPS_FN(logprob_bwd),
    .sample = OPS_FN(sample),
    .vexp = OPS_FN(vexp),
    .vlog = OPS_FN(vlog),
    .sum_squares = OPS_FN(sum_squares),
    .adamw = OPS_FN(adamw),
};
