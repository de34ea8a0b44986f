/* kernels.h: the kernels behind struct ops, named once per instruction set.
 *
 * Every source that includes this is compiled for each instruction set with OPS_ISA set to its
 * name, so that OPS_FN(gemm) is ops_avx512_gemm in one object and ops_avx2_gemm in another. What
 * each does is written in ops.h.
 */
#ifndef COHORT_TENSOR_KERNELS_H
#define COHORT_TENSOR_KERNELS_H

#include "common/tensor/ops.h"
#include "common/tensor/vmath.h"

#ifndef OPS_ISA
#error "compiled once per instruction set, with OPS_ISA set to the name of one"
#endif

#define OPS_JOIN_(isa, name) ops_##isa##_##name
#define OPS_JOIN(isa, name) OPS_JOIN_(isa, name)
#define OPS_FN(name) OPS_JOIN(OPS_ISA, name)

/* The same type as the pointer of that name in struct ops. */
#define OPS_DECLARE(name) extern __typeof__(*((struct ops *)0)->name) OPS_FN(name)

OPS_DECLARE(gemm);
OPS_DECLARE(gemm_bf16);
OPS_DECLARE(gemm_int8);
OPS_DECLARE(gemm_dx);
OPS_DECLARE(gemm_dw);
OPS_DECLARE(rmsnorm);
OPS_DECLARE(rmsnorm_bwd);
OPS_DECLARE(rope);
OPS_DECLARE(swiglu);
OPS_DECLARE(swiglu_bwd);
OPS_DECLARE(add);
OPS_DECLARE(kv_put);
OPS_DECLARE(kv_get);
OPS_DECLARE(attention);
OPS_DECLARE(attention_bwd);
OPS_DECLARE(logprob);
OPS_DECLARE(logprob_add);
OPS_DECLARE(logprob_end);
OPS_DECLARE(logprob_bwd);
OPS_DECLARE(sample);
OPS_DECLARE(vexp);
OPS_DECLARE(vlog);
OPS_DECLARE(sum_squares);
OPS_DECLARE(adamw);

extern const struct ops OPS_FN(table);

#endif
