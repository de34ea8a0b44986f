/* inside.c: see inside.h. */
#include "reward-server/box/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "reward-server/box/filter.h"

enum { STACK_BYTES = 64 << 20, FILES_OPEN = 64, FD_BASE = 200 };

/* Directories that are links into /usr on merged systems, and not shown elsewhere. */
static const char *const links[] = {"/bin", "/lib", "/lib64"};
static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom"};

static void fail(const struct inside *in, const char *what)
{
    struct inside_report r = {.kind = INSIDE_FAILED, .status = errno};
    (void)snprintf(r.what, sizeof(r.what), "%s", what);
    (void)!write(in->report_fd, &r, sizeof(r)); /* the end of the pipe tells as much */
    _exit(127);
}

#define MUST(CALL)                                                                                 \
    do {                                                                                           \
        if ((CALL) < 0)                                                                            \
            fail(in, #CALL);                                                                       \
    } while (0)

/* ---- the root ---- */

/* Paths are relative to the new root, which is the current directory. */
static const char *below(const char *path)
{
    return path + 1;
}

static void make_parents(const char *path)
{
    char text[PATH_MAX];
    (void)snprintf(text, sizeof(text), "%s", below(path));
    for (char *at = text; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(text, 0755); /* there already, or the bind says so */
        *at = '/';
    }
}

static int set_read_only(const char *path, uint64_t more)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | more};
    return mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &attr, sizeof(attr));
}

static void bind_one(const struct inside *in, const char *path, uint64_t more)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return; /* a path of the table that this host lacks */
    make_parents(path);
    if (S_ISDIR(st.st_mode))
        (void)mkdir(below(path), 0755);
    else
        (void)close(open(below(path), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    MUST(mount(path, below(path), NULL, MS_BIND | MS_REC, NULL));
    MUST(set_read_only(below(path), more));
}

/* A link of the table is shown as a link, and with what it leads to. */
static void show(const struct inside *in, const char *path)
{
    char real[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, real) != NULL) {
        make_parents(path);
        (void)!symlink(real, below(path));
        bind_one(in, real, MOUNT_ATTR_NODEV);
        return;
    }
    bind_one(in, path, MOUNT_ATTR_NODEV);
}

static void show_links(void)
{
    char target[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        ssize_t n = readlink(links[i], target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        (void)!symlink(target, below(links[i])); /* missing ones show when the program starts */
    }
}

static void make_work(const struct inside *in)
{
    const struct box_request *q = in->request;
    char options[128];
    (void)snprintf(options, sizeof(options), "size=%llu,nr_inodes=%llu,mode=700,uid=%u,gid=%u",
        (unsigned long long)q->limits.work_bytes, (unsigned long long)q->limits.work_files,
        (unsigned)in->uid, (unsigned)in->uid);
    MUST(mkdir("box", 0755));
    MUST(mount("box", "box", "tmpfs", MS_NOSUID | MS_NODEV, options));
    MUST(symlink("box", "tmp"));
    for (size_t i = 0; i < q->file_count; i++) {
        char path[BOX_NAME_MAX + 8];
        const struct box_file *f = &q->files[i];
        (void)snprintf(path, sizeof(path), "box/%s", f->name);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0555);
        MUST(fd);
        for (size_t done = 0; done < f->n;) {
            ssize_t n = write(fd, (const char *)f->data + done, f->n - done);
            MUST(n);
            done += (size_t)n;
        }
        MUST(close(fd));
    }
}

static void make_root(const struct inside *in)
{
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("root", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=512,mode=755"));
    MUST(chdir("/tmp"));
    show_links();
    for (size_t i = 0; in->phase != NULL && in->phase->paths[i] != NULL; i++)
        show(in, in->phase->paths[i]);
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        bind_one(in, devices[i], 0);
    make_work(in);
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    MUST(mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof(attr)));
    MUST(chdir("/box"));
}

/* ---- the program ---- */

static void limit(const struct inside *in, int what, uint64_t value)
{
    struct rlimit r = {value, value};
    MUST(setrlimit((enum __rlimit_resource)what, &r));
}

static void set_limits(const struct inside *in)
{
    const struct box_limits *l = &in->request->limits;
    limit(in, RLIMIT_CPU, l->cpu_ms / 1000 + 2); /* the accounting comes first */
    limit(in, RLIMIT_CORE, 0);
    limit(in, RLIMIT_FSIZE, l->work_bytes);
    limit(in, RLIMIT_NOFILE, FILES_OPEN);
    limit(in, RLIMIT_STACK, STACK_BYTES);
    limit(in, RLIMIT_MEMLOCK, 1 << 20);
    limit(in, RLIMIT_MSGQUEUE, 0);
    limit(in, RLIMIT_NPROC, l->processes + 1);
    if (!in->cgroup)
        limit(in, RLIMIT_AS, l->memory_bytes);
}

static void drop_rights(const struct inside *in)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    for (int cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            break; /* beyond the last one of this kernel */
    }
    if (!in->userns) {
        MUST(setgroups(0, NULL));
        MUST(setresgid(in->uid, in->uid, in->uid));
        MUST(setresuid(in->uid, in->uid, in->uid));
    }
    MUST(syscall(SYS_capset, &head, none));
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* Tries what no program may do; 0 when nothing succeeded, else the number of the attempt. The
 * last one must end this process. */
static int probe(void)
{
    struct stat st;
    if (stat("/etc", &st) == 0 || stat("/home", &st) == 0 || stat("/proc/self", &st) == 0)
        return 1;
    if (open("/new", O_CREAT | O_WRONLY, 0600) >= 0 || open("/dev/zero2", O_CREAT, 0600) >= 0)
        return 2;
    if (syscall(SYS_socket, 2, 1, 0) >= 0 || syscall(SYS_socket, 16, 3, 0) >= 0)
        return 3;
    if (setuid(0) == 0 || getuid() == 0 || mkdir("../out", 0700) == 0)
        return 4;
    if (kill(1, SIGKILL) < 0 && errno != EPERM)
        return 5; /* 1 is the first process of the box: it does not die of this */
    int fd = open("/box/mine", O_CREAT | O_RDWR | O_EXCL, 0600);
    if (fd < 0 || fd > 3 || write(fd, "x", 1) != 1)
        return 6; /* a descriptor from outside is open, or the work directory is not ours */
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 7;
    (void)syscall(SYS_unshare, 0x10000000); /* CLONE_NEWUSER */
    return 8;
}

static void program_main(const struct inside *in)
{
    static const char *const env[] = {
        "PATH=/usr/bin:/bin", "HOME=/box", "TMPDIR=/box", "LANG=C.UTF-8", NULL};
    MUST(setsid());
    for (int fd = 0; fd < INSIDE_FDS; fd++) {
        if (in->fds[fd] >= 0)
            MUST(dup2(in->fds[fd], fd));
    }
    MUST(close_range(INSIDE_FDS, (unsigned)in->report_fd - 1, 0));
    MUST(close_range((unsigned)in->report_fd + 1, ~0U, 0)); /* this one closes with exec */
    set_limits(in);
    drop_rights(in);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (!filter_load(in->cgroup || in->request->phase == BOX_COMPILE))
        fail(in, "seccomp filter");
    if (in->phase == NULL) {
        (void)close(in->report_fd);
        _exit(probe());
    }
    (void)execve(in->phase->argv[0], (char *const *)in->phase->argv, (char *const *)env);
    fail(in, "starting the language's program");
}

/* ---- the first process ---- */

/* Our descriptors to numbers from FD_BASE, all others closed: those of a pair's other box would
 * hide its end. */
static struct inside move_fds(const struct inside *in)
{
    struct inside moved = *in;
    int *fds[INSIDE_FDS + 2];
    for (int i = 0; i < INSIDE_FDS; i++)
        fds[i] = &moved.fds[i];
    fds[INSIDE_FDS] = &moved.go_fd;
    fds[INSIDE_FDS + 1] = &moved.report_fd;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            *fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, FD_BASE);
    }
    MUST(close_range(3, FD_BASE - 1, 0));
    return moved;
}

void inside_main(const struct inside *in)
{
    char go;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    struct inside moved = move_fds(in);
    in = &moved;
    if (read(in->go_fd, &go, 1) != 1)
        _exit(127); /* the slot went away */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    make_root(in);
    pid_t program = fork();
    MUST(program);
    if (program == 0) {
        program_main(in);
        _exit(127);
    }
    for (int fd = 0; fd < INSIDE_FDS; fd++) {
        if (in->fds[fd] >= 0)
            (void)close(in->fds[fd]); /* so that the ends of the streams are seen outside */
    }
    struct inside_report report = {.kind = INSIDE_ENDED};
    pid_t ended;
    do
        ended = waitpid(-1, &report.status, 0);
    while ((ended >= 0 && ended != program) || (ended < 0 && errno == EINTR));
    (void)!write(in->report_fd, &report, sizeof(report));
    _exit(0);
}
