/* sync_recorder.c: what a disk would hold after the power failed: for LD_PRELOAD, tests only.
 *
 * How it works. A file's bytes are durable as they were at its last fsync or fdatasync, a name as
 * its directory was at the directory's last fsync, and nothing else is. So each successful sync of
 * something under COHORT_SYNC_ROOT is followed by a copy of it in COHORT_SYNC_COPY: a file's bytes
 * under "f-KEY", a directory's names as lines "TYPE KEY NAME" under "d-KEY". KEY is the inode with
 * its time of birth, since numbers of inodes are used again. The copy takes its name when it is
 * whole, before the caller learns that the sync is done; power_test.py makes a tree of them.
 * SQLite's syncs come through here as well as ours.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 64, COPY_BYTES = 1 << 16 };

static void fail(const char *what)
{
    perror(what);
    abort(); /* a recorder that records less would make the test weaker */
}

static void key_of(int dir, const char *name, int flags, char out[KEY_BYTES], mode_t *ret_mode)
{
    struct statx st;
    if (statx(dir, name, flags, STATX_INO | STATX_BTIME | STATX_TYPE, &st) != 0 ||
        !(st.stx_mask & STATX_BTIME))
        fail("sync_recorder: statx");
    (void)snprintf(out, KEY_BYTES, "%llu.%lld.%u", (unsigned long long)st.stx_ino,
        (long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
    *ret_mode = st.stx_mode;
}

static bool is_below_root(int fd)
{
    const char *root = getenv("COHORT_SYNC_ROOT");
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    size_t len = root != NULL ? strlen(root) : 0;
    if (n <= 0 || len == 0)
        return false;
    path[n] = '\0';
    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void copy_bytes(int fd, FILE *out)
{
    char link[64], bytes[COPY_BYTES];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int in = open(link, O_RDONLY | O_CLOEXEC); /* the caller's may be for writing only */
    ssize_t n;
    while (in >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
        (void)fwrite(bytes, 1, (size_t)n, out);
    if (in < 0 || n < 0)
        fail("sync_recorder: read");
    (void)close(in);
}

static void list_names(int fd, FILE *out)
{
    char link[64], key[KEY_BYTES];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    DIR *dir = opendir(link);
    if (dir == NULL)
        fail("sync_recorder: opendir");
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        mode_t mode;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        key_of(dirfd(dir), d->d_name, AT_SYMLINK_NOFOLLOW, key, &mode);
        fprintf(out, "%c %s %s\n", S_ISDIR(mode) ? 'd' : 'f', key, d->d_name);
    }
    (void)closedir(dir);
}

static void record(int fd)
{
    const char *copies = getenv("COHORT_SYNC_COPY");
    char key[KEY_BYTES], path[PATH_MAX], part[PATH_MAX + 16];
    mode_t mode;
    if (copies == NULL || !is_below_root(fd))
        return;
    key_of(fd, "", AT_EMPTY_PATH, key, &mode);
    (void)snprintf(path, sizeof(path), "%s/%c-%s", copies, S_ISDIR(mode) ? 'd' : 'f', key);
    (void)snprintf(part, sizeof(part), "%s.%d", path, (int)gettid());
    FILE *out = fopen(part, "we");
    if (out == NULL)
        fail("sync_recorder: fopen");
    if (S_ISDIR(mode))
        list_names(fd, out);
    else
        copy_bytes(fd, out);
    if (fclose(out) != 0 || rename(part, path) != 0)
        fail("sync_recorder: rename");
}

typedef int sync_fn(int fd);

static int sync_and_record(const char *name, int fd)
{
    sync_fn *next;
    *(void **)&next = dlsym(RTLD_NEXT, name);
    int r = next(fd), number = errno;
    if (r == 0)
        record(fd);
    errno = number;
    return r;
}

int fsync(int fd)
{
    return sync_and_record("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_and_record("fdatasync", fd);
}
