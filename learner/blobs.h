/* blobs.h: the bytes that workers fetch in chunks: the model's configuration, weights, grade
 * inputs.
 *
 * Small blobs are held in memory; a version's weights are one immutable file, read by pread, with a
 * manifest made once from it (hashes of its chunks of 1 MiB). Who may fetch what is the hub's to
 * say. Owner: the loop thread, but for version_blob_open, which reads a whole file and runs on the
 * store thread.
 */
#ifndef COHORT_LEARNER_BLOBS_H
#define COHORT_LEARNER_BLOBS_H

#include "common/base/err.h"
#include "learner/store.h"

enum { BLOB_VERSIONS_MAX = 16 }; /* open weights files; the oldest gives way */

/* A version's file, opened, and its manifest. */
struct version_blob {
    uint64_t version, bytes;
    int fd;
    struct buf manifest; /* owned */
};

/* Opens RUN/file, checks its size, hashes its chunks. ERR_DATA when it is not what the tables say.
 */
int version_blob_open(const char *run_dir, uint64_t version, const struct version_file *file,
    struct version_blob **ret, struct err *e) ERR_WARN_UNUSED;
void version_blob_close(struct version_blob *b);

struct blobs;

struct blobs *blobs_new(void);
void blobs_free(struct blobs *b);

/* Keeps data (stolen) under (kind, id) and returns how it is called. */
struct blob_ref blobs_put(struct blobs *b, enum blob_kind kind, uint64_t id, struct buf *data);
void blobs_drop(struct blobs *b, enum blob_kind kind, uint64_t id);
void blobs_drop_inputs(struct blobs *b);                         /* all grade inputs */
void blobs_put_version(struct blobs *b, struct version_blob *v); /* steals v */
void blobs_drop_version(struct blobs *b, uint64_t version);
bool blobs_has_version(const struct blobs *b, uint64_t version);

/* Reads the chunk that g asks for: its bytes are appended to out. ERR_LIMIT: no such blob or
 * offset; ERR_FAIL, ERR_DATA: the file cannot be read. */
int blobs_read(const struct blobs *b, const struct msg_get_blob *g, struct buf *out,
    uint64_t *ret_total, struct err *e) ERR_WARN_UNUSED;

#endif
