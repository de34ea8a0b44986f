/* filter.c: see filter.h. The only user of libseccomp. */
#include "reward-server/box/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "reward-server/box/launch.h"

enum { INSTRUCTIONS_MAX = 4096 };

static const char *const allowed[] = {"read", "write", "readv", "writev", "pread64", "pwrite64",
    "preadv", "pwritev", "preadv2", "pwritev2", "close", "close_range", "fstat", "newfstatat",
    "stat", "lstat", "statx", "statfs", "fstatfs", "lseek", "access", "faccessat", "faccessat2",
    "open", "openat", "creat", "pipe", "pipe2", "select", "pselect6", "poll", "ppoll",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "dup", "dup2", "dup3", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "umask", "truncate", "ftruncate",
    "fallocate", "getdents", "getdents64", "fsync", "fdatasync", "utime", "utimes", "utimensat",
    "futimesat", "copy_file_range", "sendfile", "fadvise64", "mknod", "mknodat",

    "mmap", "munmap", "mprotect", "mremap", "brk", "madvise", "mincore", "msync", "mlock",
    "munlock", "membarrier",

    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigsuspend", "rt_sigqueueinfo", "sigaltstack", "signalfd", "signalfd4", "kill", "tgkill",
    "tkill", "pause", "alarm", "setitimer", "getitimer", "timer_create", "timer_settime",
    "timer_gettime", "timer_getoverrun", "timer_delete", "timerfd_create", "timerfd_settime",
    "timerfd_gettime", "eventfd", "eventfd2", "restart_syscall", "clock_gettime", "clock_getres",
    "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getcpu",

    "futex", "futex_waitv", "set_robust_list", "rseq", "set_tid_address", "gettid", "execve",
    "exit", "exit_group", "wait4", "waitid", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "getpriority",
    "getpid", "getppid", "getpgrp", "getpgid", "setpgid", "getsid", "setsid", "getuid", "geteuid",
    "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget", "getrlimit", "getrusage",
    "sysinfo", "uname", "arch_prctl", "getrandom", "getxattr", "lgetxattr", "fgetxattr",
    "listxattr", "capset",

    /* a pair of connected sockets is a pipe; without sendmsg no descriptors travel */
    "shutdown", "sendto", "recvfrom", "recvmsg", "getsockopt", "setsockopt", "getsockname",
    "getpeername"};

static const char *const violations[] = {"io_uring_setup", "io_uring_enter", "io_uring_register",
    "bpf", "userfaultfd", "keyctl", "add_key", "request_key", "ptrace", "process_vm_readv",
    "process_vm_writev", "pidfd_getfd", "kcmp", "mount", "pivot_root", "chroot", "unshare",
    "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "perf_event_open",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "modify_ldt",
    "iopl", "ioperm", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "swapon",
    "swapoff", "reboot", "open_by_handle_at", "quotactl", "acct", "syslog", "vhangup",
    "sethostname", "setdomainname"};

static const char *const denied[] = {"socket", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "chown", "fchown", "lchown",
    "fchownat", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr",
    "setpriority", "flock"};

static struct sock_fprog programs[2]; /* by more: whether it admits a further filter; owned */

static int rule(scmp_filter_ctx c, uint32_t action, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(c, action, nr, 0); /* not on this host */
}

static int rules(
    scmp_filter_ctx c, uint32_t action, const char *const *names, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int r = rule(c, action, names[i]);
        if (r < 0)
            return err_set(e, ERR_FAIL, "seccomp rule for %s: error %d", names[i], -r);
    }
    return 0;
}

/* Allowed with one value of an argument, a violation with any other. */
static int only_with(scmp_filter_ctx c, int nr, unsigned arg, scmp_datum_t value)
{
    return seccomp_rule_add(c, SCMP_ACT_ALLOW, nr, 1, SCMP_CMP(arg, SCMP_CMP_EQ, value)) |
           seccomp_rule_add(c, SCMP_ACT_NOTIFY, nr, 1, SCMP_CMP(arg, SCMP_CMP_NE, value));
}

/* What only a zygote can do: with descriptors of numbers that no program can have, or rights that
 * no program has. more: a second filter, by its flag. */
static int add_zygote(scmp_filter_ctx c, bool more)
{
    int r = only_with(c, SCMP_SYS(setns), 0, LAUNCH_PID_NS);
    r |= only_with(c, SCMP_SYS(move_mount), 0, LAUNCH_WORK);
    r |= only_with(c, SCMP_SYS(umount2), 1, LAUNCH_UMOUNT);
    r |= seccomp_rule_add(
        c, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 1, SCMP_A0(SCMP_CMP_EQ, LAUNCH_SOCKET));
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 2,
        SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE), SCMP_A1(SCMP_CMP_EQ, 0));
    return r | (more ? only_with(c, SCMP_SYS(seccomp), 1, LAUNCH_FILTER_FLAGS)
                     : rule(c, SCMP_ACT_NOTIFY, "seccomp"));
}

/* Without namespaces; and without CLONE_PARENT, which would make a child of the zygote's that
 * nobody waits for: its pid namespace would never end. */
static int add_clone(scmp_filter_ctx c)
{
    static const unsigned refused = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PARENT;
    int r = seccomp_rule_add(
        c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, refused, 0));
    for (unsigned bit = 1; bit != 0; bit <<= 1) {
        if (bit & refused)
            r |= seccomp_rule_add(
                c, SCMP_ACT_NOTIFY, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
    }
    r |= rule(c, SCMP_ACT_ALLOW, "fork");
    return r | rule(c, SCMP_ACT_ALLOW, "vfork");
}

/* Allowed with some values of an argument, else refused as not existing. */
static int add_values(scmp_filter_ctx c)
{
    enum { TCGETS_ = 0x5401, FIONREAD_ = 0x541B, FIOCLEX_ = 0x5451, FIONBIO_ = 0x5421 };
    static const struct {
        int nr;
        unsigned arg, value;
    } values[] = {
        {SCMP_SYS(fcntl), 1, F_DUPFD},
        {SCMP_SYS(fcntl), 1, F_DUPFD_CLOEXEC},
        {SCMP_SYS(fcntl), 1, F_GETFD},
        {SCMP_SYS(fcntl), 1, F_SETFD},
        {SCMP_SYS(fcntl), 1, F_GETFL},
        {SCMP_SYS(fcntl), 1, F_SETFL},
        {SCMP_SYS(fcntl), 1, F_GETPIPE_SZ},
        {SCMP_SYS(prctl), 0, PR_SET_NAME},
        {SCMP_SYS(prctl), 0, PR_GET_NAME},
        {SCMP_SYS(prctl), 0, PR_GET_DUMPABLE},
        {SCMP_SYS(prctl), 0, PR_SET_PDEATHSIG},
        {SCMP_SYS(prctl), 0, PR_GET_PDEATHSIG},
        {SCMP_SYS(prctl), 0, PR_CAPBSET_READ},
        {SCMP_SYS(prctl), 0, PR_GET_NO_NEW_PRIVS},
        /* no terminal is there to type into; refused all the same */
        {SCMP_SYS(ioctl), 1, TCGETS_},
        {SCMP_SYS(ioctl), 1, FIONREAD_},
        {SCMP_SYS(ioctl), 1, FIOCLEX_},
        {SCMP_SYS(ioctl), 1, FIONBIO_},
        {SCMP_SYS(socketpair), 0, AF_UNIX},
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, values[i].nr, 1,
            SCMP_CMP(values[i].arg, SCMP_CMP_MASKED_EQ, 0xffffffff, values[i].value));
    return r;
}

/* Limits of itself, to ask for or to lower; never of another process, and never that of core dumps,
 * which is set for good (zygote.c). */
static int add_limits(scmp_filter_ctx c)
{
    static const uint64_t word = 0xffffffff;
    int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
        SCMP_A0(SCMP_CMP_MASKED_EQ, word, 0), SCMP_A2(SCMP_CMP_EQ, 0));
    for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
        if (i == RLIMIT_CORE)
            continue;
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
            SCMP_A0(SCMP_CMP_MASKED_EQ, word, 0), SCMP_A1(SCMP_CMP_MASKED_EQ, word, i));
        r |= seccomp_rule_add(
            c, SCMP_ACT_ALLOW, SCMP_SYS(setrlimit), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, word, i));
    }
    return r;
}

/* As instructions in memory, so that a program loads it without the library's work. */
static int export(scmp_filter_ctx c, struct sock_fprog *ret, struct err *e)
{
    struct sock_filter *code = mem_array(INSTRUCTIONS_MAX, sizeof(*code));
    int fd = memfd_create("filter", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : seccomp_export_bpf(c, fd);
    ssize_t n = r < 0 ? -1 : pread(fd, code, INSTRUCTIONS_MAX * sizeof(*code), 0);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0 || n == (ssize_t)(INSTRUCTIONS_MAX * sizeof(*code)))
        return err_set(e, ERR_FAIL, "seccomp filter: not made (error %d, %zd bytes)", -r, n);
    *ret = (struct sock_fprog){.len = (unsigned short)(n / (ssize_t)sizeof(*code)), .filter = code};
    return 0;
}

static int make(bool more, struct sock_fprog *ret, struct err *e)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (c == NULL)
        return err_set(e, ERR_FAIL, "seccomp filter: out of memory");
    int r = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    r |= seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: few steps a call */
    r |= add_clone(c) | add_values(c) | add_limits(c) | add_zygote(c, more);
    if (r != 0)
        r = err_set(e, ERR_FAIL, "seccomp filter: rules refused");
    if (r == 0)
        r = rules(c, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed), e);
    if (r == 0)
        r = rules(c, SCMP_ACT_NOTIFY, violations, ARRAY_LEN(violations), e);
    if (r == 0)
        r = rules(c, SCMP_ACT_ERRNO(EPERM), denied, ARRAY_LEN(denied), e);
    if (r == 0)
        r = export(c, ret, e);
    seccomp_release(c);
    return r;
}

int filter_make(struct err *e)
{
    for (int more = 0; more <= 1; more++) {
        int r = make(more, &programs[more], e);
        if (r < 0)
            return r;
    }
    return 0;
}

int filter_load(bool more)
{
    return (int)syscall(
        SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &programs[more]);
}

bool filter_violation(int listener, char *name, size_t size)
{
    /* the kernel wants zeroes, and may fill in more than this header knows of */
    union {
        struct seccomp_notif n;
        char room[512];
    } u = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &u.n) < 0)
        return false; /* it was killed meanwhile */
    char *found = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, u.n.data.nr);
    (void)snprintf(name, size, "%s", found != NULL ? found : "?");
    free(found);
    return true;
}
