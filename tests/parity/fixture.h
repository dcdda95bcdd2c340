/* A parity fixture: what the float64 PyTorch reference computes (layout: docs/parity.md). */
#ifndef HL_TESTS_PARITY_FIXTURE_H
#define HL_TESTS_PARITY_FIXTURE_H

#include "layers/model.h"

#include <hdf5.h>

typedef struct fixture {
    hid_t file;
    char salt[64], kind[32], hierarchy[32];
    int64_t batch, tokens, history, steps, parameters;
    double lr, beta1, beta2, eps, weight_decay, clip, w_action, w_recon, w_kl;
} fixture;

/* All return false after a sentence on stderr. */
bool fixture_open(fixture *f, const char *path);
void fixture_close(fixture *f);
bool fixture_has(const fixture *f, const char *path);
/* Reads exactly n doubles. */
bool fixture_read(const fixture *f, const char *path, double *out, int64_t n);
/* The model the fixture is of. */
bool fixture_options(const fixture *f, hl_model_options *o);

/* Value i of the generator of hl_reference.py: uniform in [-1,1), a function of (name, i). */
uint64_t stream_seed(const char *name);
double stream_uniform(uint64_t seed, int64_t i);

#endif
