/* Finding the CUDA backend: a library of its own, loaded when a GPU is first asked about, so that hl starts
 * where there is neither CUDA nor a driver. */
#define _GNU_SOURCE /* dladdr */
#include "run/plugin.h"

#include "base/error.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const hl_backend *backend;
static hl_error fault; /* why there is none */

/* It has its own copy of src/base: what it finds wrong with itself is told to who listens to us. */
static void listen_to(void *library)
{
    void (*on_bug)(void (*)(const char *)) = NULL;
    void *found = dlsym(library, "hl_on_bug");
    memcpy(&on_bug, &found, sizeof on_bug);
    if (on_bug)
        on_bug(hl_tell_bug);
}

static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        hl_fail(&fault, HL_ERR_UNSUPPORTED, "the CUDA backend cannot be loaded: %s", dlerror());
        return;
    }
    const char *const *version = dlsym(library, "hl_cuda_version");
    const hl_backend *found = dlsym(library, "hl_backend_cuda");
    if (!version || !found || strcmp(*version, HL_BACKEND_VERSION)) {
        hl_fail(&fault, HL_ERR_UNSUPPORTED, "%s is of hl %s, this is hl %s: install both from one build",
                path, version ? *version : "unknown", HL_BACKEND_VERSION);
        dlclose(library);
        return;
    }
    listen_to(library);
    backend = found;
}

/* Beside the library (or program) that this code is in; where one is installed, seen from bin; in the lib
 * folder next to it, or one folder up. */
static bool find(char *path, size_t size)
{
    static const char *const places[] = {"", HL_LIBRARIES, "../lib/", "../"};
    Dl_info self;
    char *where = dladdr(&once, &self) ? realpath(self.dli_fname, NULL) : NULL;
    bool found = false;
    if (!where)
        where = realpath("/proc/self/exe", NULL);
    if (!where)
        return false;
    *(strrchr(where, '/') + 1) = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places && !found; i++) {
        int n = snprintf(path, size, "%s%slibhl_cuda.so", where, places[i]);
        found = n > 0 && (size_t)n < size && access(path, R_OK) == 0;
    }
    free(where);
    return found;
}

static void look_for_backend(void)
{
    const char *named = getenv("HL_CUDA_LIBRARY");
    char path[4096];
    if (named && *named)
        load(named);
    else if (find(path, sizeof path))
        load(path);
    else
        hl_fail(
            &fault, HL_ERR_UNSUPPORTED,
            "there is no libhl_cuda.so beside hl: it is built where nvcc is (-DHL_CUDA=ON), or name it in "
            "HL_CUDA_LIBRARY");
}

const hl_backend *hl_cuda_backend(hl_error *why)
{
    pthread_once(&once, look_for_backend);
    if (!backend)
        hl_fail(why, fault.status, "%s", fault.message);
    return backend;
}
