/* code_build.c: programs of compiled languages: the compiler in a box, and a cache of what it made.
 *
 * How it works: the cache is a list of entries by the hash of language and source, the last used
 * first. The thread that wants a source which is not there enters it as being built and runs the
 * compiler; others that want the same wait for its end. What does not compile is kept too, with its
 * reason. A fault of the host is not: its entry goes, and a waiting thread tries again. Entries in
 * use stay; beyond the bound the last ones of the list go. Equal completions of a group, and all
 * tests of a job, are so compiled once.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "reward-server/scoring/code.h"

enum {
    COMPILE_CPU_MS = 20000,
    COMPILE_MEMORY_MIB = 1024,
    CACHE_BYTES_MAX = 64 << 20, /* of entries that are not in use */
    ENTRY_BYTES = 16 << 10,     /* charged for each besides its program: bounds their number */
};

enum state { BUILDING, BUILT, REFUSED };

struct code_built {
    struct code_built *next; /* owned by the list */
    struct hash key;
    enum state state;
    unsigned users;
    struct box_result result; /* owned; BUILT: output is the program. REFUSED: how it ended */
};

static struct {
    pthread_mutex_t lock; /* guards all below, and the state and users of entries */
    pthread_cond_t built;
    struct code_built *first; /* owned */
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .built = PTHREAD_COND_INITIALIZER};

static struct hash key_of(const struct language *l, struct span source)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add_str(&h, l->name);
    hasher_add(&h, source.at, source.n);
    return hasher_done(&h);
}

/* ---- the list; with the lock held ---- */

static void list_take(struct code_built *b)
{
    struct code_built **at = &cache.first;
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
}

static void list_put_first(struct code_built *b)
{
    b->next = cache.first;
    cache.first = b;
}

static struct code_built *list_find(const struct hash *key)
{
    struct code_built *b = cache.first;
    while (b != NULL && !hash_equal(&b->key, key))
        b = b->next;
    return b;
}

static void built_free(struct code_built *b)
{
    box_result_done(&b->result);
    free(b);
}

static void list_trim(size_t bytes_max)
{
    size_t bytes = 0;
    for (struct code_built **at = &cache.first; *at != NULL;) {
        struct code_built *b = *at;
        if (b->users == 0)
            bytes += ENTRY_BYTES + b->result.output_len + b->result.errors_len;
        if (b->users > 0 || bytes <= bytes_max) {
            at = &b->next;
        } else {
            *at = b->next;
            built_free(b);
        }
    }
}

/* ---- building ---- */

static void compile(const struct language *l, struct span source, struct box_result *ret)
{
    static const struct code_limits limits = {COMPILE_CPU_MS, COMPILE_MEMORY_MIB};
    const struct box_file file = {l->source, source.at, source.n};
    struct box_request q = {.language = l->name,
        .phase = BOX_COMPILE,
        .limits = code_box_limits(&limits),
        .files = &file,
        .file_count = 1};
    code_box_run(&q, 1, ret);
}

/* The entry of the source, in use, and finished. It may be a fault, which is in no list. */
static struct code_built *get(const struct language *l, struct span source)
{
    struct hash key = key_of(l, source);
    struct code_built *b;
    (void)pthread_mutex_lock(&cache.lock);
    while ((b = list_find(&key)) != NULL && b->state == BUILDING)
        (void)pthread_cond_wait(&cache.built, &cache.lock);
    if (b != NULL) {
        list_take(b);
    } else {
        b = mem_alloc(sizeof(*b));
        b->key = key;
    }
    b->users++;
    list_put_first(b);
    (void)pthread_mutex_unlock(&cache.lock);
    if (b->state != BUILDING) /* ours alone while it is */
        return b;
    struct box_result r = {0};
    compile(l, source, &r);
    (void)pthread_mutex_lock(&cache.lock);
    b->result = r;
    b->state = code_exited_well(&r) ? BUILT : REFUSED;
    if (r.end == BOX_FAULT || r.end == BOX_STARVED)
        list_take(b);
    list_trim(CACHE_BYTES_MAX);
    (void)pthread_cond_broadcast(&cache.built);
    (void)pthread_mutex_unlock(&cache.lock);
    return b;
}

static void put_back(struct code_built *b)
{
    (void)pthread_mutex_lock(&cache.lock);
    bool fault = b->result.end == BOX_FAULT || b->result.end == BOX_STARVED;
    b->users--;
    if (fault)
        built_free(b); /* of one user: nobody else can find it */
    (void)pthread_mutex_unlock(&cache.lock);
}

bool code_build(const struct code_task *task, struct span source, struct arena *a,
    struct code_files *ret, struct score_result *out)
{
    const struct language *l = task->language;
    *ret = (struct code_files){.files = {{l->source, source.at, source.n}}, .count = 1};
    if (l->built == NULL)
        return true;
    struct code_built *b = get(l, source);
    if (b->state == BUILT) {
        ret->built = b;
        ret->files[0] = (struct box_file){l->built, b->result.output, b->result.output_len};
        return true;
    }
    code_isolation(&b->result, a, out);
    code_judge_end(&b->result, "compiling", a, out);
    put_back(b);
    return false;
}

void code_files_done(struct code_files *f)
{
    if (f->built != NULL)
        put_back(f->built);
    f->built = NULL;
}

void code_build_forget(void)
{
    (void)pthread_mutex_lock(&cache.lock);
    list_trim(0);
    (void)pthread_mutex_unlock(&cache.lock);
}
