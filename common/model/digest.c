/* digest.c: the identity of a set of parameters (DESIGN section 7): one value for a version, a
 * checkpoint and a model directory, whatever the order of tensors in the file. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/params.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are hashed as they lie");

enum { DIGEST_CHUNK = 1 << 20 };

static int by_name(const void *a, const void *b)
{
    const struct param *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void add_tensor(struct hasher *h, const struct param *t, const float *x)
{
    hasher_add_str(h, t->name);
    hasher_add_str(h, "F32");
    hasher_add_u64(h, t->rank);
    for (uint32_t d = 0; d < t->rank; d++)
        hasher_add_u64(h, t->shape[d]);
    const uint8_t *bytes = (const uint8_t *)x;
    size_t left = t->count * sizeof(float);
    for (size_t n; left > 0; left -= n, bytes += n) {
        n = left < DIGEST_CHUNK ? left : DIGEST_CHUNK;
        struct hash chunk = hash_of(bytes, n);
        hasher_add(h, chunk.b, sizeof(chunk.b));
    }
}

struct hash params_digest(const struct params *p)
{
    size_t n = p->table->param_count;
    CLEANUP_FREE const struct param **sorted = mem_array(n, sizeof(const struct param *));
    for (size_t i = 0; i < n; i++)
        sorted[i] = &p->table->params[i];
    qsort(sorted, n, sizeof(const struct param *), by_name);
    struct hasher h;
    hasher_init(&h);
    for (size_t i = 0; i < n; i++)
        add_tensor(&h, sorted[i], p->data + sorted[i]->offset);
    return hasher_done(&h);
}
