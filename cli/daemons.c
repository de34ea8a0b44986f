/* daemons.c: see daemons.h. */
#include "cli/daemons.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

static const struct {
    const char *program, *build_dir, *name;
} daemons[CHILD_ROLE_COUNT] = {
    [CHILD_LEARNER] = {"cohort-learner", "learner", "learner"},
    [CHILD_ACTOR] = {"cohort-actor", "actor", "actor"},
    [CHILD_REWARD] = {"cohort-reward-server", "reward-server", "reward"},
};

static char *find_program(enum child_role role, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0) {
        (void)err_sys(e, ERR_FAIL, "looking for %s beside this program", daemons[role].program);
        return NULL;
    }
    self[n] = '\0';
    *strrchr(self, '/') = '\0'; /* the kernel's path is absolute */
    CLEANUP_FREE char *beside = mem_printf("%s/%s", self, daemons[role].program);
    CLEANUP_FREE char *built =
        mem_printf("%s/../%s/%s", self, daemons[role].build_dir, daemons[role].program);
    if (access(beside, X_OK) == 0)
        return steal(&beside);
    if (access(built, X_OK) == 0)
        return steal(&built);
    (void)err_set(
        e, ERR_FAIL, "no program '%s' and no '%s': install or build all of cohort", beside, built);
    return NULL;
}

static const char *const *make_argv(
    const struct daemon_line *line, const char *program, const char *name)
{
    struct args_words w = {0};
    const char *const fixed[] = {program, "--run", line->run_dir, "--conf", line->conf};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        args_words_add(&w, fixed[i]);
    for (size_t i = 0; i < line->sets->count; i++) {
        args_words_add(&w, "--set");
        args_words_add(&w, line->sets->items[i]);
    }
    if (name != NULL) {
        args_words_add(&w, "--name");
        args_words_add(&w, name);
    } else if (line->accept_training_id) {
        args_words_add(&w, "--accept-training-id");
    }
    args_words_add(&w, NULL);
    return w.items;
}

/* "--fault SITE:NTH:ACTION" for the child that a fault names; NULL for the others. */
static const char *const *make_fault(const struct daemon_line *line, const char *name)
{
    struct args_words w = {0};
    size_t n = strlen(name);
    for (size_t i = 0; i < line->faults->count; i++) {
        const char *fault = line->faults->items[i];
        if (strncmp(fault, name, n) != 0 || fault[n] != ':')
            continue;
        args_words_add(&w, "--fault");
        args_words_add(&w, fault + n + 1);
    }
    if (w.count > 0)
        args_words_add(&w, NULL);
    return w.items;
}

int daemon_children_add(struct daemon_children *c, const struct daemon_line *line,
    enum child_role role, unsigned count, struct err *e)
{
    CLEANUP_FREE char *program = count > 0 ? find_program(role, e) : NULL;
    if (count > 0 && program == NULL)
        return e->code;
    for (unsigned i = 0; i < count; i++) {
        bool single = role == CHILD_LEARNER;
        char *name = single ? mem_strdup(daemons[role].name)
                            : mem_printf("%s-%u", daemons[role].name, i + 1);
        c->specs = mem_grow(c->specs, c->count + 1, sizeof(*c->specs));
        c->specs[c->count++] = (struct child_spec){
            .role = role,
            .name = name,
            .argv = make_argv(line, mem_strdup(program), single ? NULL : name),
            .first_args = make_fault(line, name),
        };
    }
    return 0;
}

void daemon_children_done(struct daemon_children *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free((char *)c->specs[i].argv[0]); /* made by daemon_children_add, as all below */
        free((void *)c->specs[i].argv);
        free((void *)c->specs[i].first_args);
        free((char *)c->specs[i].name);
    }
    free(c->specs);
    *c = (struct daemon_children){0};
}
