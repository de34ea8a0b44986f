/* figures.c: see figures.h. */
#include "cli/figures.h"

#include <math.h>
#include <string.h>

char *figure_count(char out[FIGURE_MAX], double n)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    unsigned unit = 0;
    while (fabs(n) >= 999.5 && unit < 4) {
        n /= 1000;
        unit++;
    }
    int digits = unit == 0 || fabs(n) >= 99.95 ? 0 : fabs(n) >= 9.995 ? 1 : 2;
    (void)snprintf(out, FIGURE_MAX, "%.*f%s", digits, n, units[unit]);
    return out;
}

char *figure_share(char out[FIGURE_MAX], double share)
{
    (void)snprintf(out, FIGURE_MAX, "%.1f%%", 100 * share);
    return out;
}

char *figure_bytes(char out[FIGURE_MAX], double bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    double n = bytes / 1024;
    while (n >= 1023.5 && unit < 3) {
        n /= 1024;
        unit++;
    }
    (void)snprintf(out, FIGURE_MAX, "%.*f %s", n < 9.95 && unit > 0 ? 1 : 0, n, units[unit]);
    return out;
}

char *figure_duration(char out[FIGURE_MAX], double seconds)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        (void)snprintf(out, FIGURE_MAX, "?");
        return out;
    }
    long s = lround(seconds);
    if (s >= 3600)
        (void)snprintf(out, FIGURE_MAX, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, FIGURE_MAX, "%ld:%02ld", s / 60, s % 60);
    return out;
}

void figure_word(FILE *out, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++) {
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    }
    fputc('\'', out);
}
