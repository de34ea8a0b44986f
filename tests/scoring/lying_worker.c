/* lying_worker.c: takes the place of cohort-math and answers with a part that lies beyond the text,
 * so that a test sees whether the pool believes it. */
#include <string.h>
#include <unistd.h>

#include "reward-server/scoring/math/frame.h"

int main(void)
{
    char request[4096];
    struct frame_reply reply = {.magic = FRAME_MAGIC, .found = 1, .begin = 0, .n = 1000000};
    while (read(FRAME_FD, request, sizeof(request)) > 0) {
        if (write(FRAME_FD, &reply, sizeof(reply)) != (ssize_t)sizeof(reply))
            return 1;
    }
    return 0;
}
