/* tokenizer_make.c: prints the tokenizer.json of `CHARACTERS ADDED...`, for tokenizer_golden.py. */
#include <stdio.h>

#include "common/text/tokenizer.h"

int main(int argc, char **argv)
{
    CLEANUP_BUF struct buf out = {0};
    struct err e;
    if (argc < 3) {
        (void)fprintf(stderr, "usage: tokenizer_make CHARACTERS ADDED...\n");
        return 2;
    }
    if (tokenizer_make_chars(argv[1], (const char *const *)argv + 2, (size_t)argc - 2, &out, &e) !=
        0) {
        (void)fprintf(stderr, "tokenizer_make: %s\n", e.msg);
        return 1;
    }
    (void)fwrite(out.data, 1, out.len, stdout);
    return 0;
}
