/* gate.c: see gate.h. */
#include "reward-server/http/gate.h"

#include <string.h>
#include <strings.h>

#include "common/base/base64.h"

/* ---- the token ---- */

/* What follows the scheme and blanks; NULL when the scheme is another. */
static const char *after_scheme(const char *value, const char *scheme)
{
    size_t n = strlen(scheme);
    if (strncasecmp(value, scheme, n) != 0 || value[n] != ' ')
        return NULL;
    return value + n + strspn(value + n, " ");
}

/* The hashes are compared, not the texts: the time of a comparison tells how much of a hash was
 * right, from which nobody can work towards the token. */
static bool is_token(const struct gate *g, const char *text, size_t n)
{
    struct hash h = hash_of(text, n);
    uint8_t difference = 0;
    for (int i = 0; i < HASH_BYTES; i++)
        difference |= h.b[i] ^ g->token.b[i];
    return difference == 0;
}

/* "Bearer TOKEN", or "Basic" with the token as the password of anybody: what clients send that know
 * a URL only, http://any:TOKEN@host/. */
static bool authorized(const struct gate *g, const char *value)
{
    const char *bearer = value != NULL ? after_scheme(value, "Bearer") : NULL;
    const char *basic = value != NULL ? after_scheme(value, "Basic") : NULL;
    if (bearer != NULL)
        return is_token(g, bearer, strlen(bearer));
    CLEANUP_BUF struct buf pair = {0};
    if (basic == NULL || !base64_get(&pair, basic, strlen(basic)) || pair.len == 0)
        return false;
    const uint8_t *colon = memchr(pair.data, ':', pair.len);
    if (colon == NULL)
        return false;
    return is_token(g, (const char *)colon + 1, pair.len - (size_t)(colon + 1 - pair.data));
}

/* ---- the name ---- */

/* The name in a Host header, without port and brackets. The port is not looked at: a tunnel has
 * another one. */
static bool host_name(const char *host, char ret[256])
{
    size_t n = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
    size_t skip = host[0] == '[';
    const char *rest = host + n + (skip && host[n] == ']');
    if (n <= skip || n - skip >= 256 || (skip && host[n] != ']'))
        return false;
    if (*rest != '\0' && (*rest != ':' || strspn(rest + 1, "0123456789") != strlen(rest + 1)))
        return false;
    memcpy(ret, host + skip, n - skip);
    ret[n - skip] = '\0';
    return true;
}

static bool is_own_name(const struct gate *g, const struct gate_request *q)
{
    char name[256];
    if (q->host == NULL || !host_name(q->host, name))
        return false;
    if (strcasecmp(name, q->address) == 0 || (q->loopback && strcasecmp(name, "localhost") == 0))
        return true;
    for (size_t i = 0; i < g->name_count; i++) {
        if (strcasecmp(name, g->names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t n = strlen(json);
    return type != NULL && strncasecmp(type, json, n) == 0 && strchr("; \t", type[n]) != NULL;
}

unsigned gate_check(const struct gate *g, const struct gate_request *q, const char **ret_why)
{
    if (q->origin != NULL) {
        *ret_why = "requests of web pages are refused (Origin)";
        return 403;
    }
    if (q->over_tcp && !is_own_name(g, q)) {
        *ret_why = "Host is not a name of this server: expected its address or localhost; "
                   "--http-name adds names";
        return 403;
    }
    if (g->wants_token && !authorized(g, q->authorization)) {
        *ret_why = "expected \"Authorization: Bearer TOKEN\", or the token as the password in the "
                   "URL, http://any:TOKEN@host/";
        return 401;
    }
    if (q->has_body && !is_json(q->content_type)) {
        *ret_why = "expected \"Content-Type: application/json\"";
        return 415;
    }
    return 0;
}
