#include "app/command.h"

int main(int argc, char **argv)
{
    return hl_main(argc, argv);
}
