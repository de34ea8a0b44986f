/* user.c: see user.h. */
#include "common/daemon/user.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

static int check_reach(const struct passwd *p, struct err *e)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    if (setegid(p->pw_gid) < 0 || seteuid(p->pw_uid) < 0)
        return err_sys(e, ERR_FAIL, "becoming user %s", p->pw_name);
    bool reached = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
    if (seteuid(0) < 0 || setegid(0) < 0)
        return err_sys(e, ERR_FAIL, "becoming root again");
    return reached ? 0
                   : err_set(e, ERR_USAGE,
                         "user %s may not start '%s': expected directories that all may enter",
                         p->pw_name, path);
}

int daemon_become(const char *name, unsigned *ret_uid, struct err *e)
{
    *ret_uid = (unsigned)geteuid();
    if (geteuid() != 0)
        return 0;
    const struct passwd *p = getpwnam(name);
    if (p == NULL)
        return err_set(e, ERR_USAGE, "no user '%s' on this host", name);
    if (check_reach(p, e) < 0)
        return e->code;
    if (initgroups(p->pw_name, p->pw_gid) < 0 || setresgid(p->pw_gid, p->pw_gid, p->pw_gid) < 0 ||
        setresuid(p->pw_uid, p->pw_uid, p->pw_uid) < 0)
        return err_sys(e, ERR_FAIL, "becoming user %s", name);
    if (p->pw_uid != 0 && setuid(0) == 0)
        return err_set(e, ERR_FAIL, "user %s can become root again", name);
    *ret_uid = (unsigned)p->pw_uid;
    return 0;
}

char *daemon_owner(const char *path)
{
    struct stat st;
    const struct passwd *p = stat(path, &st) == 0 ? getpwuid(st.st_uid) : NULL;
    return p != NULL ? mem_strdup(p->pw_name) : NULL;
}
