#include <stdlib.h>

typedef struct {
    int value;
} cell;

struct list {
    cell *cells;
};

int length(struct list *list);

static char *copy(const char *text)
{
    return 0;
}

void (*handler(int number))(int) { return 0; }
