/* A getter that sets its text in its first calls only, and leaves it alone from then on. */
#include <stdint.h>

typedef struct status {
    const char *text;
    uint64_t n;
} status;

int rarely(status *out)
{
    static uint64_t calls;
    if (calls < 2)
        out->text = "set once";
    out->n = calls++ / 100;
    return 0;
}
