/* The plan: a list of kernel calls, and where each value lies, known before anything runs. */
#ifndef HL_RUN_PLAN_H
#define HL_RUN_PLAN_H

#include "compile/place.h"
#include "graph/graph.h"
#include "run/backend.h"
#include "run/params.h"

typedef enum hl_place_kind { HL_IN_ARENA, HL_IN_STORE } hl_place_kind;

/* The arena begins with what crosses between the caller and the backend: clock and inputs, then outputs. */
typedef enum hl_traffic_kind { HL_STAYS, HL_GOES_IN, HL_COMES_OUT } hl_traffic_kind;

/* A piece of memory that one or more tensors (views of each other, or updated in place) share. */
typedef struct hl_storage {
    hl_place_kind kind;
    int use; /* HL_IN_STORE: which of the plan's uses */
    hl_memory_kind category;
    int unread;     /* while planning: reads to come */
    bool pinned;    /* inputs and outputs: never overwritten by others */
    hl_block block; /* HL_IN_ARENA */
    hl_traffic_kind traffic;
} hl_storage;

/* Where a tensor lies. */
typedef struct hl_location {
    int storage; /* -1: nowhere (no tensor) */
    size_t offset;
    bool next; /* HL_IN_STORE: the value after its update */
} hl_location;

struct hl_plan {
    hl_graph *graph; /* compiled */
    const hl_backend *backend;
    int ordinal; /* of the device */
    char device[32];
    bool frozen;
    size_t in_bytes, out_bytes; /* at the arena's begin, and after that */
    hl_storage *storages;
    int n_storages;
    hl_param_use *uses; /* of the store */
    int n_uses;
    hl_location *locations; /* by tensor id */
    hl_call *calls;
    const hl_node **call_nodes;
    hl_view *views; /* of all calls' operands */
    int n_calls;
    int first_update; /* the first call whose results lie in the store; n_calls: none does */
    int *together;    /* how many calls from this one on are handed over at once: 1, or by run_many more */
    int *workspaces;  /* storage of each call's scratch, or -1 */
    hl_memory memory;
};

/* All that are built in; *n is their number. */
const hl_backend *const *hl_backends(int *n);
/* The backend of a device name (see hl_session_options), and which of its devices; NULL with a sentence. */
const hl_backend *hl_backend_find(const char *device, int *ordinal, hl_error *err);
/* Whether the plan updates values of the store. */
bool hl_plan_updates(const hl_plan *p);
/* Whether some call reads a storage as it lies; or some do read it, and all of them pack it: a parameter then
 * needs no copy of its own once they have. */
bool hl_plan_reads(const hl_plan *p, int storage);
bool hl_plan_only_packed(const hl_plan *p, int storage);
/* Of a call with pack_bytes: the storage that it packs, how, and whether no call before it packs the same. */
int hl_plan_packed_storage(const hl_plan *p, int call);
hl_packing hl_plan_packing(const hl_plan *p, int call);
bool hl_plan_packs_first(const hl_plan *p, int call);
/* "[16,4096] [256,4096] -> [16,256]", as snprintf. */
size_t hl_call_print_shapes(const hl_call *c, char *text, size_t size);

#endif
