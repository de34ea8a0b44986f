/* tree.c: see tree.h. */
#include "tests/box/tree.h"

#include <dirent.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tree_children(pid_t pid, pid_t ret[TREE_MAX])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -1;
    int count = 0, child;
    while (count < TREE_MAX && fscanf(f, "%d", &child) == 1)
        ret[count++] = (pid_t)child;
    (void)fclose(f);
    return count;
}

pid_t tree_child(pid_t pid)
{
    static pid_t children[TREE_MAX];
    int count = tree_children(pid, children);
    return count > 0 ? children[0] : count;
}

static size_t count_names(const char *path, const char *prefix)
{
    size_t count = 0;
    DIR *d = opendir(path);
    if (d == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    (void)closedir(d);
    return count;
}

static size_t count_lines(pid_t pid, const char *name, const char *field, size_t *ret_value)
{
    char path[64], line[4096];
    size_t count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        count++;
        if (field != NULL && strncmp(line, field, strlen(field)) == 0)
            *ret_value += strtoull(line + strlen(field), NULL, 10);
    }
    (void)fclose(f);
    return count;
}

static void add(struct tree_use *u, pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    u->processes++;
    u->descriptors += count_names(path, "");
    u->mounts += count_lines(pid, "mountinfo", NULL, NULL);
    (void)count_lines(pid, "status", "RssAnon:", &u->memory_kib);
}

/* ---- control groups ---- */

static pid_t seen[TREE_MAX]; /* every process that was ever measured, once */
static size_t seen_count, groups;

static bool is_seen(pid_t pid)
{
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i] == pid)
            return true;
    }
    return false;
}

static int look_at_group(const char *path, const struct stat *st, int type, struct FTW *at)
{
    static const char prefix[] = "cohort-box.";
    const char *name = path + at->base;
    if (type == FTW_D && strncmp(name, prefix, strlen(prefix)) == 0)
        groups += is_seen((pid_t)strtol(name + strlen(prefix), NULL, 10));
    return 0;
}

/* ---- all of it ---- */

struct tree_use tree_measure(pid_t pid)
{
    static pid_t all[TREE_MAX], some[TREE_MAX];
    struct tree_use u = {0};
    size_t count = 1;
    all[0] = pid;
    for (size_t i = 0; i < count; i++) {
        int more = tree_children(all[i], some);
        for (int k = 0; k < more && count < TREE_MAX; k++) {
            add(&u, some[k]);
            all[count++] = some[k];
        }
    }
    for (size_t i = 1; i < count && seen_count < TREE_MAX; i++) {
        if (!is_seen(all[i]))
            seen[seen_count++] = all[i];
    }
    groups = 0;
    (void)nftw("/sys/fs/cgroup", look_at_group, 16, FTW_PHYS); /* version 1 and 2 */
    u.groups = groups;
    return u;
}
