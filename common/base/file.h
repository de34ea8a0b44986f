/* file.h: files whole and durable. Errors name the path. */
#ifndef COHORT_BASE_FILE_H
#define COHORT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

/* Appends the whole regular file to out; ERR_LIMIT over bytes_max. */
int file_read(const char *path, size_t bytes_max, struct buf *out, struct err *e) ERR_WARN_UNUSED;

/* Writes path.tmp, fsyncs, renames to path, fsyncs the directory: after a crash path is old or new,
 * never a mix. */
int file_write_atomic(const char *path, const void *data, size_t n, struct err *e) ERR_WARN_UNUSED;

/* Makes what is missing of path; its names are durable. */
int file_mkdirs(const char *path, unsigned mode, struct err *e) ERR_WARN_UNUSED;
int file_sync_dir(const char *path, struct err *e) ERR_WARN_UNUSED; /* fsync of a directory */
int file_write_all(int fd, const void *data, size_t n, struct err *e) ERR_WARN_UNUSED;
int file_pread_all(int fd, void *data, size_t n, uint64_t offset, struct err *e) ERR_WARN_UNUSED;
bool file_exists(const char *path);
int file_remove_tree(
    const char *path, struct err *e) ERR_WARN_UNUSED; /* a missing path is no error */
/* Path of another program of cohort: beside this one, or in build_dir of the build tree around it.
 * The caller's; NULL and *e when it is in neither. */
char *file_program(const char *name, const char *build_dir, struct err *e) ERR_WARN_UNUSED;
void file_close(int *fd); /* for CLEANUP: closes when >= 0 and sets -1 */

#endif
