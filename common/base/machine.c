/* machine.c: see machine.h. */
#include "common/base/machine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

enum { PROC_BYTES_MAX = 64 << 10 };

/* The number in a limit's file; UINT64_MAX when there is no file or no limit ("max"). */
static uint64_t read_limit(const char *path)
{
    CLEANUP_BUF struct buf text = {0};
    struct err e = {0};
    if (!file_exists(path) || file_read(path, PROC_BYTES_MAX, &text, &e) != 0 || text.len == 0)
        return UINT64_MAX;
    char *end;
    unsigned long long v = strtoull((const char *)text.data, &end, 10);
    return end == (const char *)text.data ? UINT64_MAX : v;
}

/* The smallest limit from a group up to the root. In a container the path may be the host's, of
 * which only the root is to be seen. */
static uint64_t walk_up(const char *root, const char *path, const char *file)
{
    CLEANUP_FREE char *at = mem_strdup(path);
    uint64_t least = UINT64_MAX;
    for (;;) {
        CLEANUP_FREE char *name = mem_printf("%s%s/%s", root, at, file);
        uint64_t limit = read_limit(name);
        least = limit < least ? limit : least;
        char *slash = strrchr(at, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

/* One line is "ID:CONTROLLERS:PATH"; version 2 has ID 0 and no controllers. */
static uint64_t line_limit(char *line, const char *sysfs)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
        return UINT64_MAX;
    *controllers++ = '\0';
    *path++ = '\0';
    if (controllers[0] == '\0')
        return walk_up(sysfs, path, "memory.max");
    bool memory = false;
    for (char *name; (name = strsep(&controllers, ",")) != NULL;)
        memory |= strcmp(name, "memory") == 0;
    if (!memory)
        return UINT64_MAX;
    CLEANUP_FREE char *root = mem_printf("%s/memory", sysfs);
    return walk_up(root, path, "memory.limit_in_bytes");
}

uint64_t machine_cgroup_memory(const char *cgroup, const char *sysfs)
{
    CLEANUP_FREE char *text = mem_strdup(cgroup);
    uint64_t least = UINT64_MAX;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        uint64_t limit = line_limit(line, sysfs);
        least = limit < least ? limit : least;
    }
    return least;
}

uint64_t machine_memory_bytes(void)
{
    CLEANUP_BUF struct buf cgroup = {0};
    struct err e = {0};
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    if (file_read("/proc/self/cgroup", PROC_BYTES_MAX, &cgroup, &e) != 0 || cgroup.len == 0)
        return all; /* no control groups here */
    uint64_t limit = machine_cgroup_memory((const char *)cgroup.data, "/sys/fs/cgroup");
    return limit < all ? limit : all;
}
