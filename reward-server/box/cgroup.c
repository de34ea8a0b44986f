/* cgroup.c: see cgroup.h. */
#include "reward-server/box/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static const char *const controllers[CGROUP_PARTS] = {"memory", "pids", "cpuacct"};
enum { TEXT_MAX = 64 << 10, PATH_TEXT_MAX = 4000 };
static const char prefix[] = "cohort-box-";

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

/* Our group in a hierarchy, from lines "N:controllers:/path". */
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
        if (names != NULL && line != NULL && has_word(names, controller)) {
            (void)snprintf(ret, size, "%s", strcmp(line, "/") == 0 ? "" : line);
            return true;
        }
    }
    return false;
}

/* The directory of our own group: the mount point of the hierarchy, then the group in it. */
static bool own_dir(const char *controller, char *ret, size_t size)
{
    char group[PATH_TEXT_MAX];
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    if (!own_group(controller, group, sizeof(group)) ||
        file_read("/proc/self/mounts", 1 << 20, &text, &e) < 0 || text.len == 0)
        return false;
    char *rest = (char *)text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        (void)strsep(&line, " ");
        const char *point = strsep(&line, " "), *type = strsep(&line, " ");
        const char *options = strsep(&line, " ");
        if (options == NULL || strcmp(type, "cgroup") != 0 || !has_word(options, controller))
            continue;
        int n = snprintf(ret, size, "%s%s", point, group);
        if (n < 0 || (size_t)n >= size)
            return false;
        if (access(ret, W_OK) != 0) /* a container that sees its own group as the top */
            (void)snprintf(ret, size, "%s", point);
        return true;
    }
    return false;
}

/* ---- small files ---- */

static bool write_number(int dir, const char *name, uint64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%" PRIu64, value);
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0)
        (void)close(fd);
    return ok;
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

static uint64_t read_number(int dir, const char *name)
{
    char text[64];
    return read_text(dir, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

static uint64_t oom_kills(const struct cgroup *g)
{
    char text[256];
    if (!read_text(g->dirs[CGROUP_MEMORY], "memory.oom_control", text, sizeof(text)))
        return 0;
    const char *at = strstr(text, "oom_kill ");
    return at != NULL ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}

/* ---- a group ---- */

void cgroup_open(struct cgroup *g, unsigned slot)
{
    *g = (struct cgroup){.on = true, .dirs = {-1, -1, -1}};
    for (int p = 0; p < CGROUP_PARTS && g->on; p++) {
        char base[PATH_TEXT_MAX];
        g->on = own_dir(controllers[p], base, sizeof(base));
        if (!g->on)
            break;
        (void)snprintf(
            g->paths[p], sizeof(g->paths[p]), "%s/%s%d-%u", base, prefix, (int)getpid(), slot);
        g->on = mkdir(g->paths[p], 0755) == 0 || errno == EEXIST;
        if (g->on)
            g->dirs[p] = open(g->paths[p], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g->on = g->on && g->dirs[p] >= 0;
    }
    if (g->on && !cgroup_reset(g, 64 << 20, 16))
        g->on = false;
    if (!g->on)
        cgroup_close(g);
}

void cgroup_close(struct cgroup *g)
{
    for (int p = 0; p < CGROUP_PARTS; p++) {
        file_close(&g->dirs[p]);
        if (g->paths[p][0] != '\0')
            (void)rmdir(g->paths[p]); /* what stays is swept at the next start */
    }
    g->on = false;
}

bool cgroup_reset(struct cgroup *g, uint64_t memory_bytes, uint64_t processes)
{
    bool ok = write_number(g->dirs[CGROUP_PIDS], "pids.max", processes) &&
              write_number(g->dirs[CGROUP_CPU], "cpuacct.usage", 0);
    if (ok && memory_bytes != g->memory_limit)
        ok = write_number(g->dirs[CGROUP_MEMORY], "memory.limit_in_bytes", memory_bytes);
    if (ok)
        ok = write_number(g->dirs[CGROUP_MEMORY], "memory.max_usage_in_bytes", 0);
    g->memory_limit = ok ? memory_bytes : 0;
    g->oom_kills = oom_kills(g);
    return ok;
}

bool cgroup_add(const struct cgroup *g, pid_t pid)
{
    bool ok = true;
    for (int p = 0; p < CGROUP_PARTS; p++)
        ok = ok && write_number(g->dirs[p], "cgroup.procs", (uint64_t)pid);
    return ok;
}

uint64_t cgroup_cpu_us(const struct cgroup *g)
{
    return read_number(g->dirs[CGROUP_CPU], "cpuacct.usage") / 1000;
}

uint64_t cgroup_memory_peak(const struct cgroup *g)
{
    return read_number(g->dirs[CGROUP_MEMORY], "memory.max_usage_in_bytes");
}

bool cgroup_out_of_memory(const struct cgroup *g)
{
    return oom_kills(g) > g->oom_kills;
}

bool cgroup_holds(const struct cgroup *g, uint64_t tasks)
{
    return read_number(g->dirs[CGROUP_PIDS], "pids.current") == tasks;
}

const char *cgroup_name(const struct cgroup *g)
{
    return g->on ? "cgroup1" : "rlimits";
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
        long pid = strtol(entry->d_name + strlen(prefix), NULL, 10);
        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            (void)unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
    }
    (void)closedir(d);
}

void cgroup_sweep(void)
{
    for (int p = 0; p < CGROUP_PARTS; p++) {
        char base[PATH_TEXT_MAX];
        if (own_dir(controllers[p], base, sizeof(base)))
            sweep_dir(base);
    }
}
