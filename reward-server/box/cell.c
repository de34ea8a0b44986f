/* cell.c: see cell.h. */
#include "reward-server/box/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

enum {
    PAGE_BYTES = 64 << 10, /* the largest that the kernel's pages are on these processors */
    READ_BYTES = 64 << 10,
};

/* The first process. It shares the slot's memory, because a copy of that costs half as much as a
 * run, and so may do nothing but system calls. */
__attribute__((no_sanitize("address", "undefined"))) static int init_main(void *arg)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};
    int held = *(const int *)arg;
    char byte;
    (void)sigaction(SIGCHLD, &ignore, NULL); /* nobody asks how orphans end */
    if (dup2(held, 0) < 0 || close_range(1, ~0U, 0) < 0)
        _exit(1);
    (void)!read(0, &byte, 1); /* until the slot lets go */
    _exit(0);
}

bool cell_open(struct cell *c)
{
    char path[64];
    int pair[2];
    c->init = 0;
    c->hold = c->pid_ns = c->work = -1;
    if (pipe2(pair, O_CLOEXEC) < 0)
        return false;
    c->hold = pair[1];
    c->held = pair[0];
    pid_t pid =
        clone(init_main, c->stack + sizeof(c->stack), CLONE_NEWPID | CLONE_VM | SIGCHLD, &c->held);
    (void)close(pair[0]);
    c->init = pid > 0 ? pid : 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
    if (pid > 0)
        c->pid_ns = open(path, O_RDONLY | O_CLOEXEC);
    if (c->pid_ns >= 0)
        return true;
    int code = errno;
    cell_close(c);
    errno = code;
    return false;
}

/* ---- the work directory ---- */

static bool set_number(int fs, const char *key, unsigned long long value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", value);
    return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, text, 0) == 0;
}

/* Files outlive the program that wrote them, until the end of the run, and are charged to its group
 * with it: had they all the memory that the group may have, the next to go would be the zygote. */
static uint64_t work_bytes(const struct box_request *q)
{
    uint64_t bytes = q->limits.memory_bytes / 2, given = 0;
    if (bytes > q->limits.work_bytes)
        bytes = q->limits.work_bytes;
    for (size_t i = 0; i < q->file_count; i++)
        given += (q->files[i].n / PAGE_BYTES + 1) * PAGE_BYTES;
    return given > bytes ? given : bytes;
}

static int make_work(const struct box_request *q, unsigned uid)
{
    int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    bool ok = fs >= 0 && set_number(fs, "size", work_bytes(q)) &&
              set_number(fs, "nr_inodes", q->limits.work_files) && set_number(fs, "uid", uid) &&
              set_number(fs, "gid", uid) &&
              syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "700", 0) == 0 &&
              syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0;
    int work =
        ok ? (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
           : -1;
    file_close(&fs);
    return work;
}

static bool put_file(int dir, const struct box_file *f)
{
    int fd = openat(dir, f->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0555);
    bool ok = fd >= 0;
    for (size_t done = 0; ok && done < f->n;) {
        ssize_t n = write(fd, (const char *)f->data + done, f->n - done);
        ok = n > 0;
        done += ok ? (size_t)n : 0;
    }
    file_close(&fd);
    return ok;
}

bool cell_add_work(struct cell *c, const struct box_request *q, unsigned uid)
{
    c->work = make_work(q, uid);
    bool ok = c->work >= 0;
    for (size_t i = 0; i < q->file_count && ok; i++)
        ok = put_file(c->work, &q->files[i]);
    return ok;
}

bool cell_end(struct cell *c)
{
    int status = 0;
    file_close(&c->hold);
    if (c->init > 0) {
        while (waitpid(c->init, &status, 0) < 0 && errno == EINTR)
            ;
    }
    file_close(&c->pid_ns);
    c->init = 0;
    return WIFEXITED(status);
}

/* A file by its name in the work directory, where nobody is any more who could change it meanwhile.
 * False when it is none, or longer than left. */
static bool read_file(int work, const char *name, size_t left, struct buf *ret)
{
    struct stat st;
    int fd = openat(work, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= left;
    ssize_t n = ok ? 1 : 0;
    while (ok && n > 0) {
        uint8_t *at = buf_extend(ret, READ_BYTES);
        n = read(fd, at, READ_BYTES);
        ret->len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
    }
    file_close(&fd);
    return ok && n == 0;
}

void cell_fetch(const struct cell *c, const struct box_request *q, struct box_result *ret)
{
    size_t left = BOX_FETCH_BYTES_MAX;
    ret->files = q->fetch_count > 0 ? mem_array(q->fetch_count, sizeof(*ret->files)) : NULL;
    for (size_t i = 0; i < q->fetch_count; i++) {
        CLEANUP_BUF struct buf bytes = {0};
        if (!read_file(c->work, q->fetch[i], left, &bytes))
            continue;
        left -= bytes.len;
        ret->files[ret->file_count++] =
            (struct box_file){mem_strdup(q->fetch[i]), bytes.data, bytes.len};
        bytes = (struct buf){0};
    }
}

void cell_close(struct cell *c)
{
    (void)cell_end(c);
    file_close(&c->work);
}
