/* listen.c: see listen.h. */
#include "reward-server/http/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

enum { BACKLOG = 128, SOCKET_FLAGS = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC };

/* ---- TCP ---- */

/* Splits HOST:PORT; both belong to the caller. */
static int split(const char *address, char **ret_host, char **ret_port, struct err *e)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon != NULL ? (size_t)(colon - address) : 0;
    bool brackets = n >= 2 && address[0] == '[' && address[n - 1] == ']';
    if (n == 0 || (!brackets && memchr(address, ':', n) != NULL) || colon[1] == '\0' ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
        return err_set(e, ERR_USAGE,
            "'%.128s': expected HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080, or unix:PATH",
            address);
    *ret_host = mem_strndup(address + brackets, n - 2 * brackets);
    *ret_port = mem_strdup(colon + 1);
    return 0;
}

static int bind_tcp(const struct addrinfo *a, struct listener *l, struct err *e)
{
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof(bound);
    char host[64], port[8];
    int on = 1;
    l->fd = socket(a->ai_family, SOCKET_FLAGS, 0);
    if (l->fd < 0)
        return err_sys(e, ERR_FAIL, "socket");
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* else a restart waits */
    if (bind(l->fd, a->ai_addr, a->ai_addrlen) < 0 || listen(l->fd, BACKLOG) < 0)
        return err_sys(e, ERR_FAIL, "listening");
    if (getsockname(l->fd, (struct sockaddr *)&bound, &n) < 0 ||
        getnameinfo((struct sockaddr *)&bound, n, host, sizeof(host), port, sizeof(port),
            NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return err_sys(e, ERR_FAIL, "address of the socket");
    bool six = a->ai_family == AF_INET6;
    (void)snprintf(
        l->shown, sizeof(l->shown), "http://%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
    return 0;
}

static int open_tcp(const char *address, struct listener *l, struct err *e)
{
    CLEANUP_FREE char *host = NULL;
    CLEANUP_FREE char *port = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int r = split(address, &host, &port, e);
    if (r < 0)
        return r;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return err_set(e, ERR_USAGE, "no address '%.128s': %s", host, gai_strerror(code));
    l->tcp = true;
    r = bind_tcp(found, l, e);
    freeaddrinfo(found);
    return r;
}

/* ---- Unix sockets ---- */

/* Removes what a killed server left behind; a socket with a listener stays, and so does any other
 * file. */
static int clear_path(const struct sockaddr_un *a, struct err *e)
{
    struct stat st;
    if (lstat(a->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_FAIL, "looking for an old socket");
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_USAGE, "there is a file of this name that is no socket");
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "socket");
    bool dead = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
    (void)close(fd);
    if (!dead)
        return err_set(e, ERR_FAIL, "another server listens here");
    return unlink(a->sun_path) == 0 ? 0 : err_sys(e, ERR_FAIL, "removing the old socket");
}

static int open_unix(const char *path, struct listener *l, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(a.sun_path))
        return err_set(
            e, ERR_USAGE, "a path of %zu bytes, expected 1 to %zu", n, sizeof(a.sun_path) - 1);
    memcpy(a.sun_path, path, n + 1);
    int r = clear_path(&a, e);
    if (r < 0)
        return r;
    l->fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (l->fd < 0)
        return err_sys(e, ERR_FAIL, "socket");
    mode_t before = umask(0177); /* at start: no other thread makes files */
    int bound = bind(l->fd, (struct sockaddr *)&a, sizeof(a));
    (void)umask(before);
    if (bound < 0)
        return err_sys(e, ERR_FAIL, "listening");
    l->path = mem_strdup(path);
    if (listen(l->fd, BACKLOG) < 0)
        return err_sys(e, ERR_FAIL, "listening");
    (void)snprintf(l->shown, sizeof(l->shown), "unix:%s", path);
    return 0;
}

int listener_open(const char *address, struct listener *ret, struct err *e)
{
    static const char prefix[] = "unix:";
    struct listener l = {.fd = -1};
    int r = strncmp(address, prefix, strlen(prefix)) == 0
                ? open_unix(address + strlen(prefix), &l, e)
                : open_tcp(address, &l, e);
    if (r < 0) {
        listener_close(&l);
        return err_ctx(e, "--http %.128s", address);
    }
    *ret = l;
    return 0;
}

void listener_close(struct listener *l)
{
    file_close(&l->fd);
    if (l->path != NULL)
        (void)unlink(l->path); /* the owner may have removed it */
    free(steal(&l->path));
}

/* ---- the token ---- */

static char *default_path(struct err *e)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP_FREE char *given =
        credentials != NULL ? mem_printf("%s/http-token", credentials) : NULL;
    if (given != NULL && file_exists(given))
        return steal(&given);
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config != NULL && config[0] == '/')
        return mem_printf("%s/cohort/http-token", config);
    if (home != NULL && home[0] == '/')
        return mem_printf("%s/.config/cohort/http-token", home);
    (void)err_set(e, ERR_USAGE, "no place for the token: say --token-file FILE");
    return NULL;
}

/* Makes the file unless it is there. */
static int make_token(const char *path, struct err *e)
{
    uint8_t random[HASH_BYTES];
    char line[HASH_HEX + 1];
    struct hash token;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_sys(e, ERR_FAIL, "random numbers");
    memcpy(token.b, random, sizeof(random));
    (void)hash_hex(&token, line);
    line[HASH_HEX - 1] = '\n';
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *directory = slash != NULL ? mem_strndup(path, (size_t)(slash - path)) : NULL;
    if (directory != NULL && directory[0] != '\0' && file_mkdirs(directory, 0700, e) < 0)
        return e->code;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_sys(e, ERR_FAIL, "making it");
    int r = file_write_all(fd, line, HASH_HEX, e);
    (void)close(fd);
    return r;
}

static int read_token(const char *path, struct hash *ret, struct err *e)
{
    struct stat st;
    CLEANUP_BUF struct buf text = {0};
    if (file_read(path, TOKEN_BYTES_MAX + 2, &text, e) < 0)
        return e->code;
    if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
        return err_set(e, ERR_USAGE, "mode %04o lets anybody read it, expected 0600",
            (unsigned)st.st_mode & 07777);
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
        text.len--;
    bool good = text.len >= TOKEN_BYTES_MIN && text.len <= TOKEN_BYTES_MAX;
    for (size_t i = 0; good && i < text.len; i++)
        good = text.data[i] > ' ' && text.data[i] < 0x7f;
    if (!good)
        return err_set(e, ERR_USAGE,
            "found %zu bytes, expected one word of %d to %d printable characters", text.len,
            TOKEN_BYTES_MIN, TOKEN_BYTES_MAX);
    *ret = hash_of(text.data, text.len);
    return 0;
}

int token_load(const char *path, struct hash *ret, char **ret_path, struct err *e)
{
    CLEANUP_FREE char *at = path != NULL ? mem_strdup(path) : default_path(e);
    if (at == NULL)
        return e->code;
    int r = file_exists(at) ? 0 : make_token(at, e);
    if (r == 0)
        r = read_token(at, ret, e);
    if (r < 0)
        return err_ctx(e, "token file '%.256s'", at);
    *ret_path = steal(&at);
    return 0;
}
