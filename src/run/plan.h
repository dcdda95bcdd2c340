/* The plan: a list of kernel calls, and where each value lies, known before anything runs. */
#ifndef HL_RUN_PLAN_H
#define HL_RUN_PLAN_H

#include "compile/place.h"
#include "graph/graph.h"
#include "run/backend.h"

typedef enum hl_place_kind { HL_IN_ARENA, HL_IN_STORE } hl_place_kind;

/* A piece of memory that one or more tensors (views of each other, or updated in place) share. */
typedef struct hl_storage {
    hl_place_kind kind;
    int param; /* HL_IN_STORE: index in the store */
    hl_memory_kind category;
    int unread;     /* while planning: reads to come */
    bool pinned;    /* inputs and outputs: never overwritten by others */
    hl_block block; /* HL_IN_ARENA */
} hl_storage;

/* Where a tensor lies. */
typedef struct hl_location {
    int storage; /* -1: nowhere (no tensor) */
    size_t offset;
} hl_location;

struct hl_plan {
    hl_graph *graph; /* compiled */
    const hl_backend *backend;
    bool frozen;
    hl_storage *storages;
    int n_storages;
    hl_location *locations; /* by tensor id */
    hl_call *calls;
    const hl_node **call_nodes;
    hl_view *views; /* of all calls' operands */
    int n_calls;
    int *workspaces; /* storage of each call's scratch, or -1 */
    hl_memory memory;
};

/* The backend of a device name ("cpu", "cpu:portable"), or NULL with a sentence. */
const hl_backend *hl_backend_find(const char *device, hl_error *err);

#endif
