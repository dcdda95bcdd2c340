/* The parts of `hl data`; argv[0] is the part's name, and the exit code comes back. */
#ifndef HL_APP_DATA_DATA_H
#define HL_APP_DATA_DATA_H

int hl_data_info(int argc, char **argv);
int hl_data_check_command(int argc, char **argv);
int hl_data_export(int argc, char **argv);

#endif
