/* safetensors.h: reading and writing safetensors files.
 *
 * Format: u64 little-endian N; N bytes of JSON, an object of NAME: {"dtype", "shape",
 * "data_offsets": [begin, end)} with offsets relative to the byte after the JSON, and
 * "__metadata__"; then the tensors' bytes, row-major and little-endian, without holes or overlaps.
 * Files come from anywhere: the header is checked whole before a byte of a tensor is read.
 */
#ifndef COHORT_MODEL_SAFETENSORS_H
#define COHORT_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/params.h"

enum {
    SAFETENSORS_HEADER_MAX = 16 << 20,
    SAFETENSORS_RANK_MAX = 8,
};

enum safetensors_dtype { SAFETENSORS_F32, SAFETENSORS_F16, SAFETENSORS_BF16, SAFETENSORS_OTHER };

struct safetensors_entry {
    const char *name; /* owned by the file */
    enum safetensors_dtype dtype;
    char dtype_name[12];
    uint32_t rank;
    uint64_t shape[SAFETENSORS_RANK_MAX];
    uint64_t begin, end; /* bytes from the start of the file */
};

struct safetensors {
    char *path; /* owned */
    int fd;
    void *json;                        /* owned: holds the names */
    struct safetensors_entry *entries; /* owned, in order of their bytes */
    size_t count;
};

/* Opens and checks the header; close also after a failure. */
int safetensors_open(const char *path, struct safetensors *ret, struct err *e) ERR_WARN_UNUSED;
void safetensors_close(struct safetensors *s);

/* Reads a F32, F16 or BF16 tensor as fp32 into out, `count` elements as its shape says. */
int safetensors_read(const struct safetensors *s, const struct safetensors_entry *t, float *out,
    struct err *e) ERR_WARN_UNUSED;

/* Writes all tensors of p as F32, in table order, to path.tmp, fsyncs, renames, fsyncs the
 * directory. */
int safetensors_write(const struct params *p, const char *path, struct err *e) ERR_WARN_UNUSED;

#endif
