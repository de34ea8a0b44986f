/* address.c: choosing, checking and recording the directory of the sockets. */
#include "learner/address.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "proto/limits.h"

enum {
    ADDRESS_BYTES_MAX = 4096,
    ADDRESS_DIR_MAX = 107 - 5, /* room for "/bulk" in a socket's path */
};

static const char scheme[] = "ipc://";

/* NULL when dir is a directory of ours that nobody else may enter, else what it is. */
static const char *not_private(const char *dir)
{
    struct stat st;
    if (lstat(dir, &st))
        return "cannot be looked at";
    if (!S_ISDIR(st.st_mode))
        return "is no directory";
    if (st.st_uid != geteuid())
        return "belongs to another user";
    return (st.st_mode & 07777) == 0700 ? NULL : "has another mode than 0700";
}

static int configured(const char *net_dir, char **ret, struct err *e)
{
    if (mkdir(net_dir, 0700) && errno != EEXIST)
        return err_sys(e, ERR_CONFIG, "net.dir '%s'", net_dir);
    char *path = realpath(net_dir, NULL);
    if (!path)
        return err_sys(e, ERR_CONFIG, "net.dir '%s'", net_dir);
    const char *broken = not_private(path);
    if (!broken && strlen(path) > ADDRESS_DIR_MAX)
        broken = "is longer than a socket's path may be";
    if (broken) {
        free(path);
        return err_set(e, ERR_CONFIG, "net.dir '%s' %s", net_dir, broken);
    }
    *ret = path;
    return 0;
}

/* The directory that RUN/address names, when it may still be used. */
static char *recorded(const char *run_dir)
{
    CLEANUP_FREE char *path = mem_printf("%s/address", run_dir);
    CLEANUP_BUF struct buf text = {0};
    size_t prefix = sizeof(scheme) - 1;
    if (file_read(path, ADDRESS_BYTES_MAX, &text, NULL) || text.len <= prefix ||
        memcmp(text.data, scheme, prefix) != 0)
        return NULL;
    CLEANUP_FREE char *dir = mem_strndup(
        (const char *)text.data + prefix, strcspn((const char *)text.data + prefix, "\r\n"));
    return dir[0] == '/' && strlen(dir) <= ADDRESS_DIR_MAX && !not_private(dir) ? steal(&dir)
                                                                                : NULL;
}

static int fresh(char **ret, struct err *e)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    bool use = runtime && runtime[0] == '/' && access(runtime, W_OK | X_OK) == 0 &&
               strlen(runtime) + sizeof("/cohort-XXXXXX") <= ADDRESS_DIR_MAX;
    CLEANUP_FREE char *dir = mem_printf("%s/cohort-XXXXXX", use ? runtime : "/tmp");
    if (!mkdtemp(dir))
        return err_sys(e, ERR_FAIL, "make a directory for sockets '%s'", dir);
    *ret = steal(&dir);
    return 0;
}

int address_dir(const char *run_dir, const char *net_dir, char **ret, struct err *e)
{
    if (net_dir[0])
        return configured(net_dir, ret, e);
    *ret = recorded(run_dir);
    return *ret ? 0 : fresh(ret, e);
}

int address_write(const char *run_dir, const char *dir, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/address", run_dir);
    CLEANUP_FREE char *text = mem_printf("%s%s\n", scheme, dir);
    return file_write_atomic(path, text, strlen(text), e);
}

void address_set_ended(const char *run_dir)
{
    CLEANUP_FREE char *path = mem_printf("%s/address", run_dir);
    struct err e = {0};
    if (file_write_atomic(path, ADDRESS_ENDED "\n", strlen(ADDRESS_ENDED) + 1, &e) != 0)
        log_warn("service", "late workers will wait for a learner, ignoring", LOG_ERR(&e));
}

void address_clear_ended(const char *run_dir)
{
    CLEANUP_FREE char *path = mem_printf("%s/address", run_dir);
    CLEANUP_BUF struct buf text = {0};
    size_t n = strlen(ADDRESS_ENDED);
    if (file_read(path, ADDRESS_BYTES_MAX, &text, NULL) == 0 && text.len >= n &&
        memcmp(text.data, ADDRESS_ENDED, n) == 0)
        (void)unlink(path); /* a new address will be written over it anyway */
}
