/* fault.c: armed fault points.
 *
 * Arming happens while the process starts, before its threads; visits may come from any thread.
 */
#include "common/base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum fault_action { FAULT_NONE, FAULT_KILL, FAULT_ERROR, FAULT_STOP };

static const char *const site_names[FAULT_SITE_COUNT] = {
#define FAULT_TEXT(name, text) [name] = text,
    FAULT_SITES(FAULT_TEXT)
#undef FAULT_TEXT
};

static const char *const action_names[] = {
    [FAULT_KILL] = "kill", [FAULT_ERROR] = "error", [FAULT_STOP] = "stop"};

struct fault_point {
    enum fault_action action;
    uint64_t nth; /* the visit that acts, from 1 */
    _Atomic uint64_t visits;
};

static atomic_bool any_armed;
static struct fault_point points[FAULT_SITE_COUNT];

const char *fault_site_name(enum fault_site site)
{
    return (unsigned)site < FAULT_SITE_COUNT ? site_names[site] : "?";
}

/* Index of the n bytes at s in names, which may have gaps; -1 when none equals them. */
static int index_of(const char *const *names, int count, const char *s, size_t n)
{
    for (int i = 0; i < count; i++) {
        if (names[i] != NULL && strlen(names[i]) == n && memcmp(names[i], s, n) == 0)
            return i;
    }
    return -1;
}

int fault_arm(const char *spec, struct err *e)
{
    const char *nth_text = strchr(spec, ':');
    const char *action_text = nth_text != NULL ? strchr(nth_text + 1, ':') : NULL;
    if (action_text == NULL)
        return err_set(e, ERR_USAGE, "fault '%.200s': expected SITE:NTH:ACTION", spec);
    int site = index_of(site_names, FAULT_SITE_COUNT, spec, (size_t)(nth_text - spec));
    if (site < 0)
        return err_set(e, ERR_USAGE, "fault '%.200s': unknown site", spec);
    size_t digits = strspn(nth_text + 1, "0123456789");
    unsigned long long nth = strtoull(nth_text + 1, NULL, 10);
    if (nth_text + 1 + digits != action_text || digits == 0 || digits > 18 || nth == 0)
        return err_set(e, ERR_USAGE, "fault '%.200s': NTH must be a number from 1", spec);
    int action = index_of(action_names, (int)(sizeof(action_names) / sizeof(action_names[0])),
        action_text + 1, strlen(action_text + 1));
    if (action < 0)
        return err_set(e, ERR_USAGE, "fault '%.200s': ACTION must be kill, error or stop", spec);
    points[site].action = (enum fault_action)action;
    points[site].nth = nth;
    atomic_store(&points[site].visits, 0);
    atomic_store(&any_armed, true);
    return 0;
}

bool fault_hit(enum fault_site site)
{
    if (!atomic_load_explicit(&any_armed, memory_order_relaxed))
        return false;
    struct fault_point *p = &points[site];
    if (p->action == FAULT_NONE || atomic_fetch_add(&p->visits, 1) + 1 != p->nth)
        return false;
    if (p->action == FAULT_KILL)
        (void)raise(SIGKILL); /* cannot fail for the process itself, and does not return */
    if (p->action == FAULT_STOP)
        (void)raise(SIGSTOP);
    return p->action == FAULT_ERROR;
}
