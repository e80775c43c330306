/* Starting and finishing a scan: sizes, memory, and A in lanes. */

#include "scan.h"

static void scale_A(vec *A2, const Job *job) {
    const Scan *s = job->scan;
    for (int64_t block = 0; block < job->blocks; block++, A2 += job->padded) {
        int64_t channel = block * LANES;
        int count = (int)smaller(LANES, s->channels - channel);
        to_lanes(A2, s->A + channel * s->states, count, s->states, job->padded);
        for (int64_t n = 0; n < s->states; n++) A2[n] = scaled(s, A2[n]);
    }
}

static int64_t whole_vectors(int64_t bytes) { return (bytes + (int64_t)sizeof(vec) - 1) / (int64_t)sizeof(vec); }

/* Returns 0, or 1 when memory ran out. */
int jamba_start(Job *job, const Scan *s, int backward) {
    int64_t threads = smaller(s->threads, MAX_THREADS);
    *job = (Job){.scan = s};
    job->chunks = (s->time + CHUNK - 1) / CHUNK;
    job->blocks = (s->channels + LANES - 1) / LANES;
    job->padded = (s->states + TILE - 1) / TILE * TILE;
    job->groups = s->batch >= threads ? 1 : smaller(job->blocks, (threads + s->batch - 1) / s->batch);
    job->threads = (int)smaller(threads, s->batch * job->groups);
    int64_t rows = CHUNK * job->padded, states = job->blocks * job->padded;
    job->memory_size = whole_vectors(sizeof(Steps)) + states + whole_vectors(2 * rows * (int64_t)sizeof(float));
    if (backward) job->memory_size += 2 * rows + states + 2 * job->blocks;
    job->A2 = vectors(states);
    job->memory = vectors(job->threads * job->memory_size);
    int failed = !job->A2 || !job->memory;
    if (backward && job->groups > 1) {
        int64_t size = job->groups * s->batch * s->time * s->states;
        job->group_dB = malloc(sizeof(float) * 2 * (size_t)size);
        job->group_dC = job->group_dB + size;
        failed |= !job->group_dB;
    }
    if (!failed) scale_A(job->A2, job);
    return failed;
}

void jamba_finish(Job *job) {
    free(job->group_dB);
    free(job->memory);
    free(job->A2);
}

Memory jamba_memory(const Job *job, int thread) {
    int64_t rows = CHUNK * job->padded, states = job->blocks * job->padded;
    Memory m;
    vec *next = job->memory + thread * job->memory_size;
    m.steps = (Steps *)next;
    m.reset = (uint8_t *)m.steps->reset_bytes;
    m.carry = next += whole_vectors(sizeof(Steps));
    m.B = (float *)(next += states);
    m.C = m.B + rows;
    m.dB = next += whole_vectors(2 * rows * (int64_t)sizeof(float));
    m.dC = m.dB + rows;
    m.sums = m.dC + rows;
    return m;
}

/* What the caller needs to know to make room for the checkpoints. */
void jamba_sizes(int64_t *sizes) { sizes[0] = LANES, sizes[1] = CHUNK, sizes[2] = TILE; }
