/* cgroup.c: see cgroup.h. */
#include "reward-server/box/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static const char *const controllers[CGROUP_PARTS] = {"memory", "pids", "cpuacct"};
static const char prefix[] = "cohort-box.";
static const char main_group[] = "cohort-main"; /* version 2: where we and our parent move to */

/* The files of each version. Their values are in the same units but for processor time. */
static const struct {
    const char *name, *memory_limit, *memory_events, *cpu, *cpu_field;
    uint64_t cpu_per_us;
} versions[] = {
    {"cgroup1", "memory.limit_in_bytes", "memory.oom_control", "cpuacct.usage", "", 1000},
    {"cgroup2", "memory.max", "memory.events", "cpu.stat", "usage_usec ", 1},
};
enum { VERSION_1 = 0, VERSION_2 = 1, NO_VERSION = -1 };
enum {
    TEXT_MAX = 64 << 10,
    PATH_TEXT_MAX = 4000,
    CGROUP_PATH_MAX = 4096,
    MAKE_TRIES = 8, /* each is lost to a sweep at the same moment only */
};

/* What cgroup_find found; the same in all processes of this cohort-box. */
static struct {
    int version;
    char bases[CGROUP_PARTS][PATH_TEXT_MAX];
} host = {.version = NO_VERSION};

/* ---- where ---- */

/* Whether a comma separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n) {
        bool begins = at == list || at[-1] == ',', ends = at[n] == '\0' || at[n] == ',';
        if (begins && ends)
            return true;
    }
    return false;
}

/* Our group in a hierarchy, from lines "N:controllers:/path"; that of version 2 names none. */
static bool own_group(const char *controller, char *ret, size_t size)
{
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    if (file_read("/proc/self/cgroup", TEXT_MAX, &text, &e) < 0 || text.len == 0)
        return false;
    char *rest = (char *)text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        (void)strsep(&line, ":");
        const char *names = strsep(&line, ":");
        if (names == NULL || line == NULL)
            continue;
        if (controller[0] == '\0' ? names[0] == '\0' : has_word(names, controller)) {
            (void)snprintf(ret, size, "%s", strcmp(line, "/") == 0 ? "" : line);
            return true;
        }
    }
    return false;
}

/* The directory of our own group: the mount point of the hierarchy, then the group in it.
 * controller "": of version 2. */
static bool own_dir(const char *controller, char *ret, size_t size)
{
    char group[PATH_TEXT_MAX];
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    const char *wanted = controller[0] == '\0' ? "cgroup2" : "cgroup";
    if (!own_group(controller, group, sizeof(group)) ||
        file_read("/proc/self/mounts", 1 << 20, &text, &e) < 0 || text.len == 0)
        return false;
    char *rest = (char *)text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        (void)strsep(&line, " ");
        const char *point = strsep(&line, " "), *type = strsep(&line, " ");
        const char *options = strsep(&line, " ");
        if (options == NULL || strcmp(type, wanted) != 0 ||
            (controller[0] != '\0' && !has_word(options, controller)))
            continue;
        int n = snprintf(ret, size, "%s%s", point, group);
        if (n < 0 || (size_t)n >= size)
            return false;
        if (access(ret, F_OK) != 0) /* a container that sees its own group as the top */
            (void)snprintf(ret, size, "%s", point);
        return true;
    }
    return false;
}

/* ---- small files ---- */

static int open_dir(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool write_text(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    file_close(&fd);
    return ok;
}

static bool write_number(int dir, const char *name, uint64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return write_text(dir, name, text);
}

static bool read_text(int dir, const char *name, char *text, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* A number after a name, from a file of lines of both; name "": from the beginning. */
static uint64_t read_field(int dir, const char *file, const char *name)
{
    char text[4096];
    const char *at = read_text(dir, file, text, sizeof(text)) ? strstr(text, name) : NULL;
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The directory of a part of a group. */
static int part(const struct cgroup *g, enum cgroup_part p)
{
    return g->dirs[host.version == VERSION_2 ? 0 : p];
}

static uint64_t oom_kills(const struct cgroup *g)
{
    return read_field(part(g, CGROUP_MEMORY), versions[host.version].memory_events, "oom_kill ");
}

static uint64_t cpu_us(const struct cgroup *g)
{
    return read_field(
               part(g, CGROUP_CPU), versions[host.version].cpu, versions[host.version].cpu_field) /
           versions[host.version].cpu_per_us;
}

/* ---- version 2 ---- */

/* Whether groups below this one have memory and pids. */
static bool delegates(int dir)
{
    char text[256];
    return read_text(dir, "cgroup.subtree_control", text, sizeof(text)) &&
           strstr(text, "memory") != NULL && strstr(text, "pids") != NULL;
}

/* Us and our parent into a group of our own, when nobody else is here. */
static bool move_out(int dir, const char *path)
{
    char text[4096], *rest = text;
    char group[CGROUP_PATH_MAX];
    if (!read_text(dir, "cgroup.procs", text, sizeof(text)))
        return false;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && line[0] != '\0';) {
        long pid = strtol(line, NULL, 10);
        if (pid != getpid() && pid != getppid())
            return false;
    }
    (void)snprintf(group, sizeof(group), "%s/%s", path, main_group);
    if (mkdir(group, 0755) < 0 && errno != EEXIST)
        return false;
    int fd = open_dir(AT_FDCWD, group);
    bool ok = fd >= 0 && write_number(fd, "cgroup.procs", (uint64_t)getpid()) &&
              write_number(fd, "cgroup.procs", (uint64_t)getppid());
    file_close(&fd);
    return ok;
}

/* Whether groups can be made below this one; once those that are in it have moved out, if need be.
 */
static bool can_delegate(const char *path, bool move)
{
    static const char wanted[] = "+memory +pids";
    int dir = open_dir(AT_FDCWD, path);
    bool ok = dir >= 0 && access(path, W_OK) == 0;
    if (ok && move && !delegates(dir) && !write_text(dir, "cgroup.subtree_control", wanted) &&
        errno == EBUSY && move_out(dir, path))
        (void)write_text(dir, "cgroup.subtree_control", wanted);
    ok = ok && delegates(dir);
    file_close(&dir);
    return ok;
}

/* Our own group; or the one above, when an earlier cohort-box has moved us, or when others are in
 * our own with us and the one above lets us make groups as it is. */
static bool find_version_2(char *ret, size_t size)
{
    if (!own_dir("", ret, size))
        return false;
    char *last = strrchr(ret, '/');
    if (last == NULL || (strcmp(last + 1, main_group) != 0 && can_delegate(ret, true)))
        return last != NULL;
    *last = '\0';
    return can_delegate(ret, false);
}

/* ---- whose a group is ---- */

/* The slot that made a group keeps a lock on its directory. The kernel takes the lock back when the
 * last process with that descriptor has ended, which is the slot: a zygote has no descriptors but
 * its own. So who can have the lock of a group knows that nobody uses it, whatever its name, and in
 * whatever pid namespace its slot was. A group that was made and is not locked yet looks the same;
 * its maker finds it gone and makes another. */
static bool lock(int dir)
{
    return flock(dir, LOCK_EX | LOCK_NB) == 0;
}

static int part_count(void)
{
    return host.version == VERSION_2 ? 1 : CGROUP_PARTS;
}

static bool part_path(const struct cgroup *g, int p, char *ret, size_t size)
{
    int n = snprintf(ret, size, "%s/%s", host.bases[p], g->name);
    return n > 0 && (size_t)n < size;
}

/* The directory, ours and locked; -1 when that was not to be. */
static int make_dir(const char *path)
{
    struct stat ours, there;
    int dir = mkdir(path, 0700) == 0 ? open_dir(AT_FDCWD, path) : -1;
    if (dir >= 0 && lock(dir) && fstat(dir, &ours) == 0 && stat(path, &there) == 0 &&
        ours.st_ino == there.st_ino)
        return dir;
    file_close(&dir);
    return -1;
}

/* A name that is nobody else's; the number of the process is for people. */
static bool make_group(struct cgroup *g)
{
    uint64_t id;
    char path[CGROUP_PATH_MAX];
    if (getrandom(&id, sizeof(id), 0) != sizeof(id))
        return false;
    (void)snprintf(g->name, sizeof(g->name), "%s%d-%016" PRIx64, prefix, (int)getpid(), id);
    for (int p = 0; p < part_count(); p++) {
        g->dirs[p] = part_path(g, p, path, sizeof(path)) ? make_dir(path) : -1;
        if (g->dirs[p] < 0)
            return false;
    }
    return true;
}

/* ---- a group ---- */

void cgroup_open(struct cgroup *g)
{
    *g = (struct cgroup){.dirs = {-1, -1, -1}, .peak = -1};
    for (int i = 0; i < MAKE_TRIES && host.version != NO_VERSION && !g->on; i++) {
        g->on = make_group(g);
        if (!g->on)
            cgroup_close(g);
    }
    if (g->on && host.version == VERSION_2) {
        g->peak = openat(g->dirs[0], "memory.peak", O_RDWR | O_CLOEXEC);
        (void)write_text(g->dirs[0], "memory.swap.max", "0"); /* not there without swap */
    } else if (g->on) {
        (void)write_text(g->dirs[CGROUP_MEMORY], "memory.swappiness", "0");
    }
    if (g->on && !cgroup_reset(g, 64 << 20, 16))
        cgroup_close(g);
}

void cgroup_close(struct cgroup *g)
{
    char path[CGROUP_PATH_MAX];
    for (int p = 0; p < CGROUP_PARTS; p++) {
        if (g->dirs[p] >= 0 && part_path(g, p, path, sizeof(path)))
            (void)rmdir(path); /* what stays is swept later */
        file_close(&g->dirs[p]);
    }
    file_close(&g->peak);
    g->on = false;
}

bool cgroup_reset(struct cgroup *g, uint64_t memory_bytes, uint64_t processes)
{
    int memory = part(g, CGROUP_MEMORY);
    bool ok = write_number(part(g, CGROUP_PIDS), "pids.max", processes);
    if (ok && memory_bytes != g->memory_limit)
        ok = write_number(memory, versions[host.version].memory_limit, memory_bytes);
    if (host.version == VERSION_1)
        g->peak_known = ok && write_number(memory, "memory.max_usage_in_bytes", 0);
    else /* kernels before 6.12 tell only of the group's whole life */
        g->peak_known = g->peak >= 0 && write(g->peak, "reset\n", 6) == 6;
    g->memory_limit = ok ? memory_bytes : 0;
    g->oom_kills = oom_kills(g);
    g->cpu_us = cpu_us(g);
    return ok;
}

bool cgroup_add(const struct cgroup *g, pid_t pid)
{
    bool ok = true;
    for (int p = 0; p < CGROUP_PARTS; p++)
        ok = ok && (g->dirs[p] < 0 || write_number(g->dirs[p], "cgroup.procs", (uint64_t)pid));
    return ok;
}

uint64_t cgroup_cpu_us(const struct cgroup *g)
{
    return cpu_us(g) - g->cpu_us;
}

uint64_t cgroup_memory_peak(const struct cgroup *g)
{
    char text[32];
    if (!g->peak_known)
        return 0;
    if (host.version == VERSION_1)
        return read_field(part(g, CGROUP_MEMORY), "memory.max_usage_in_bytes", "");
    ssize_t n = pread(g->peak, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return strtoull(text, NULL, 10);
}

bool cgroup_out_of_memory(const struct cgroup *g)
{
    return oom_kills(g) > g->oom_kills;
}

bool cgroup_holds(const struct cgroup *g, uint64_t tasks)
{
    return read_field(part(g, CGROUP_PIDS), "pids.current", "") == tasks;
}

const char *cgroup_name(const struct cgroup *g)
{
    return g->on ? versions[host.version].name : "rlimits";
}

/* ---- what others left ---- */

static void sweep_dir(const char *base)
{
    DIR *d = opendir(base);
    if (d == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        int dir = open_dir(dirfd(d), entry->d_name);
        if (dir >= 0 && lock(dir))
            (void)unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR); /* not before it is empty */
        file_close(&dir);
    }
    (void)closedir(d);
}

void cgroup_sweep(void)
{
    for (int p = 0; p < CGROUP_PARTS; p++) {
        if (host.bases[p][0] != '\0')
            sweep_dir(host.bases[p]);
    }
}

void cgroup_find(void)
{
    bool all = true;
    for (int p = 0; p < CGROUP_PARTS; p++)
        all = all && own_dir(controllers[p], host.bases[p], sizeof(host.bases[p])) &&
              access(host.bases[p], W_OK) == 0;
    if (all) {
        host.version = VERSION_1;
    } else {
        memset(host.bases, 0, sizeof(host.bases));
        if (find_version_2(host.bases[0], sizeof(host.bases[0])))
            host.version = VERSION_2;
        else
            host.bases[0][0] = '\0';
    }
    cgroup_sweep();
}
