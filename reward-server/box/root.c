/* root.c: see root.h. */
#include "reward-server/box/root.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "reward-server/box/launch.h"

/* launch.c as a library, for processes that are not cohort-box. */
static const unsigned char warm_library[] = {
#include "warm.so.inc"
};

/* Directories that are links into /usr on merged systems, and not shown elsewhere. */
static const char *const links[] = {"/bin", "/lib", "/lib64"};
static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom"};

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

static void bind_one(const char *path, uint64_t more)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return; /* a path of the table that this host lacks */
    make_parents(path);
    if (S_ISDIR(st.st_mode))
        (void)mkdir(below(path), 0755);
    else
        (void)close(open(below(path), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    LAUNCH_MUST(mount(path, below(path), NULL, MS_BIND | MS_REC, NULL));
    LAUNCH_MUST(set_read_only(below(path), more));
}

/* A link of the table is shown as a link, and with what it leads to. */
static void show(const char *path)
{
    char real[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, real) != NULL) {
        make_parents(path);
        (void)!symlink(real, below(path));
        bind_one(real, MOUNT_ATTR_NODEV);
        return;
    }
    bind_one(path, MOUNT_ATTR_NODEV);
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

static void put_library(void)
{
    int fd = open(below(LANGUAGE_WARM_LIBRARY), O_CREAT | O_WRONLY | O_CLOEXEC, 0555);
    LAUNCH_MUST(fd);
    if (write(fd, warm_library, sizeof(warm_library)) != (ssize_t)sizeof(warm_library))
        launch_fail("the library of warm interpreters");
    (void)close(fd);
}

void root_make(const struct language_phase *phase, bool warm)
{
    LAUNCH_MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    LAUNCH_MUST(
        mount("root", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=512,mode=755"));
    LAUNCH_MUST(chdir("/tmp"));
    show_links();
    for (size_t i = 0; phase != NULL && phase->paths[i] != NULL; i++)
        show(phase->paths[i]);
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        bind_one(devices[i], 0);
    if (warm)
        put_library();
    LAUNCH_MUST(mkdir("box", 0755));
    LAUNCH_MUST(symlink("box", "tmp"));
    LAUNCH_MUST(syscall(SYS_pivot_root, ".", "."));
    LAUNCH_MUST(umount2(".", MNT_DETACH));
    LAUNCH_MUST(chdir("/"));
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    LAUNCH_MUST(mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof(attr)));
}
