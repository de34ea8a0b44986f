/* isa.c: the table of kernels for this CPU. */
#include <string.h>
#ifdef OPS_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "common/tensor/ops.h"

extern const struct ops ops_portable_table;
#ifdef OPS_X86
extern const struct ops ops_amx_table, ops_avx512vnni_table, ops_avx512_table, ops_avx2_table;

static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma");
}

static int has_avx512vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

/* Bits of cpuid's leaf 7, edx; clang 14 does not know these features by name. */
enum { AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };

/* The kernel gives a process tile registers when it asks for them: the number of the request, and
 * that of the registers' state. */
enum { REQUEST_STATE = 0x1023, TILE_STATE = 18 };

static int has_amx(void)
{
    unsigned a, b, c, d;
    return has_avx512vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AMX_TILE) &&
           (d & AMX_INT8) && syscall(SYS_arch_prctl, REQUEST_STATE, TILE_STATE) == 0;
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static int has_portable(void)
{
    return 1;
}

/* Best first. */
static const struct {
    const struct ops *table;
    int (*supported)(void);
} isas[] = {
#ifdef OPS_X86
    {&ops_amx_table, has_amx},
    {&ops_avx512vnni_table, has_avx512vnni},
    {&ops_avx512_table, has_avx512},
    {&ops_avx2_table, has_avx2},
#endif
    {&ops_portable_table, has_portable},
};

int ops_select(const char *isa, const struct ops **ret, struct err *e)
{
    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
        if (strcmp(isa, "auto") == 0) {
            if (!isas[i].supported())
                continue;
        } else {
            if (strcmp(isa, isas[i].table->name) != 0)
                continue;
            if (!isas[i].supported())
                return err_set(e, ERR_CONFIG, "instruction set '%s': this CPU lacks it", isa);
        }
        *ret = isas[i].table;
        return 0;
    }
    return err_set(e, ERR_CONFIG,
        "instruction set '%s': expected auto, amx, avx512vnni, avx512, avx2 or portable", isa);
}
