/* What the forward and the backward pass of the scan share.

       dt  = softplus(raw + bias)                        (or raw itself)
       h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t          (h_{t-1} = 0 where reset_t)
       y_t = (h_t C_t + D x_t) silu(z_t)                 (or without the gate)

   (Gu & Dao 2023, Mamba.) Lanes run over channels, LANES of them are a block. Time is cut into chunks; the forward pass
   keeps the state before every chunk, and the backward pass, chunk by chunk from the end, computes the states inside
   again. Inside a chunk and block the states are done TILE at a time, so that they stay in registers. A task is one
   sequence, or some of its blocks where there are fewer sequences than threads. */

#ifndef JAMBA_SCAN_H
#define JAMBA_SCAN_H

#include <stdlib.h>

#include "tensor.h"
#include "threads.h"
#include "vector.h"

#ifndef CHUNK
#define CHUNK 32
#endif
#ifndef TILE
#define TILE 4
#endif

/* A tile's loops are unrolled, or its arrays would live in memory. */
#define PRAGMA(text) _Pragma(#text)
#define UNROLL(count) PRAGMA(GCC unroll count)
#define EACH_STATE UNROLL(TILE) for (int n = 0; n < TILE; n++)

/* The order is that of the fields packed by kernels/scan.py. */
typedef struct {
    int64_t batch, time, channels, states, threads, softplus, log_A;
    Seq x, dt, B, C, z; /* inputs */
    const float *A, *D, *dt_bias, *initial;
    Resets reset;
    Seq y; /* results; ungated is y before the gate, which the gate's gradient needs */
    float *final;
    Seq ungated;
    float *checkpoints; /* [batch, chunks, blocks, padded, LANES] */
    Seq dy;             /* gradients coming in */
    const float *dfinal;
    Seq dx, ddt, dB, dC, dz; /* gradients going out */
    float *dA, *dD, *ddt_bias, *dinitial;
} Scan;

typedef struct {
    const Scan *scan;
    int threads;
    int64_t chunks, blocks, padded; /* padded: states, rounded up to a multiple of TILE */
    int64_t groups;                 /* tasks of one sequence */
    vec *A2;                        /* [blocks, padded]: A log2(e), so that exp(dt A) = 2^(dt A2) */
    vec *memory;                    /* [threads, memory_size] */
    int64_t memory_size;
    float *group_dB, *group_dC; /* [groups, batch, time, states] where there are several groups */
} Job;

/* One chunk of one block. */
typedef struct {
    vec x[CHUNK], dt[CHUNK], slope[CHUNK], input[CHUNK]; /* slope: of softplus; input: dt x */
    vec y[CHUNK];                              /* before the gate; going back, its gradient */
    vec ddt[CHUNK], dinput[CHUNK];             /* gradients of dt A2, summed over states, and of dt x */
    vec decay[CHUNK][TILE], before[CHUNK][TILE];
    vec reset_bytes[CHUNK / 4 + 1];
} Steps;

/* What one thread works with. */
typedef struct {
    Steps *steps;
    uint8_t *reset; /* [CHUNK] */
    vec *carry;     /* [blocks, padded]: the state; going back, the gradient of the state before */
    float *B, *C;   /* [CHUNK, padded] */
    vec *dB, *dC;   /* [CHUNK, padded], not yet summed over lanes */
    vec *sums;      /* [blocks, padded + 2]: dA, then dD and ddt_bias */
} Memory;

int jamba_steps_apply(const Scan *scan);
int jamba_scan_step(const Scan *scan);
int jamba_start(Job *job, const Scan *scan, int backward);
void jamba_finish(Job *job);
Memory jamba_memory(const Job *job, int thread);

static inline vec *vectors(int64_t count) {
    void *memory = 0;
    return posix_memalign(&memory, sizeof(vec), (size_t)count * sizeof(vec)) ? 0 : memory;
}

INLINE int64_t first_block(const Job *job, int64_t group) { return job->blocks * group / job->groups; }

INLINE Part part_of(const Job *job, int64_t b, int64_t chunk, int64_t block) {
    const Scan *s = job->scan;
    int64_t first = chunk * CHUNK, channel = block * LANES;
    return (Part){b, first, smaller(CHUNK, s->time - first), channel, (int)smaller(LANES, s->channels - channel)};
}

INLINE vec *checkpoint(const Job *job, int64_t b, int64_t chunk, int64_t block) {
    return (vec *)job->scan->checkpoints + ((b * job->chunks + chunk) * job->blocks + block) * job->padded;
}

/* Rows of B, C and resets of one chunk, which all blocks share. */
INLINE void read_chunk(const Job *job, const Memory *m, const Part *part) {
    const Scan *s = job->scan;
    read_rows(m->B, &s->B, part, s->states, job->padded);
    read_rows(m->C, &s->C, part, s->states, job->padded);
    read_resets(m->reset, &s->reset, part);
}

/* A times log2(e), from A or A_log. */
INLINE vec scaled(const Scan *s, vec A) { return (s->log_A ? -exp_of(A) : A) * splat(LOG2E); }

typedef struct {
    vec x, dt, slope; /* slope: of softplus */
} Inputs;

INLINE Inputs read_inputs(const Scan *s, const Part *part, int64_t t) {
    Inputs in = {load(at(&s->x, part, t), part->count), load(at(&s->dt, part, t), part->count), splat(1.0f)};
    if (s->dt_bias) in.dt += load(s->dt_bias + part->channel, part->count);
    if (s->softplus) in.dt = softplus(in.dt, &in.slope);
    return in;
}

/* The inputs of the next block, while this one is computed. */
INLINE void prefetch_inputs(const Scan *s, const Part *part) {
    prefetch(&s->x, part, LANES);
    prefetch(&s->dt, part, LANES);
    prefetch(&s->z, part, LANES);
}

/* Skip connection and gate. */
INLINE void write_output(const Scan *s, const Part *part, int64_t t, vec x, vec y) {
    if (s->D) y += load(s->D + part->channel, part->count) * x;
    if (s->ungated.data) store(at(&s->ungated, part, t), y, part->count);
    if (s->z.data) {
        vec z = load(at(&s->z, part, t), part->count);
        y *= z * sigmoid(z);
    }
    store(at(&s->y, part, t), y, part->count);
}

#endif
