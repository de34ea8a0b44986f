/* language.c: see language.h. */
#include "reward-server/box/language.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#else
#error "the box knows x86-64 and AArch64"
#endif

#define LIBRARIES "/usr/lib/" MULTIARCH, "/usr/lib64"
#define COMPILER_PATHS                                                                             \
    {                                                                                              \
        "/usr/bin", "/usr/lib/gcc", "/usr/libexec/gcc", "/usr/include", "/usr/lib/bfd-plugins",    \
            LIBRARIES                                                                              \
    }

/* The hash of strings is the same in every run, warm or cold: what a program prints of a set must
 * not change the verdict from one run to the next. box_env in zygote.c sees to it. */
#define PYTHON "/usr/bin/python3", "-s", "-S", "-B", "-c"
#define PYTHON_PATHS                                                                               \
    {                                                                                              \
        "/usr/bin/python3", "/usr/lib/python3", "/usr/lib/python3.9", "/usr/lib/python3.10",       \
            "/usr/lib/python3.11", "/usr/lib/python3.12", "/usr/lib/python3.13", LIBRARIES         \
    }

static const char python_start[] =
#include "start.py.inc"
    ;
static const char python_warm[] =
#include "warm.py.inc"
#include "start.py.inc"
    ;

/* The compiled program leaves the box as bytes on a pipe: nothing outside opens a file by a name
 * that a program may have replaced. */
#define COMPILE(COMPILER, SOURCE)                                                                  \
    {                                                                                              \
        "/usr/bin/dash", "-c",                                                                     \
            COMPILER " -pipe -w -o program " SOURCE " -lm 1>&2 && exec /usr/bin/cat program"       \
    }

/* Not built, looked at: findings go to standard error as JSON. */
#define LOOK_AT(COMPILER, SOURCE)                                                                  \
    {                                                                                              \
        COMPILER, "-fsyntax-only", "-Wall", "-Wextra", "-fdiagnostics-format=json",                \
            "-fmax-errors=100", SOURCE                                                             \
    }

static const struct language languages[] = {
    {.name = "python",
        .source = "main.py",
        .run = {.argv = {PYTHON, python_start}, .paths = PYTHON_PATHS},
        .warm = {.argv = {PYTHON, python_warm}, .paths = PYTHON_PATHS}},
    {.name = "c",
        .source = "main.c",
        .built = "program",
        .compile = {.argv = COMPILE("/usr/bin/gcc -std=gnu17 -O2", "main.c"),
            .paths = COMPILER_PATHS},
        .run = {.argv = {"/box/program"}, .paths = {LIBRARIES}}},
    {.name = "c++",
        .source = "main.cc",
        .built = "program",
        .compile = {.argv = COMPILE("/usr/bin/g++ -std=gnu++17 -O2", "main.cc"),
            .paths = COMPILER_PATHS},
        .run = {.argv = {"/box/program"}, .paths = {LIBRARIES}}},
    {.name = "bash",
        .source = "main.sh",
        .run = {.argv = {"/usr/bin/bash", "/box/main.sh"}, .paths = {"/usr/bin", LIBRARIES}}},
    {.name = "javascript",
        .source = "main.js",
        .wide = true,
        /* no pages that can be executed; without the second word it says so on standard error */
        .run = {.argv = {"/usr/bin/node", "--jitless", "--no-expose-wasm", "/box/main.js"},
            .paths = {"/usr/bin/node", "/usr/share/nodejs", LIBRARIES}}},
    /* for the lint scorer; no programs run in them */
    {.name = "c-lint",
        .source = "main.c",
        .compile = {.argv = LOOK_AT("/usr/bin/gcc", "main.c"), .paths = COMPILER_PATHS}},
    {.name = "c++-lint",
        .source = "main.cc",
        .compile = {.argv = LOOK_AT("/usr/bin/g++", "main.cc"), .paths = COMPILER_PATHS}},
};

static const char *const aliases[][2] = {{"py", "python"}, {"python3", "python"}, {"cpp", "c++"},
    {"sh", "bash"}, {"shell", "bash"}, {"js", "javascript"}, {"node", "javascript"}};

const struct language *language_find(const char *name)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcasecmp(aliases[i][0], name) == 0)
            name = aliases[i][1];
    }
    for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++) {
        if (strcasecmp(languages[i].name, name) == 0)
            return &languages[i];
    }
    return NULL;
}

bool language_installed(const struct language *l)
{
    if (l->built == NULL)
        return access(l->run.argv[0], X_OK) == 0;
    const char *compiler = l->compile.argv[2];
    char path[64];
    size_t n = strcspn(compiler, " ");
    if (n >= sizeof(path))
        return false;
    memcpy(path, compiler, n);
    path[n] = '\0';
    return access(path, X_OK) == 0;
}
