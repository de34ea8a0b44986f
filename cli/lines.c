/* lines.c: see lines.h. */
#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/file.h"

enum { CHUNK_BYTES = 256 << 10 };

int lines_open(struct lines *l, const char *path, size_t line_max, struct err *e)
{
    *l = (struct lines){.name = path, .fd = STDIN_FILENO, .line_max = line_max};
    if (strcmp(path, "-") == 0) {
        l->name = "standard input";
        return 0;
    }
    l->fd = open(path, O_RDONLY | O_CLOEXEC);
    return l->fd >= 0 ? 0 : err_sys(e, ERR_DATA, "cannot open '%s'", path);
}

void lines_close(struct lines *l)
{
    if (l->fd != STDIN_FILENO)
        file_close(&l->fd);
    buf_done(&l->text);
}

/* Reads some more behind what is there, after moving that to the front. */
static int fill(struct lines *l, struct err *e)
{
    size_t rest = l->text.len - l->at;
    if (l->at > 0)
        memmove(l->text.data, l->text.data + l->at, rest);
    l->text.len = rest;
    l->scanned -= l->at;
    l->at = 0;
    uint8_t *room = buf_extend(&l->text, CHUNK_BYTES);
    ssize_t got;
    do {
        got = read(l->fd, room, CHUNK_BYTES);
    } while (got < 0 && errno == EINTR);
    l->text.len = rest + (got > 0 ? (size_t)got : 0);
    if (got < 0)
        return err_sys(e, ERR_DATA, "cannot read '%s'", l->name);
    l->ended = got == 0;
    return 0;
}

static int take(struct lines *l, size_t bytes, size_t end_bytes, const char **ret,
    size_t *ret_bytes, struct err *e)
{
    l->number++;
    if (bytes > l->line_max)
        return err_set(e, ERR_DATA, "'%s' line %zu: longer than the limit of %zu bytes", l->name,
            l->number, l->line_max);
    *ret = (const char *)l->text.data + l->at;
    *ret_bytes = bytes;
    l->at += bytes + end_bytes;
    l->scanned = l->at;
    return 1;
}

int lines_next(struct lines *l, const char **ret, size_t *ret_bytes, struct err *e)
{
    for (;;) {
        size_t unseen = l->text.len - l->scanned;
        const uint8_t *from = l->text.data + l->scanned;
        const uint8_t *end = unseen > 0 ? memchr(from, '\n', unseen) : NULL;
        if (end != NULL)
            return take(l, (size_t)(end - l->text.data) - l->at, 1, ret, ret_bytes, e);
        l->scanned = l->text.len;
        size_t rest = l->text.len - l->at;
        if (rest > l->line_max || (l->ended && rest > 0))
            return take(l, rest, 0, ret, ret_bytes, e);
        if (l->ended)
            return 0;
        int r = fill(l, e);
        if (r < 0)
            return r;
    }
}
