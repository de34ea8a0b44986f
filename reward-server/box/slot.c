/* slot.c: see slot.h.
 *
 * The order at the end of a run matters: end the program if it has not ended by itself, and hear
 * from the zygote, whose child it is; end the first process of the pid namespace, which ends all
 * others, and wait for it, which the kernel lets us only when the namespace is empty; only then
 * read the accounting, and decide.
 */
#include "reward-server/box/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "reward-server/box/run.h"

enum {
    UID_FIRST = 61000, /* of programs, when we are root; one for each box */
    UID_INSIDE = 1000, /* in a user namespace */
};

/* ---- a slot ---- */

static bool write_self(const char *name, const char *text)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    file_close(&fd);
    return ok;
}

static bool enter_own_user(void)
{
    char uid[64], gid[64];
    (void)snprintf(uid, sizeof(uid), "%d %u 1", UID_INSIDE, (unsigned)geteuid());
    (void)snprintf(gid, sizeof(gid), "%d %u 1", UID_INSIDE, (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_self("setgroups", "deny") &&
           write_self("gid_map", gid) && write_self("uid_map", uid);
}

bool slot_open(struct slot *s, unsigned number, int client)
{
    *s = (struct slot){.own_user = geteuid() != 0, .client = client};
    for (unsigned i = 0; i < BOX_PAIR; i++) {
        struct slot_box *b = &s->boxes[i];
        b->uid = s->own_user ? UID_INSIDE : UID_FIRST + number + i * BOX_SLOTS_MAX;
        b->cell = (struct cell){.hold = -1, .pid_ns = -1, .work = -1};
        cgroup_open(&b->group);
    }
    /* children of a zygote that died become ours */
    return (!s->own_user || enter_own_user()) && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

void slot_close(struct slot *s)
{
    for (unsigned i = 0; i < BOX_PAIR; i++) {
        struct slot_box *b = &s->boxes[i];
        if (b->cell.init > 0)
            (void)kill(b->cell.init, SIGKILL);
        for (unsigned k = 0; k < SLOT_ZYGOTES_MAX; k++) {
            if (b->zygotes[k].pid > 0)
                (void)kill(b->zygotes[k].pid, SIGKILL);
        }
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    for (unsigned i = 0; i < BOX_PAIR; i++) {
        if (s->boxes[i].group.on)
            cgroup_close(&s->boxes[i].group);
    }
}

void slot_prepare(struct slot *s)
{
    struct cell *c = &s->boxes[0].cell;
    if (c->init == 0)
        (void)cell_open(c); /* the next run tries again, and says why */
}

/* ---- zygotes ---- */

static uint64_t count_zygotes(const struct slot_box *b)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < SLOT_ZYGOTES_MAX; i++)
        count += b->zygotes[i].pid > 0;
    return count;
}

/* The place of the phase's zygote, or else a free one, or the one used longest ago. */
static struct zygote *find_place(struct slot_box *b, const struct language_phase *phase)
{
    struct zygote *best = &b->zygotes[0];
    for (unsigned i = 0; i < SLOT_ZYGOTES_MAX; i++) {
        struct zygote *z = &b->zygotes[i];
        if (z->pid > 0 && z->phase == phase)
            return z;
        uint64_t used = z->pid > 0 ? z->used : 0, least = best->pid > 0 ? best->used : 0;
        best = used < least ? z : best;
    }
    return best;
}

static bool start_zygote(const struct slot *s, struct slot_box *b, struct zygote *z,
    const struct zygote_setup *w, struct run *r)
{
    char what[sizeof(r->end.what)];
    if (z->pid > 0)
        zygote_close(z);
    if (!zygote_open(z, w, what, sizeof(what))) {
        run_fail(r, what, errno);
        return false;
    }
    if (b->group.on && !cgroup_add(&b->group, z->pid)) {
        run_fail(r, "adding a zygote to its control group", errno);
        zygote_close(z);
        return false;
    }
    return true;
}

static bool take_zygote(struct slot *s, struct slot_box *b, const struct language *l, struct run *r)
{
    const struct language_phase *phase = NULL;
    bool run = r->q->phase == BOX_RUN;
    bool warm = run && !r->q->cold && l->warm.argv[0] != NULL;
    if (r->q->phase != BOX_PROBE)
        phase = warm ? &l->warm : run ? &l->run : &l->compile;
    struct zygote_setup w = {.phase = phase,
        .warm = warm,
        .own_user = s->own_user,
        .uid = b->uid,
        .groups = b->group.on};
    struct zygote *z = find_place(b, phase);
    if ((z->pid == 0 || z->phase != phase) && !start_zygote(s, b, z, &w, r))
        return false;
    z->used = ++s->runs;
    r->zygote = z;
    return true;
}

/* ---- the start of a run ---- */

static bool send_order(
    const struct slot *s, const struct slot_box *b, struct run *r, const struct box_request *other)
{
    struct launch_order o = {.limits = r->q->limits,
        .more_tasks = count_zygotes(b),
        .groups = b->group.on,
        .may_fork = b->group.on || r->q->phase == BOX_COMPILE};
    if (s->own_user) /* all of the slot have one user: the slot, cells, the other box */
        o.more_tasks +=
            1 + BOX_PAIR + SLOT_ZYGOTES_MAX + (other != NULL ? other->limits.processes : 0);
    int fds[LAUNCH_STREAMS + 2] = {b->cell.pid_ns, b->cell.work};
    size_t count = 2;
    for (int i = 0; i < LAUNCH_STREAMS; i++) {
        o.streams[i] = r->theirs[i] >= 0;
        if (o.streams[i])
            fds[count++] = r->theirs[i];
    }
    return zygote_send(r->zygote, &o, fds, count);
}

/* False with the fault in the result. */
static bool begin(
    struct slot *s, struct slot_box *b, struct run *r, const struct box_request *other)
{
    const struct language *language = language_find(r->q->language);
    const struct box_limits *l = &r->q->limits;
    if (language == NULL && r->q->phase != BOX_PROBE)
        run_fail(r, "unknown language", EINVAL);
    else if (!b->group.on && language != NULL && language->wide)
        run_fail(r, "this language needs control groups", ENOTSUP);
    else if (!take_zygote(s, b, language, r))
        return false;
    else if (b->group.on &&
             !cgroup_reset(&b->group, l->memory_bytes, l->processes + count_zygotes(b)))
        run_fail(r, "limits of the control group", errno);
    else if (b->cell.init == 0 && !cell_open(&b->cell))
        run_fail(r, "a pid namespace", errno);
    else if (!cell_add_work(&b->cell, r->q, b->uid))
        run_fail(r, "the work directory", errno);
    else if (!run_open_streams(r))
        run_fail(r, "pipes", errno);
    else if (!send_order(s, b, r, other))
        run_fail(r, "an order to a zygote", errno);
    else
        r->init = b->cell.init;
    run_close_theirs(r);
    return r->init > 0;
}

/* ---- the end of a run ---- */

static void finish(struct slot *s, struct slot_box *b, struct run *r)
{
    bool begun = r->init > 0;
    if (begun)
        run_stop(r);
    bool killed = false;
    if (r->lost || (!begun && r->zygote != NULL)) /* a zygote that takes no orders is gone */
        s->broken = true;
    else
        killed = !cell_end(&b->cell) && run_ended_by_kill(r);
    if (killed)
        run_fail(r, "the box was killed from outside", EINTR);
    else if (!begun)
        run_fail(r, "the other box of the pair was not made", ECANCELED);
    else if (!r->lost && b->group.on && !cgroup_holds(&b->group, count_zygotes(b)))
        run_fail(r, "processes are left in the control group", EBUSY); /* never seen */
    run_finish(r);
    if (r->result->end != BOX_FAULT)
        cell_fetch(&b->cell, r->q, r->result);
    if (!s->broken)
        cell_close(&b->cell);
}

static bool connect_pair(struct run *runs)
{
    int there[2], back[2];
    if (pipe2(there, O_CLOEXEC) < 0)
        return false;
    runs[0].theirs[LAUNCH_TO] = there[1];
    runs[1].theirs[LAUNCH_FROM] = there[0];
    if (pipe2(back, O_CLOEXEC) < 0)
        return false;
    runs[0].theirs[LAUNCH_FROM] = back[0];
    runs[1].theirs[LAUNCH_TO] = back[1];
    return true;
}

bool slot_run(
    struct slot *s, const struct box_request *requests, size_t count, struct box_result *results)
{
    struct run runs[BOX_PAIR];
    bool ok = true, client_there = true;
    for (size_t i = 0; i < count; i++) {
        char isolation[sizeof(results->isolation)];
        const struct cgroup *group = &s->boxes[i].group;
        (void)snprintf(isolation, sizeof(isolation), "namespaces%s,seccomp,%s",
            s->own_user ? "+user" : "", cgroup_name(group));
        run_init(&runs[i], &requests[i], group, isolation, &results[i]);
    }
    if (count > 1 && !connect_pair(runs)) {
        run_fail(&runs[0], "pipes of a pair", errno);
        ok = false;
    }
    for (size_t i = 0; i < count && ok; i++)
        ok = begin(s, &s->boxes[i], &runs[i], count > 1 ? &requests[1 - i] : NULL);
    if (ok)
        client_there = run_watch(s->client, runs, count);
    for (size_t i = 0; i < count; i++)
        finish(s, &s->boxes[i], &runs[i]);
    return client_there;
}
