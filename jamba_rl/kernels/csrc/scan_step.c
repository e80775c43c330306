/* One step of the scan, for rollouts. Turning states into lanes of channels would cost more than the step itself, so
   here lanes run over the states of one channel, as they lie in memory.

   A channel's states are read and written as whole vectors. What lies behind them is the next channel's: it is left out
   of the sum, and what was written there is written again when that channel's turn comes. */

#include "scan.h"

#define MAX_ROW (256 / LANES) /* vectors of states per channel */

typedef struct {
    const Scan *scan;
    int64_t row, size; /* vectors of states per channel, and states of a sequence */
    ivec own[MAX_ROW]; /* all ones where a lane is a state of the channel */
    vec *A2;           /* [channels, row], times log2(e) */
} Step;

int jamba_steps_apply(const Scan *s) { return s->time == 1 && !s->checkpoints && s->states <= MAX_ROW * LANES; }

/* How many floats of a vector that begins at state `first` lie within the sequence's. */
INLINE int inside(const Step *step, int64_t first) { return (int)smaller(LANES, step->size - first); }

/* The channels of one block: y before skip and gate, and the new states. Vectors need not be whole. */
static vec step_channels(const Step *step, const Part *part, vec dt, vec input, const vec *B, const vec *C,
                         int forget) {
    const Scan *s = step->scan;
    int64_t corner = part->b * step->size;
    vec products[LANES];
    memset(products, 0, sizeof products);
    for (int i = 0; i < part->count; i++) {
        int64_t first = (part->channel + i) * s->states;
        const vec *A2 = step->A2 + (part->channel + i) * step->row;
        for (int64_t n = 0; n < step->row; n++, first += LANES) {
            vec h = splat(input[i]) * B[n];
            if (!forget) h += exp2_of(splat(dt[i]), A2[n]) * load(s->initial + corner + first, inside(step, first));
            store(s->final + corner + first, h, inside(step, first));
            products[i] += (vec)((ivec)(h * C[n]) & step->own[n]);
        }
    }
    return lane_sums(products);
}

/* The same in the usual case: no reset, one vector per channel, none of them at the end of the states. */
static vec step_whole(const Step *step, const Part *part, vec dt, vec input, vec B, vec C) {
    int64_t states = step->scan->states, first = part->b * step->size + part->channel * states;
    const float *restrict old = step->scan->initial + first;
    float *restrict new = step->scan->final + first;
    const vec *A2 = step->A2 + part->channel;
    ivec own = step->own[0];
    vec products[LANES];
    UNROLL(4) for (int i = 0; i < LANES; i++) {
        vec h = splat(input[i]) * B + exp2_of(splat(dt[i]), A2[i]) * load(old + i * states, LANES);
        store(new + i * states, h, LANES);
        products[i] = (vec)((ivec)(h * C) & own);
    }
    return lane_sums(products);
}

static vec step_block(const Step *step, const Part *part, vec dt, vec input, const vec *B, const vec *C) {
    const Scan *s = step->scan;
    int forget = !s->initial || (s->reset.data && s->reset.data[part->b * s->reset.per_batch]);
    int64_t end = (part->channel + LANES - 1) * s->states + LANES;
    if (!forget && step->row == 1 && end <= step->size) return step_whole(step, part, dt, input, B[0], C[0]);
    return step_channels(step, part, dt, input, B, C, forget);
}

static void step_tasks(const void *step_, int64_t first, int64_t last, int thread) {
    (void)thread;
    const Step *step = step_;
    const Scan *s = step->scan;
    vec B[MAX_ROW], C[MAX_ROW];
    memset(B, 0, sizeof B), memset(C, 0, sizeof C);
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

static void start(Step *step) {
    const Scan *s = step->scan;
    for (int64_t n = 0; n < step->row * LANES; n++) ((int32_t *)step->own)[n] = n < s->states ? -1 : 0;
    for (int64_t channel = 0; channel < s->channels; channel++)
        for (int64_t n = 0; n < step->row; n++) {
            int64_t first = channel * s->states + n * LANES;
            step->A2[channel * step->row + n] = scaled(s, load(s->A + first, inside(step, first)));
        }
}

/* Returns 0, or 1 when memory ran out. */
int jamba_scan_step(const Scan *s) {
    Step step = {.scan = s, .row = (s->states + LANES - 1) / LANES, .size = s->channels * s->states};
    step.A2 = vectors(s->channels * step.row);
    if (!step.A2) return 1;
    start(&step);
    run_tasks(step_tasks, &step, s->batch, (int)smaller(smaller(s->threads, MAX_THREADS), s->batch));
    free(step.A2);
    return 0;
}
