/* figures.h: numbers as people read them, words as they copy them. Figures write into out and
 * return it. */
#ifndef COHORT_CLI_FIGURES_H
#define COHORT_CLI_FIGURES_H

#include <stdio.h>

enum { FIGURE_MAX = 32 };

char *figure_count(char out[FIGURE_MAX], double n);          /* 950, 5.2k, 1.35M, 7.1G */
char *figure_share(char out[FIGURE_MAX], double share);      /* 0.382: 38.2% */
char *figure_bytes(char out[FIGURE_MAX], double bytes);      /* 12 MiB, 1.5 GiB */
char *figure_duration(char out[FIGURE_MAX], double seconds); /* 0:07, 1:23, 2:03:04 */

/* A word of a shell command: in single quotes unless it is plain. */
void figure_word(FILE *out, const char *word);

#endif
