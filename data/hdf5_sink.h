/* An HDF5 file being written, whose faults do not reach libhdf5: after a write that failed it can neither
 * close a file nor end the program without crashing (seen with 1.10).  So the driver remembers the first
 * fault, lets all later writes go nowhere, and is asked at the end. */
#ifndef HL_DATA_HDF5_SINK_H
#define HL_DATA_HDF5_SINK_H

#include "base/file.h"
#include "io/hdf5.h"

typedef struct hl_hdf_sink hl_hdf_sink;

/* Begins to replace path (see hl_file_replace): until hl_hdf_sink_commit it stays what it is. */
hl_status hl_hdf_sink_new(const char *path, hl_hdf_sink **sink, hl_error *err);
/* The file as libhdf5 knows it; closed by hl_hdf_sink_close. */
hid_t hl_hdf_sink_file(const hl_hdf_sink *sink);
/* HL_OK, or HL_ERR_IO with the operating system's reason if a write has failed. */
hl_status hl_hdf_sink_check(const hl_hdf_sink *sink, hl_error *err);
/* Closes the HDF5 file, and says whether all of it was written. */
hl_status hl_hdf_sink_close(hl_hdf_sink *sink, hl_error *err);
/* Opens it again, for reading only, to verify it.  To be closed as before. */
hl_status hl_hdf_sink_reopen(hl_hdf_sink *sink, hl_error *err);
/* Where the bytes are until the commit. */
const char *hl_hdf_sink_path(const hl_hdf_sink *sink);
/* Moves the closed file to its name, durably. */
hl_status hl_hdf_sink_commit(hl_hdf_sink *sink, hl_error *err);
/* Undoes what is not committed.  Accepts NULL. */
void hl_hdf_sink_free(hl_hdf_sink *sink);

#endif
