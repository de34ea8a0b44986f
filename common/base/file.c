/* file.c: whole files, durably, with errors that name the path. */
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_CHUNK_BYTES = 64 * 1024,
    TREE_DEPTH_MAX = 64, /* each level of file_remove_tree holds a descriptor */
};

void file_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* whoever needs durability has called fsync and looked at it */
    *fd = -1;
}

/* The path behind fd, for messages only. */
static const char *fd_path(int fd, char path[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    (void)snprintf(path + (n > 0 ? n : 0), n > 0 ? 1 : 32, "%s", n > 0 ? "" : "(unknown file)");
    return path;
}

static ssize_t read_some(int fd, void *data, size_t n)
{
    ssize_t got;
    do {
        got = read(fd, data, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Reads to the end of the file rather than to its size: a file may grow, or have none (/proc). */
static int read_rest(int fd, const char *path, size_t bytes_max, struct buf *out, struct err *e)
{
    for (size_t total = 0;;) {
        size_t room =
            bytes_max - total < READ_CHUNK_BYTES ? bytes_max - total + 1 : READ_CHUNK_BYTES;
        uint8_t *p = buf_extend(out, room);
        ssize_t got = read_some(fd, p, room);
        out->len -= room - (got > 0 ? (size_t)got : 0);
        out->data[out->len] = '\0';
        if (got < 0)
            return err_sys(e, ERR_FAIL, "cannot read '%s'", path);
        if (got == 0)
            return 0;
        total += (size_t)got;
        if (total > bytes_max)
            return err_set(
                e, ERR_LIMIT, "'%s': larger than the limit of %zu bytes", path, bytes_max);
    }
}

int file_read(const char *path, size_t bytes_max, struct buf *out, struct err *e)
{
    /* O_NONBLOCK: opening a FIFO must not hang before the check below refuses it. */
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(e, ERR_FAIL, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_FAIL, "'%s': not a regular file", path);
    if (st.st_size > 0 && (uint64_t)st.st_size > bytes_max)
        return err_set(e, ERR_LIMIT, "'%s': %lld bytes, the limit is %zu", path,
            (long long)st.st_size, bytes_max);
    size_t before = out->len;
    int r = read_rest(fd, path, bytes_max, out, e);
    if (r != 0) {
        out->len = before;
        if (out->data != NULL)
            out->data[before] = '\0';
    }
    return r;
}

int file_write_all(int fd, const void *data, size_t n, struct err *e)
{
    const uint8_t *p = data;
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            int number = errno;
            char path[PATH_MAX];
            (void)fd_path(fd, path);
            errno = number;
            return err_sys(e, ERR_FAIL, "cannot write %zu bytes to '%s'", n, path);
        }
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

int file_pread_all(int fd, void *data, size_t n, uint64_t offset, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *p = data;
    while (n > 0) {
        ssize_t got = offset <= INT64_MAX ? pread(fd, p, n, (off_t)offset) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int number = errno;
            (void)fd_path(fd, path);
            errno = number;
            return err_sys(e, ERR_FAIL, "cannot read %zu bytes at %llu of '%s'", n,
                (unsigned long long)offset, path);
        }
        if (got == 0)
            return err_set(e, ERR_DATA, "'%s' ends at %llu, %zu more bytes expected",
                fd_path(fd, path), (unsigned long long)offset, n);
        p += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int file_sync_dir(const char *path, struct err *e)
{
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "cannot open the directory '%s'", path);
    if (fsync(fd) != 0)
        return err_sys(e, ERR_FAIL, "cannot sync the directory '%s'", path);
    return 0;
}

/* The directory that holds path; owned by the caller. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static int write_synced(const char *path, const void *data, size_t n, struct err *e)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP(file_close) int fd = open(path, flags, 0666);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "cannot create '%s'", path);
    int r = file_write_all(fd, data, n, e);
    if (r != 0)
        return r;
    return fsync(fd) != 0 ? err_sys(e, ERR_FAIL, "cannot sync '%s'", path) : 0;
}

int file_write_atomic(const char *path, const void *data, size_t n, struct err *e)
{
    CLEANUP_FREE char *tmp = mem_printf("%s.tmp", path);
    CLEANUP_FREE char *parent = parent_of(path);
    int r = write_synced(tmp, data, n, e);
    if (r == 0 && rename(tmp, path) != 0)
        r = err_sys(e, ERR_FAIL, "cannot rename '%s' to '%s'", tmp, path);
    if (r != 0) {
        (void)unlink(tmp); /* the first error is the one to report */
        return r;
    }
    return file_sync_dir(parent, e);
}

/* A new name is synced, or what is later synced below it could vanish with it. */
static int make_dir(const char *path, unsigned mode, struct err *e)
{
    struct stat st;
    if (mkdir(path, (mode_t)mode) == 0) {
        CLEANUP_FREE char *parent = parent_of(path);
        return file_sync_dir(parent, e);
    }
    int number = errno;
    if (number == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    errno = number == EEXIST ? ENOTDIR : number;
    return err_sys(e, ERR_FAIL, "cannot make the directory '%s'", path);
}

int file_mkdirs(const char *path, unsigned mode, struct err *e)
{
    CLEANUP_FREE char *prefix = mem_strdup(path);
    for (char *p = prefix; *p != '\0'; p++) {
        if (*p != '/' || p == prefix || p[-1] == '/')
            continue;
        *p = '\0';
        int r = make_dir(prefix, mode, e);
        if (r != 0)
            return r;
        *p = '/';
    }
    return make_dir(prefix, mode, e);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir); /* nothing was written through it */
}

/* Empties the directory behind fd, which it closes. Links are unlinked, never followed. */
static int empty_dir(int fd, const char *path, int depth, struct err *e)
{
    CLEANUP(close_dir) DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int r = err_sys(e, ERR_FAIL, "cannot list '%s'", path);
        file_close(&fd);
        return r;
    }
    if (depth >= TREE_DEPTH_MAX)
        return err_set(e, ERR_FAIL, "'%s': more than %d levels deep", path, TREE_DEPTH_MAX);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, d->d_name, 0) == 0 || errno == ENOENT)
            continue;
        CLEANUP_FREE char *below = mem_printf("%s/%s", path, d->d_name);
        if (errno != EISDIR)
            return err_sys(e, ERR_FAIL, "cannot remove '%s'", below);
        int sub = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0)
            return err_sys(e, ERR_FAIL, "cannot open '%s'", below);
        int r = empty_dir(sub, below, depth + 1, e);
        if (r != 0)
            return r;
        if (unlinkat(fd, d->d_name, AT_REMOVEDIR) != 0)
            return err_sys(e, ERR_FAIL, "cannot remove '%s'", below);
    }
    return 0;
}

int file_remove_tree(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return err_sys(e, ERR_FAIL, "cannot remove '%s'", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "cannot open '%s'", path);
    int r = empty_dir(fd, path, 0, e);
    if (r != 0)
        return r;
    if (rmdir(path) != 0)
        return err_sys(e, ERR_FAIL, "cannot remove '%s'", path);
    return 0;
}

char *file_program(const char *name, const char *build_dir, struct err *e)
{
    static const char *const roots[] = {"..", "../.."}; /* a room's programs; its tests */
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0) {
        (void)err_sys(e, ERR_FAIL, "looking for %s beside this program", name);
        return NULL;
    }
    self[n] = '\0';
    *strrchr(self, '/') = '\0'; /* the kernel's path is absolute */
    CLEANUP_FREE char *beside = mem_printf("%s/%s", self, name);
    if (access(beside, X_OK) == 0)
        return steal(&beside);
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        CLEANUP_FREE char *built = mem_printf("%s/%s/%s/%s", self, roots[i], build_dir, name);
        if (access(built, X_OK) == 0)
            return steal(&built);
    }
    (void)err_set(e, ERR_FAIL,
        "no program '%s', nor one in %s of a build tree: install or build all of cohort", beside,
        build_dir);
    return NULL;
}
