/* One step of the scan, for rollouts. Turning states into lanes of channels would cost more than the step itself, so
   here lanes run over the states of one channel, as they lie in memory. */

#include "scan.h"

#define MAX_ROW (256 / LANES) /* vectors of states per channel */

typedef struct {
    const Scan *scan;
    vec *A2; /* [channels, states], times log2(e) */
} Step;

int jamba_steps_apply(const Scan *s) {
    return s->time == 1 && !s->checkpoints && s->states % LANES == 0 && s->states <= MAX_ROW * LANES;
}

/* The channels of one block: y before skip and gate, and the new states. */
static vec step_block(const Step *step, const Part *part, vec dt, vec input, const vec *B, const vec *C) {
    const Scan *s = step->scan;
    int64_t row = s->states / LANES, corner = (part->b * s->channels + part->channel) * s->states;
    int forget = !s->initial || (s->reset.data && s->reset.data[part->b * s->reset.per_batch]);
    vec products[LANES];
    memset(products, 0, sizeof products);
    for (int i = 0; i < part->count; i++, corner += s->states) {
        const vec *A2 = step->A2 + (part->channel + i) * row;
        for (int64_t n = 0; n < row; n++) {
            vec h = splat(input[i]) * B[n];
            if (!forget) h += exp2_of(splat(dt[i]), A2[n]) * load(s->initial + corner + n * LANES, LANES);
            store(s->final + corner + n * LANES, h, LANES);
            products[i] += h * C[n];
        }
    }
    float y[LANES];
    for (int i = 0; i < LANES; i += 4) {
        vec4 sums = sum_lanes_of_4(products + i);
        memcpy(y + i, &sums, sizeof sums);
    }
    return load(y, LANES);
}

static void step_tasks(const void *step_, int64_t first, int64_t last, int thread) {
    (void)thread;
    const Step *step = step_;
    const Scan *s = step->scan;
    vec B[MAX_ROW], C[MAX_ROW];
    for (int64_t b = first; b < last; b++) {
        memcpy(B, s->B.data + b * s->B.per_batch, (size_t)s->states * sizeof(float));
        memcpy(C, s->C.data + b * s->C.per_batch, (size_t)s->states * sizeof(float));
        for (int64_t channel = 0; channel < s->channels; channel += LANES) {
            Part part = {b, 0, 1, channel, (int)smaller(LANES, s->channels - channel)};
            Inputs in = read_inputs(s, &part, 0);
            write_output(s, &part, 0, in.x, step_block(step, &part, in.dt, in.dt * in.x, B, C));
        }
    }
}

int jamba_scan_step(const Scan *s) {
    int64_t count = s->channels * s->states / LANES;
    Step step = {s, vectors(count)};
    if (!step.A2) return 1;
    memcpy(step.A2, s->A, (size_t)count * sizeof(vec));
    for (int64_t n = 0; n < count; n++) step.A2[n] = scaled(s, step.A2[n]);
    run_tasks(step_tasks, &step, s->batch, (int)smaller(smaller(s->threads, MAX_THREADS), s->batch));
    free(step.A2);
    return 0;
}
