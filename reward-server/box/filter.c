/* filter.c: see filter.h. The only user of libseccomp. */
#include "reward-server/box/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"

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

    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
    "gettid", "execve", "exit", "exit_group", "wait4", "waitid", "sched_yield", "sched_getaffinity",
    "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "getpriority", "getpid", "getppid", "getpgrp", "getpgid", "setpgid", "getsid", "setsid",
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget",
    "getrlimit", "setrlimit", "getrusage", "sysinfo", "uname", "arch_prctl", "getrandom",
    "getxattr", "lgetxattr", "fgetxattr", "listxattr",

    /* a pair of connected sockets is a pipe; without sendmsg no descriptors travel */
    "shutdown", "sendto", "recvfrom", "recvmsg", "getsockopt", "setsockopt", "getsockname",
    "getpeername"};

static const char *const violations[] = {"io_uring_setup", "io_uring_enter", "io_uring_register",
    "bpf", "userfaultfd", "keyctl", "add_key", "request_key", "ptrace", "process_vm_readv",
    "process_vm_writev", "pidfd_getfd", "kcmp", "mount", "umount2", "pivot_root", "chroot", "setns",
    "unshare", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "perf_event_open", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "modify_ldt", "iopl", "ioperm", "settimeofday",
    "clock_settime", "adjtimex", "clock_adjtime", "swapon", "swapoff", "reboot",
    "open_by_handle_at", "quotactl", "acct", "syslog", "vhangup", "sethostname", "setdomainname",
    "seccomp"};

static const char *const denied[] = {"socket", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capset", "chown", "fchown",
    "lchown", "fchownat", "sched_setaffinity", "sched_setscheduler", "sched_setparam",
    "sched_setattr", "setpriority", "flock"};

static struct sock_fprog programs[2]; /* by may_fork; owned */

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

/* The calls that depend on their arguments. */
static int add_masked(scmp_filter_ctx c, bool may_fork)
{
    static const unsigned namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    static const int commands[] = {
        F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETPIPE_SZ};
    static const int names[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_PDEATHSIG,
        PR_GET_PDEATHSIG, PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS};
    int r = 0;
    /* a new namespace; then threads, then processes */
    for (unsigned bit = 1; bit != 0; bit <<= 1) {
        if (bit & namespaces)
            r |= seccomp_rule_add(c, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
    }
    unsigned required = may_fork ? 0 : CLONE_THREAD;
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
        SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces | required, required));
    if (may_fork) {
        r |= rule(c, SCMP_ACT_ALLOW, "fork");
        r |= rule(c, SCMP_ACT_ALLOW, "vfork");
    } else {
        r |= seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces | CLONE_THREAD, 0));
        r |= rule(c, SCMP_ACT_ERRNO(EPERM), "fork");
        r |= rule(c, SCMP_ACT_ERRNO(EPERM), "vfork");
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, (unsigned)commands[i]));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, (unsigned)names[i]));
    /* asking about oneself, or lowering; never about another process */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    /* no terminal is there to type into; refused all the same */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0x5401)); /* TCGETS: isatty */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0x541B)); /* FIONREAD */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0x5451)); /* FIOCLEX */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0x5421)); /* FIONBIO */
    r |=
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
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

int filter_make(struct err *e)
{
    for (int may_fork = 0; may_fork <= 1; may_fork++) {
        scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
        if (c == NULL)
            return err_set(e, ERR_FAIL, "seccomp filter: out of memory");
        int r = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        r |= seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: few steps a call */
        r |= add_masked(c, may_fork);
        if (r != 0)
            r = err_set(e, ERR_FAIL, "seccomp filter: rules refused");
        if (r == 0)
            r = rules(c, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed), e);
        if (r == 0)
            r = rules(c, SCMP_ACT_KILL_PROCESS, violations, ARRAY_LEN(violations), e);
        if (r == 0)
            r = rules(c, SCMP_ACT_ERRNO(EPERM), denied, ARRAY_LEN(denied), e);
        if (r == 0)
            r = export(c, &programs[may_fork], e);
        seccomp_release(c);
        if (r < 0)
            return r;
    }
    return 0;
}

bool filter_load(bool may_fork)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &programs[may_fork]) == 0;
}
