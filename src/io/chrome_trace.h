/* Traces as chrome://tracing and https://ui.perfetto.dev read them: JSON in the Trace Event Format. */
#ifndef HL_IO_CHROME_TRACE_H
#define HL_IO_CHROME_TRACE_H

#include "base/file.h"
#include "run/trace.h"

/* A thread for each session, on it slices of steps, within them of parts, and within these of kernel calls;
 * beside them counters of memory and of the parameters' version. Times are microseconds since the trace was
 * made. Writes to a file that the caller ends. */
hl_status hl_chrome_trace_write(hl_file *file, const hl_trace *trace, hl_error *err);

#endif
