/* daemons.c: see daemons.h. */
#include "cli/daemons.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static const struct {
    const char *program, *build_dir, *name;
} daemons[CHILD_ROLE_COUNT] = {
    [CHILD_LEARNER] = {"cohort-learner", "learner", "learner"},
    [CHILD_ACTOR] = {"cohort-actor", "actor", "actor"},
    [CHILD_REWARD] = {"cohort-reward-server", "reward-server", "reward"},
};

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
    CLEANUP_FREE char *program =
        count > 0 ? file_program(daemons[role].program, daemons[role].build_dir, e) : NULL;
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
