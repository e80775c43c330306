/* The forward pass of the scan. */

#include "scan.h"

/* TILE states over the steps of a chunk: h and y are continued in place. */
static void forward_tile(vec *h_, Steps *m, const uint8_t *reset, const vec *A2_, const float *B, const float *C,
                         int64_t padded, int64_t steps) {
    vec h[TILE], A2[TILE];
    EACH_STATE h[n] = h_[n], A2[n] = A2_[n];
    for (int64_t t = 0; t < steps; t++, B += padded, C += padded) {
        vec dt = m->dt[t], input = m->input[t], y = m->y[t];
        if (reset[t]) {
            EACH_STATE h[n] = splat(0.0f);
        }
        EACH_STATE {
            h[n] = exp2_of(dt, A2[n]) * h[n] + input * splat(B[n]);
            y += h[n] * splat(C[n]);
        }
        m->y[t] = y;
    }
    EACH_STATE h_[n] = h[n];
}

static void forward_block(const Job *job, const Memory *m, int64_t b, int64_t chunk, int64_t block, vec *h) {
    const Scan *s = job->scan;
    Part part = part_of(job, b, chunk, block);
    int64_t corner = (b * s->channels + part.channel) * s->states;
    /* A state before a reset is not read at all: it need not be finite. */
    if (chunk == 0)
        to_lanes(h, s->initial && !m->reset[0] ? s->initial + corner : 0, part.count, s->states, job->padded);
    if (s->checkpoints) memcpy(checkpoint(job, b, chunk, block), h, (size_t)job->padded * sizeof(vec));
    prefetch_inputs(s, &part);
    prefetch_results(&s->y, &part);
    prefetch_results(&s->ungated, &part);
    Steps *steps = m->steps;
    for (int64_t t = 0; t < part.steps; t++) {
        Inputs in = read_inputs(s, &part, t);
        steps->x[t] = in.x, steps->dt[t] = in.dt, steps->input[t] = in.dt * in.x, steps->y[t] = splat(0.0f);
    }
    const vec *A2 = job->A2 + block * job->padded;
    for (int64_t n = 0; n < job->padded; n += TILE)
        forward_tile(h + n, steps, m->reset, A2 + n, m->B + n, m->C + n, job->padded, part.steps);
    for (int64_t t = 0; t < part.steps; t++) write_output(s, &part, t, steps->x[t], steps->y[t]);
    if (chunk == job->chunks - 1) from_lanes(s->final + corner, h, part.count, s->states);
}

static void forward_tasks(const void *job_, int64_t first, int64_t last, int thread) {
    const Job *job = job_;
    Memory m = jamba_memory(job, thread);
    for (int64_t task = first; task < last; task++) {
        int64_t b = task / job->groups, group = task % job->groups;
        for (int64_t chunk = 0; chunk < job->chunks; chunk++) {
            Part whole = part_of(job, b, chunk, 0);
            read_chunk(job, &m, &whole);
            for (int64_t block = first_block(job, group); block < first_block(job, group + 1); block++)
                forward_block(job, &m, b, chunk, block, m.carry + block * job->padded);
        }
    }
}

/* Returns 0, or 1 when memory ran out. */
int jamba_scan_forward(const Scan *s) {
    if (jamba_steps_apply(s)) return jamba_scan_step(s);
    Job job;
    int failed = jamba_start(&job, s, 0);
    if (!failed) run_tasks(forward_tasks, &job, s->batch * job.groups, job.threads);
    jamba_finish(&job);
    return failed;
}
