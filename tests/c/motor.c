/* A stranger's library: it knows nothing of fastrec, and wants to be called its own way. */
#include <stdint.h>
#include <string.h>

typedef struct motor_status {
    uint32_t cbSize;
    int32_t axis;
    double angle;
    const char *name;
    uint32_t calls;
    uint8_t raw[4];
} motor_status;

int calls = 0; /* data, and no function */
static int opened;

int get_status(int axis, motor_status *s)
{
    memset(s, 0, sizeof *s);
    s->axis = axis;
    s->angle = ++calls * 0.5;
    s->name = calls & 1 ? "odd" : "even";
    s->calls = (uint32_t)calls;
    return axis < 0 ? -22 : 0;
}

/* As in Windows: TRUE when all is well, and the caller says how much room there is. */
int32_t GetMotor(const char *port, motor_status *s, uint32_t *size, const void *reserved)
{
    if (s->cbSize != sizeof *s || *size != 64 || reserved || strcmp(port, "COM1,\"x\"\n"))
        return 0;
    s->calls = 0x77;
    return 1;
}

int64_t get_wide(motor_status *s)
{
    s->axis = 5;
    return (int64_t)1 << 32; /* 0 for whom reads 32 bits */
}

void get_nothing(motor_status *s) { s->axis = 6; }

int get_big(motor_status *s)
{
    memset(s, 1, sizeof *s + 48);
    return 0;
}

int motor_open(void) { return opened++ ? -16 : 0; }

int motor_close(void) { return opened-- ? 0 : -9; }
